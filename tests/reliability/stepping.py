"""Lets transactions of several servers go on one statement at a time, in an order that a seed gives.

Each caller stops before every statement and before its commit. One is let go on; nothing else
happens until it has stopped again, has ended, or waits for a lock that another one holds. So a
seed gives the same order again. A caller may also die wherever it stops.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from forebay_server.db.engine import Database

PATIENCE_SECONDS = 0.004  # after which PostgreSQL is asked whether a statement waits for a lock
STUCK_SECONDS = 20.0
_WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid = ANY($1::int[])"
)


@dataclass(eq=False)
class Caller:
    """Somebody whose request a server works on."""

    name: str
    has_changed: asyncio.Event  # of the schedule: somebody has stopped or ended
    task: asyncio.Task[None] | None = None
    turn: asyncio.Event = field(default_factory=asyncio.Event)
    is_parked: bool = False
    pid: int = 0  # of its connection
    ended: int = 0  # transactions, by commit or not

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to do."""
        return self.task is not None and self.task.done()


_current: ContextVar[Caller | None] = ContextVar("caller", default=None)


class SteppedDatabase(Database):
    """A server's database whose callers stop before each statement."""

    @asynccontextmanager
    async def _connected(self, engine: Any) -> AsyncIterator[Any]:
        async with super()._connected(engine) as connection:
            caller = _current.get()
            if caller is None:
                yield connection
                return
            raw = await connection.get_raw_connection()
            driver = raw.driver_connection
            assert driver is not None
            caller.pid = driver.get_server_pid()
            yield _Stepped(connection, caller)


class _Stepped:
    """A connection that waits for its caller's turn."""

    def __init__(self, connection: Any, caller: Caller) -> None:
        self._connection, self._caller = connection, caller

    async def execute(self, *arguments: Any) -> Any:
        await _park(self._caller)
        return await self._connection.execute(*arguments)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[None]:
        try:
            async with self._connection.begin():
                yield
                await _park(self._caller)  # before the commit
        finally:
            self._caller.ended += 1

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def _park(caller: Caller) -> None:
    caller.is_parked = True
    caller.has_changed.set()
    try:
        await caller.turn.wait()
    finally:
        caller.is_parked = False
        caller.turn.clear()


@dataclass
class Schedule:
    """The callers of one run of everything, and whose turn it is."""

    rng: random.Random
    monitor: asyncpg.Connection
    death: float  # the chance that somebody dies instead of going on
    callers: list[Caller] = field(default_factory=list)
    _has_changed: asyncio.Event = field(default_factory=asyncio.Event)
    _blocked: set[Caller] = field(default_factory=set)  # by locks that others hold
    _ended: int = 0
    steps: int = 0
    waits: int = 0  # for locks, counted at each step
    deaths: int = 0

    def add(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """One more caller, which begins when it is its turn."""
        caller = Caller(name, self._has_changed)

        async def live() -> None:
            _current.set(caller)
            await _park(caller)
            await work()

        caller.task = asyncio.create_task(live(), name=name)
        caller.task.add_done_callback(lambda _: self._has_changed.set())
        self.callers.append(caller)

    async def play(self) -> None:
        """Give turns until every caller's work is over; raises what one of them raised."""
        while alive := [caller for caller in self.callers if not caller.is_over]:
            await self._settle(alive)
            parked = [caller for caller in alive if caller.is_parked]
            if not parked:
                continue  # everybody has ended
            self.steps += 1
            self.waits += len(self._blocked)
            if self.rng.random() < self.death:
                self.deaths += 1
                victim = self.rng.choice(alive)  # also one that waits for a lock
                assert victim.task is not None
                victim.is_parked = False
                self._blocked.discard(victim)
                victim.task.cancel()
                continue
            chosen = self.rng.choice(parked)
            chosen.is_parked = False
            chosen.turn.set()
        for caller in self.callers:
            assert caller.task is not None
            if not caller.task.cancelled():
                caller.task.result()

    async def end(self) -> None:
        """Leave nobody behind, whatever has happened."""
        tasks = [caller.task for caller in self.callers if caller.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, alive: list[Caller]) -> None:
        """Return when everybody has stopped, has ended or waits for a lock."""
        async with asyncio.timeout(STUCK_SECONDS):
            while True:
                moving = [each for each in alive if not each.is_parked and not each.is_over]
                self._blocked &= {*moving}
                busy = [each for each in moving if each not in self._blocked]
                if busy:
                    if not await self._have_stopped(busy):
                        self._blocked |= await self._waiting(busy)
                    continue
                ended = sum(each.ended for each in self.callers)
                is_ring = bool(moving) and len(moving) == len(alive)
                if not self._blocked or (ended == self._ended and not is_ring):
                    return
                # Locks were given back, or PostgreSQL is about to end a ring of those who wait.
                self._ended = ended
                self._blocked.clear()

    async def _have_stopped(self, busy: list[Caller]) -> bool:
        """Whether all have, in the time that a statement takes that need not wait."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not all(each.is_parked or each.is_over for each in busy):
                    self._has_changed.clear()
                    await self._has_changed.wait()
        return all(each.is_parked or each.is_over for each in busy)

    async def _waiting(self, busy: list[Caller]) -> set[Caller]:
        pids = [each.pid for each in busy]
        waiting = {row["pid"] for row in await self.monitor.fetch(_WAITING, pids)}
        return {each for each in busy if each.pid in waiting}
