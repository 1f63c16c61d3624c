"""Writes the events of all senders together, so that many small ones cost few commits."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.exc import SQLAlchemyError

from forebay.wire.events import Event
from forebay_server.claims import heartbeats
from forebay_server.db.engine import Database
from forebay_server.errors import ServerError
from forebay_server.events import queries

logger = logging.getLogger(__name__)

GATHERING_SECONDS = 0.1
MAX_BATCH = 200
MAX_WAITING_BYTES = 16 << 20
MAX_TRIES = 5
PAUSE_SECONDS = 0.5  # before the first repetition; doubles


class Recorder:
    """A backlog of bounded size and the one task that writes it; sent events wait for room."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Event, int]] = deque()
        self._bytes = 0
        self._changed = asyncio.Condition()
        self._is_closing = False
        self.dropped = 0  # events lost because the database refused them again and again

    async def add(self, event: Event, size: int) -> None:
        """Put `event` of `size` bytes in the backlog, as soon as there is room."""
        async with self._changed:
            await self._changed.wait_for(self._has_room)
            self._waiting.append((event, size))
            self._bytes += size
            self._changed.notify_all()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write during the block, and before its end what still waits."""
        task = asyncio.create_task(self._run(), name="event recorder")
        try:
            yield
        finally:
            async with self._changed:
                self._is_closing = True
                self._changed.notify_all()
            await task

    def _has_room(self) -> bool:
        return self._bytes < MAX_WAITING_BYTES

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._is_closing

    async def _run(self) -> None:
        while True:
            async with self._changed:
                await self._changed.wait_for(self._has_work)
            if not self._waiting:
                return
            if len(self._waiting) < MAX_BATCH and not self._is_closing:
                await asyncio.sleep(GATHERING_SECONDS)
            await self._write(self._taken())
            async with self._changed:
                self._changed.notify_all()

    def _taken(self) -> list[Event]:
        taken = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        self._bytes -= sum(size for _, size in taken)
        return [event for event, _ in taken]

    async def _write(self, batch: list[Event]) -> None:
        for attempt in range(MAX_TRIES):
            try:
                async with self._database.write() as db:
                    await queries.create(db, batch)
                    await heartbeats.renew(db, batch)
                return
            except (SQLAlchemyError, ServerError, OSError) as error:
                failure = error
            if self._is_closing:
                break
            await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
        self.dropped += len(batch)
        logger.error(
            "events lost: the database does not take them",
            extra={"events": len(batch), "dropped": self.dropped},
            exc_info=failure,
        )
