"""Replays and follows events of every source. Knows no HTTP and no websocket."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from uuid import UUID

from forebay.wire.events import RESOURCE_ID, ReceivedEvent
from forebay_server.db.broker import Subscription
from forebay_server.db.engine import Database, Transaction
from forebay_server.events.filters import EventFilter
from forebay_server.events.sources import EVENTS, Narrowing, Notice, Source

MAX_REPLAYED = 1_000  # the newest; source: Prefect 3.8.4 `stream_workspace_events_out`
MAX_SCANNED = 20_000  # of one source, for a filter that no index answers
PAGE = 500


class Stream:
    """Every source of events over one database."""

    def __init__(self, database: Database, sources: Sequence[Source]) -> None:
        self._database = database
        self._sources = sources

    @contextmanager
    def followed(
        self, criteria: EventFilter, *, replays: bool = True
    ) -> Iterator[tuple[Subscription[Notice], AsyncIterator[ReceivedEvent]]]:
        """What fulfils `criteria`: first what is stored, oldest first, then what is committed.

        Nothing is left out and nothing comes twice where the one passes into the other: the
        subscription begins before the replay, and its notices of replayed events are dropped.
        """

        def wants(notice: Notice) -> bool:
            return criteria.may_include(notice.event)

        with self._database.broker.subscribe(EVENTS, wants) as subscription:
            yield subscription, self._follow(criteria, subscription, replays)

    async def _follow(
        self, criteria: EventFilter, subscription: Subscription[Notice], replays: bool
    ) -> AsyncIterator[ReceivedEvent]:
        replayed: set[UUID] = set()
        for event in await self.replay(criteria) if replays else ():
            replayed.add(event.id)
            yield event
        while True:
            for event in await self._read(await subscription.take()):
                if event.id in replayed:
                    replayed.discard(event.id)
                elif criteria.includes(event):
                    yield event

    async def replay(self, criteria: EventFilter, most: int = MAX_REPLAYED) -> list[ReceivedEvent]:
        """The newest `most` events that fulfil `criteria`, oldest first."""
        found: list[ReceivedEvent] = []
        async with self._database.read() as db:
            for source in self._sources:
                found += await _newest(db, source, criteria, most)
        found.sort(key=lambda event: (event.occurred, event.id))
        if criteria.resource is not None and criteria.resource.distinct:
            found = list({event.resource[RESOURCE_ID]: event for event in found}.values())
        return found[-most:]

    async def _read(self, notices: Sequence[Notice]) -> list[ReceivedEvent]:
        """The events of `notices` in their order, without those deleted meanwhile."""
        found: dict[UUID, ReceivedEvent] = {}
        async with self._database.read() as db:
            for source in self._sources:
                ids = tuple(notice.id for notice in notices if notice.source == source.name)
                if ids:
                    events = await source.newest(db, Narrowing(ids=ids), len(ids))
                    found |= {event.id: event for event in events}
        return [found[notice.id] for notice in notices if notice.id in found]


async def _newest(
    db: Transaction, source: Source, criteria: EventFilter, most: int
) -> list[ReceivedEvent]:
    found: list[ReceivedEvent] = []
    narrowing = criteria.narrowing()
    for _ in range(MAX_SCANNED // PAGE):
        page = await source.newest(db, narrowing, PAGE)
        found += [event for event in page if criteria.includes(event)]
        if len(page) < PAGE or len(found) >= most:
            break
        narrowing = replace(narrowing, before=(page[-1].occurred, page[-1].id))
    return found[:most]
