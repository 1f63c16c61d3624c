"""Deletes what is kept for a bounded time only: events, by age and by number."""

import logging
from datetime import timedelta

from forebay_server.db.engine import Database
from forebay_server.events import queries as events
from forebay_server.services.loops import Service

logger = logging.getLogger(__name__)

EVERY_SECONDS = 300.0
MAX_STEPS = 100  # of one tick, each a transaction of its own that others do not wait for long


def retention(*, days: float, most: int) -> Service:
    """The service that keeps events for `days`, and at most about `most` of them."""

    async def tick(database: Database) -> None:
        deleted = await delete_surplus(database, days=days, most=most)
        if deleted:
            logger.info("old events deleted", extra={"events": deleted})

    return Service("retention", every_seconds=EVERY_SECONDS, tick=tick)


async def delete_surplus(database: Database, *, days: float, most: int) -> int:
    """Delete events received more than `days` ago and those beyond the newest `most`.

    Safe in every process at once: what another has deleted is not found again.
    """
    async with database.read() as db:
        at = await db.now() - timedelta(days=days)
        surplus = await events.newest_surplus(db, most)
    until = at if surplus is None else max(at, surplus)
    total = 0
    for _ in range(MAX_STEPS):
        async with database.write() as db:
            deleted = await events.delete_until(db, until)
        total += deleted
        if deleted < events.DELETED_AT_ONCE:
            break
    return total
