"""Deletes runs that have been kept long enough. Safe in every process at once."""

import asyncio
import logging
from datetime import timedelta
from time import monotonic

from forebay_server.db.engine import Database
from forebay_server.flow_runs.old_runs import delete_ended
from forebay_server.services.loops import Service

logger = logging.getLogger(__name__)

EVERY_SECONDS = 60.0


def old_runs(*, days: float) -> Service:
    """The service that keeps runs for `days` after they ended."""

    async def tick(database: Database) -> None:
        deleted = await delete_old(database, days=days)
        if deleted:
            logger.info("old runs deleted", extra={"runs": deleted})

    return Service("old runs", every_seconds=EVERY_SECONDS, tick=tick)


async def delete_old(database: Database, *, days: float) -> int:
    """Delete what belongs to runs that ended more than `days` ago; how many runs.

    A step at a time, each a transaction of its own; after each the database is left to others for
    as long as the step took.
    """
    async with database.read() as db:
        before = await db.now() - timedelta(days=days)
    runs = 0
    while True:
        began = monotonic()
        async with database.write() as db:
            deleted = await delete_ended(db, before)
        runs += deleted.runs
        if deleted.is_last:
            return runs
        await asyncio.sleep(monotonic() - began)
