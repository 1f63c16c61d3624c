"""Whether the database answers, told at once also while it is slow or every connection is taken."""

import asyncio
import time

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from forebay_server.db.engine import Database

PATIENCE_SECONDS = 0.25  # for the database; then its last answer is told
TRUST_SECONDS = 10.0  # how long that answer counts


class Readiness:
    """The last answer of the database, and the question that is on its way to it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._question: asyncio.Task[None] | None = None
        self._answered_at: float | None = None  # by the monotonic clock; None: never, or badly
        self._was_asked = False

    async def check(self) -> bool:
        """Whether the database answers or has just answered; the first one waits for it."""
        if self._question is None or self._question.done():
            self._question = asyncio.create_task(self._ask())
        timeout = PATIENCE_SECONDS if self._was_asked else None
        await asyncio.wait({self._question}, timeout=timeout)
        at = self._answered_at
        return at is not None and time.monotonic() - at < TRUST_SECONDS

    async def close(self) -> None:
        """Ask no more."""
        if self._question is not None:
            self._question.cancel()
            await asyncio.wait({self._question})

    async def _ask(self) -> None:
        try:
            async with self._database.read() as db:
                await db.scalar(select(1))
            self._answered_at = time.monotonic()
        except (SQLAlchemyError, OSError):
            self._answered_at = None
        self._was_asked = True
