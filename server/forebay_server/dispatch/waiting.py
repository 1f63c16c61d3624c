"""Holds requests until there is work for them. Knows neither statements nor HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from forebay_server.db.broker import Broker, Lost
from forebay_server.dispatch.lines import Line, Waiter
from forebay_server.work_pools.notices import WORK, WorkNotice


class Found(Protocol):
    """What a look for work gives."""

    @property
    def pool_id(self) -> UUID: ...
    @property
    def now(self) -> datetime: ...
    @property
    def next_due(self) -> Mapping[UUID, datetime | None]: ...
    @property
    def runs(self) -> Sequence[object]: ...
    @property
    def is_cut(self) -> bool: ...


F = TypeVar("F", bound=Found)


class Patience:
    """How a request waits: for how long, for which queues, and until it is over anyway."""

    def __init__(self, seconds: float, *, sees_all: bool, prefetch_seconds: float = 0.0) -> None:
        self.deadline = asyncio.get_running_loop().time() + seconds
        self.sees_all = sees_all
        self.prefetch_seconds = prefetch_seconds
        self.is_over = False
        self.is_answered = asyncio.Event()
        self._waiter: Waiter | None = None

    def end(self) -> None:
        """Let the wait end without another look: nobody would read the answer."""
        self.is_over = True
        if self._waiter is not None:
            self._waiter.called.set()

    def waiter(self) -> Waiter:
        """This request as it stands in a line."""
        self._waiter = Waiter(sees_all=self.sees_all)
        return self._waiter

    async def is_called(self, waiter: Waiter) -> bool:
        """Wait for a call; False when the time is up."""
        try:
            async with asyncio.timeout_at(self.deadline):
                await waiter.called.wait()
        except TimeoutError:
            return False
        waiter.called.clear()
        return True


@dataclass(frozen=True)
class _Key:
    pool_id: UUID
    prefetch_seconds: float


class WaitingRoom:
    """Every request of this process that waits for work."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._lines: dict[_Key, Line] = {}
        self._pool_ids: dict[UUID, UUID] = {}  # by queue, of the pools that somebody waits for
        self._looks: list[list[WorkNotice]] = []  # what was told during each look
        self._attempts: dict[object, Patience] = {}
        self._is_closed = False

    @property
    def waiting(self) -> int:
        """How many requests wait."""
        return sum(len(line) for line in self._lines.values())

    @asynccontextmanager
    async def open(self, is_stopping: asyncio.Event) -> AsyncIterator[None]:
        """Listen to what is committed during the block; no wait outlasts `is_stopping`."""

        async def close_in_time() -> None:
            await is_stopping.wait()
            self.close()

        tasks = [asyncio.create_task(step) for step in (self._listen(), close_in_time())]
        try:
            yield
        finally:
            self.close()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def close(self) -> None:
        """Let every request end its wait, and later ones not begin one."""
        self._is_closed = True
        for line in self._lines.values():
            line.call_all()

    def look_again(self) -> None:
        """Have each line look for work, because notices may have been lost."""
        for key, line in [*self._lines.items()]:
            line.tell(WorkNotice(key.pool_id))

    async def hold(
        self, look: Callable[[], Awaitable[F]], patience: Patience, attempt: object
    ) -> F | None:
        """What `look` finds: as soon as there are runs, or when the time is up.

        None when the wait was ended before. Of two requests with one `attempt` the earlier is
        ended, and answered, before the later looks.
        """
        while earlier := self._attempts.get(attempt):
            earlier.end()
            await earlier.is_answered.wait()
        self._attempts[attempt] = patience
        try:
            return await self._hold(look, patience)
        finally:
            del self._attempts[attempt]
            patience.is_answered.set()

    async def _hold(self, look: Callable[[], Awaitable[F]], patience: Patience) -> F | None:
        loop = asyncio.get_running_loop()
        with self._looking() as missed:
            found = await look()
        if found.runs or self._is_closed or patience.deadline <= loop.time():
            return found
        waiter = patience.waiter()
        with self._in_line(waiter, _Key(found.pool_id, patience.prefetch_seconds)) as line:
            line.learn(waiter, set(), found.next_due, found.now, is_cut=False)
            self._remember(found.pool_id, line, missed)
            while not patience.is_over and await patience.is_called(waiter):
                if patience.is_over or self._is_closed:
                    break
                with self._looking() as missed, line.looking() as looked_for:
                    found = await look()
                line.learn(waiter, looked_for, found.next_due, found.now, is_cut=found.is_cut)
                self._remember(found.pool_id, line, missed)
                if found.runs:
                    break
                line.end_turn(waiter)
        return None if patience.is_over and not found.runs else found

    @contextmanager
    def _looking(self) -> Iterator[list[WorkNotice]]:
        """What is told during the block: it may be later than what the look has seen."""
        missed: list[WorkNotice] = []
        self._looks.append(missed)
        try:
            yield missed
        finally:
            self._looks = [other for other in self._looks if other is not missed]

    @contextmanager
    def _in_line(self, waiter: Waiter, key: _Key) -> Iterator[Line]:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = Line(key.prefetch_seconds)
        line.join(waiter)
        try:
            yield line
        finally:
            line.leave(waiter)
            if not len(line) and self._lines.get(key) is line:
                del self._lines[key]
                self._forget(line)

    def _remember(self, pool_id: UUID, line: Line, missed: Sequence[WorkNotice]) -> None:
        for queue_id in line.queue_ids:
            self._pool_ids[queue_id] = pool_id
        for notice in missed:
            if self._pool_of(notice) == pool_id:
                line.tell(notice)

    def _forget(self, line: Line) -> None:
        kept = {queue_id for other in self._lines.values() for queue_id in other.queue_ids}
        for queue_id in line.queue_ids - kept:
            self._pool_ids.pop(queue_id, None)

    def _pool_of(self, notice: WorkNotice) -> UUID | None:
        if notice.pool_id is not None or notice.queue_id is None:
            return notice.pool_id
        return self._pool_ids.get(notice.queue_id)

    def _concerns(self, _notice: WorkNotice) -> bool:
        return bool(self._lines or self._looks)

    async def _listen(self) -> None:
        while True:
            with self._broker.subscribe(WORK, self._concerns) as subscription:
                self.look_again()
                try:
                    while True:
                        for notice in await subscription.take():
                            self._tell(notice)
                except Lost:
                    continue

    def _tell(self, notice: WorkNotice) -> None:
        for missed in self._looks:
            missed.append(notice)
        pool_id = self._pool_of(notice)
        for key, line in [*self._lines.items()]:
            if key.pool_id == pool_id:
                if notice.queue_id is not None:
                    self._pool_ids[notice.queue_id] = key.pool_id
                line.tell(notice)
