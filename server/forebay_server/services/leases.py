"""Deletes leases of concurrency limits that have run out; their slots are free before."""

from forebay_server.concurrency_limits import slots
from forebay_server.db.engine import Database
from forebay_server.services.loops import Service


async def tick(database: Database) -> None:
    """Sweep until little is left, a transaction at a time."""
    swept = slots.SWEPT_AT_ONCE
    while swept == slots.SWEPT_AT_ONCE:
        async with database.write() as db:
            swept = await slots.sweep(db)


LEASES = Service("leases", every_seconds=60, tick=tick)
