"""Replays and follows log lines. Knows no HTTP and no websocket."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from uuid import UUID

from forebay.wire.logs import Log
from forebay_server.db.broker import Subscription
from forebay_server.db.engine import Database
from forebay_server.logs import queries
from forebay_server.logs.filters import LogFilter, LogSort
from forebay_server.logs.queries import LINES, Lines

MAX_REPLAYED = 1_000  # the newest
CAPACITY = 1_000  # of a subscription, in notices


@contextmanager
def followed(
    database: Database, criteria: LogFilter
) -> Iterator[tuple[Subscription[Lines], AsyncIterator[Log]]]:
    """Lines that fulfil `criteria`: first the stored ones by time, then those committed.

    Unlike with Prefect 3.8.4, whose stream has only new lines, a client that was away for a
    moment misses nothing. No line comes twice.
    """
    wanted = criteria.flow_run_ids()

    def wants(lines: Lines) -> bool:
        return wanted is None or not wanted.isdisjoint(lines.run_ids)

    with database.broker.subscribe(LINES, wants, CAPACITY) as subscription:
        yield subscription, _follow(database, criteria, subscription)


async def _follow(
    database: Database, criteria: LogFilter, subscription: Subscription[Lines]
) -> AsyncIterator[Log]:
    replayed: set[UUID] = set()
    async with database.read() as db:
        newest = await queries.filter(db, criteria, LogSort.TIMESTAMP_DESC, MAX_REPLAYED, 0)
    for row in reversed(newest):
        replayed.add(row.id)
        yield Log.model_validate(row)
    while True:
        for lines in await subscription.take():
            async with database.read() as db:
                rows = await queries.read(db, lines.ids, criteria)
            for row in rows:
                if row.id not in replayed:
                    yield Log.model_validate(row)
            replayed.difference_update(lines.ids)
