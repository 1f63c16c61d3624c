"""Keeps the runs of schedules ahead of time. Safe in every process at once.

A request that changes a schedule makes its next runs itself; this only goes on from there.
"""

import time
from datetime import datetime, timedelta
from uuid import UUID

from forebay_server.db.engine import Database
from forebay_server.deployments import scheduled_runs
from forebay_server.services.loops import Service

EVERY_SECONDS = 60.0
GREATEST_JUMP = timedelta(seconds=5)
DEPLOYMENTS_AT_ONCE = 20  # in one transaction, so that other writers wait little


class Scheduler:
    """One process's rounds; it remembers when the last one was, by both clocks."""

    def __init__(self) -> None:
        self._ticked_at: datetime | None = None
        self._ticked_at_monotonic = 0.0
        self._furthest: datetime | None = None  # that the database's clock ever showed

    async def tick(self, database: Database) -> None:
        """Make the coming runs of every deployment that has too few.

        After a jump of the database's clock, of every deployment, and from where it came to. Until
        a clock that was put back is where it was, runs from then hide what lies before them.
        """
        async with database.read() as db:
            at = await db.now()
        since_jump = self._since_jump(at)
        is_behind = self._furthest is not None and at < self._furthest
        self._furthest = max(at, self._furthest or at)
        last: UUID | None = None
        while True:
            async with database.read() as db:
                found = await scheduled_runs.find_lacking(
                    db,
                    last,
                    DEPLOYMENTS_AT_ONCE,
                    is_each_lacking=is_behind or since_jump is not None,
                )
            if not found:
                return
            async with database.write() as db:
                await scheduled_runs.create(db, found, start=since_jump)
            last = found[-1]

    def _since_jump(self, at: datetime) -> datetime | None:
        """To where the clock has jumped since the last round at the earliest; None: it has not."""
        monotonic = time.monotonic()
        passed = timedelta(seconds=monotonic - self._ticked_at_monotonic)
        last, self._ticked_at = self._ticked_at, at
        self._ticked_at_monotonic = monotonic
        if last is None or abs(at - last - passed) <= GREATEST_JUMP:
            return None
        return at - passed


SCHEDULER = Service("scheduler", EVERY_SECONDS, Scheduler().tick)
