"""Replays and follows events of every source. Knows no HTTP and no websocket."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from forebay.wire.events import ReceivedEvent
from forebay_server.db.broker import Subscription
from forebay_server.db.engine import Database
from forebay_server.events.filters import EventFilter
from forebay_server.events.reading import last_of_each, matching, position
from forebay_server.events.sources import EVENTS, Narrowing, Notice, Source

MAX_REPLAYED = 1_000  # the newest; source: Prefect 3.8.4 `stream_workspace_events_out`


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
                newest, _ = await matching(db, source, criteria, most)
                found += newest[:most]
        found.sort(key=position)
        return (last_of_each(found) if criteria.is_distinct else found)[-most:]

    async def _read(self, notices: Sequence[Notice]) -> list[ReceivedEvent]:
        """The events of `notices` in their order, without those deleted meanwhile."""
        found: dict[UUID, ReceivedEvent] = {}
        async with self._database.read() as db:
            for source in self._sources:
                ids = tuple(notice.id for notice in notices if notice.source == source.name)
                if ids:
                    events = await source.read(db, Narrowing(ids=ids), len(ids))
                    found |= {event.id: event for event in events}
        return [found[notice.id] for notice in notices if notice.id in found]
