"""Marks runs that should have begun and were taken by nobody."""

from forebay_server.db.engine import Database
from forebay_server.flow_runs import sweeps
from forebay_server.services.loops import Service

EVERY_SECONDS = 5.0
MOST_AT_ONCE = 500  # in one transaction, so that others get their turn


async def tick(database: Database) -> None:
    """Name overdue runs Late, until none is left."""
    marked = MOST_AT_ONCE
    while marked == MOST_AT_ONCE:
        async with database.write() as db:
            marked = await sweeps.mark_late(db, MOST_AT_ONCE)


LATE_RUNS = Service("late runs", EVERY_SECONDS, tick)
