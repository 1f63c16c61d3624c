"""Running a transaction again when it lost against a concurrent one. Knows no table."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from forebay_server.db.engine import Database, Transaction

T = TypeVar("T")

MAX_TRIES = 5
RETRIED_SQLSTATES = frozenset({"40001", "40P01", "55P03"})  # serialisation, deadlock, lock timeout


async def write(database: Database, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """What `work` gives in a transaction that was committed."""
    for attempt in range(1, MAX_TRIES):
        try:
            async with database.write() as db:
                return await work(db)
        except DBAPIError as error:
            if sqlstate(error) not in RETRIED_SQLSTATES:
                raise
        await asyncio.sleep(pause_seconds(attempt))
    async with database.write() as db:
        return await work(db)


def pause_seconds(attempt: int) -> float:
    """How long to wait before the next try."""
    return random.uniform(0, 0.02 * 2**attempt)


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's five-character code, where the driver tells it."""
    return getattr(error.orig, "sqlstate", None)
