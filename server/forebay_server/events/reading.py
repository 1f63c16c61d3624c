"""Reads pages of the events of every source, and counts them. Knows no HTTP and no caller.

Filters decide in Python what no index answers, so what one request reads is bounded.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from forebay.wire.events import RESOURCE_ID, ReceivedEvent
from forebay_server.db.engine import Transaction
from forebay_server.events.filters import EventFilter
from forebay_server.events.sources import Position, Source

MAX_SCANNED = 20_000  # of one source in one request, for a filter that no index answers
MAX_COUNTED = 100_000  # of one source, where an index answers
PAGE = 500

# Leaves out what the caller may not see.
Keep = Callable[[Transaction, Sequence[ReceivedEvent]], Awaitable[Sequence[ReceivedEvent]]]


@dataclass(frozen=True)
class Found:
    """A page of events, and after which event the next one begins; None after the last."""

    events: Sequence[ReceivedEvent]
    beyond: Position | None


def position(event: ReceivedEvent) -> Position:
    """Where the event stands among all."""
    return event.occurred, event.id


def last_of_each(events: Iterable[ReceivedEvent]) -> list[ReceivedEvent]:
    """The last of `events`, which are in order of time, about each primary resource."""
    return sorted({e.resource[RESOURCE_ID]: e for e in events}.values(), key=position)


async def matching(
    db: Transaction,
    source: Source,
    criteria: EventFilter,
    most: int,
    *,
    beyond: Position | None = None,
    keep: Keep | None = None,
    is_oldest_first: bool = False,
) -> tuple[list[ReceivedEvent], Position | None]:
    """Events of `source` that fulfil `criteria`, until there are more than `most`.

    They are all there are up to the position that is told beside them; with None, all there are.
    """
    found: list[ReceivedEvent] = []
    narrowing = replace(criteria.narrowing(), beyond=beyond)
    for _ in range(MAX_SCANNED // PAGE):
        page = await source.read(db, narrowing, PAGE, is_oldest_first=is_oldest_first)
        fitting = [event for event in page if criteria.includes(event)]
        found += fitting if keep is None else await keep(db, fitting)
        if len(page) < PAGE:
            return found, None
        narrowing = replace(narrowing, beyond=position(page[-1]))
        if len(found) > most:
            break
    return found, narrowing.beyond


class Reader:
    """Every source of events, as one list; with `keep`, as somebody sees it who may not see all."""

    def __init__(self, sources: Sequence[Source], keep: Keep | None = None) -> None:
        self._sources = sources
        self._keep = keep

    async def page(
        self, db: Transaction, criteria: EventFilter, limit: int, beyond: Position | None = None
    ) -> Found:
        """At most `limit` events that fulfil `criteria`, in its order, after `beyond`.

        There may be fewer, though more are to come, where few of many fulfil it.
        """
        if limit == 0:
            return Found([], None)
        is_newest_first = not criteria.is_oldest_first
        horizon = None
        if criteria.is_distinct:
            events = await self.newest(db, criteria)
            if beyond is not None:
                events = [e for e in events if _is_beyond(e, beyond, criteria)]
        else:
            events, horizon = await self._merged(db, criteria, limit, beyond)
        events.sort(key=position, reverse=is_newest_first)
        if len(events) > limit:
            return Found(events[:limit], position(events[limit - 1]))
        return Found(events, horizon)

    async def count(self, db: Transaction, criteria: EventFilter) -> int:
        """How many events fulfil `criteria`, as far as they are read or counted."""
        if criteria.is_narrowed() and self._keep is None:
            narrowing = criteria.narrowing()
            return sum([await s.count(db, narrowing, MAX_COUNTED) for s in self._sources])
        return len(await self.newest(db, criteria))

    async def newest(self, db: Transaction, criteria: EventFilter) -> list[ReceivedEvent]:
        """What fulfils `criteria` of the newest events, the oldest first."""
        found: list[ReceivedEvent] = []
        for source in self._sources:
            found += (await matching(db, source, criteria, MAX_SCANNED, keep=self._keep))[0]
        found.sort(key=position)
        return last_of_each(found) if criteria.is_distinct else found

    async def _merged(
        self, db: Transaction, criteria: EventFilter, most: int, beyond: Position | None
    ) -> tuple[list[ReceivedEvent], Position | None]:
        """Events of all sources up to where each of them has been read, and where that is."""
        is_oldest_first = criteria.is_oldest_first
        found: list[ReceivedEvent] = []
        ends: list[Position] = []
        for source in self._sources:
            events, end = await matching(
                db,
                source,
                criteria,
                most,
                beyond=beyond,
                keep=self._keep,
                is_oldest_first=is_oldest_first,
            )
            found += events
            ends += [] if end is None else [end]
        if not ends:
            return found, None
        horizon = min(ends) if is_oldest_first else max(ends)
        return [e for e in found if not _is_beyond(e, horizon, criteria)], horizon


def _is_beyond(event: ReceivedEvent, mark: Position, criteria: EventFilter) -> bool:
    """Whether the event comes after `mark` in the order that `criteria` asks for."""
    return position(event) > mark if criteria.is_oldest_first else position(event) < mark
