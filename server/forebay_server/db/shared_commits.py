"""Writers of one SQLite file: one at a time, first come first served, with commits in common.

A commit waits for the disk, which takes longer than most transactions. So a writer behind whom
others wait leaves the transaction open to them, each within a savepoint of its own, and queues
once more to commit for all who have joined. None of them returns before that. Knows no table.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncTransaction

from forebay_server.db.sqlite_driver import Connection as Driver
from forebay_server.errors import Overloaded

MAX_WAITING_WRITERS = 1000  # above that a caller is told to come back
MOST_TOGETHER = 100  # writers of one commit


@dataclass
class _Group:
    """An open transaction, and who has written in it."""

    connection: AsyncConnection
    transaction: AsyncTransaction
    driver: Driver
    writers: int = 0
    is_ended: bool = False
    failure: Exception | None = None

    @property
    def is_lost(self) -> bool:
        """Whether all of it is undone already.

        SQLite does so where the disk fails, and SQLAlchemy gives up a connection whose user was
        cancelled while it waited.
        """
        return self.connection.invalidated or not self.driver.is_open


class SharedCommits:
    """The writers of one engine, whose transactions begin as its events say."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._group: _Group | None = None

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction; committed at the end, or what the block did is undone.

        Raises `Overloaded` when too many wait already, and what the commit raises.
        """
        async with self._turn():
            group = self._group or await self._begin()
            savepoint = _join(group)
            try:
                yield group.connection
            except BaseException as error:
                await _whole(self._undo(group, savepoint, error))
                raise
            group.writers += 1
            if self._waiting == 0 or group.writers == MOST_TOGETHER:
                await _whole(self._commit(group))
        if not group.is_ended:
            await _whole(self._settle(group))
        if group.failure is not None:
            raise group.failure

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        if self._waiting >= MAX_WAITING_WRITERS:
            raise Overloaded("Too many writes are waiting; try again shortly.")
        self._waiting += 1
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    async def _begin(self) -> _Group:
        connection = await self._engine.connect()
        transaction = await connection.begin()
        raw = await connection.get_raw_connection()
        self._group = _Group(connection, transaction, cast(Driver, raw.driver_connection))
        return self._group

    async def _undo(self, group: _Group, savepoint: str | None, error: BaseException) -> None:
        """Undo what one writer did; what others have written is left to be committed."""
        try:
            if savepoint is not None and not group.is_lost:
                await group.driver.roll_back_to(savepoint)
        except sqlite3.Error as failure:
            group.failure = failure
        if group.writers and group.is_lost:
            lost = Overloaded("The transaction was lost; try again.")
            group.failure = error if isinstance(error, DBAPIError) else lost
        if group.failure is not None or not group.writers:
            await self._end(group)

    async def _settle(self, group: _Group) -> None:
        """Commit when those have written who were waiting, unless it is done by then."""
        async with self._lock:
            if not group.is_ended:
                await self._commit(group)

    async def _commit(self, group: _Group) -> None:
        try:
            await group.transaction.commit()
        except DBAPIError as error:
            group.failure = error
        await self._end(group)

    async def _end(self, group: _Group) -> None:
        """Undo what is not committed, and let the next writer begin anew."""
        group.is_ended = True
        self._group = None
        if not group.is_lost:  # which SQLAlchemy leaves as it is where a commit failed
            await group.driver.rollback()
        await group.connection.close()


def _join(group: _Group) -> str | None:
    """The savepoint that a writer can go back to; None when nobody wrote before it."""
    if not group.writers:
        return None
    savepoint = f"writer_{group.writers}"
    group.driver.begin(f"SAVEPOINT {savepoint}")
    return savepoint


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Do `work` to its end, also for a caller that is cancelled meanwhile."""
    task = asyncio.ensure_future(work)
    is_cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            is_cancelled = True
    if is_cancelled:
        raise asyncio.CancelledError
    task.result()
