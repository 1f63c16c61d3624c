"""Keeps the runs of schedules ahead of time. Safe in every process at once.

A request that changes a schedule makes its next runs itself; this only goes on from there.
"""

from uuid import UUID

from forebay_server.db.engine import Database
from forebay_server.deployments import scheduled_runs
from forebay_server.services.loops import Service

EVERY_SECONDS = 60.0
DEPLOYMENTS_AT_ONCE = 20  # in one transaction, so that other writers wait little


async def tick(database: Database) -> None:
    """Make the coming runs of every deployment that has too few."""
    last: UUID | None = None
    while True:
        async with database.read() as db:
            found = await scheduled_runs.find_lacking(db, last, DEPLOYMENTS_AT_ONCE)
        if not found:
            return
        async with database.write() as db:
            await scheduled_runs.create(db, found)
        last = found[-1]


SCHEDULER = Service("scheduler", EVERY_SECONDS, tick)
