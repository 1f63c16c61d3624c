"""Running a transaction again when it lost against a concurrent one. Knows no table."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError

from forebay_server.db.engine import Database, Transaction
from forebay_server.db.failures import is_lost_race

T = TypeVar("T")

MAX_TRIES = 5


async def write(database: Database, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """What `work` gives in a transaction that was committed."""
    for attempt in range(1, MAX_TRIES):
        try:
            async with database.write() as db:
                return await work(db)
        except DBAPIError as error:
            if not is_lost_race(error):
                raise
        await asyncio.sleep(pause_seconds(attempt))
    async with database.write() as db:
        return await work(db)


def pause_seconds(attempt: int) -> float:
    """How long to wait before the next try."""
    return random.uniform(0, 0.02 * 2**attempt)
