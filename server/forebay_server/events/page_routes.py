"""HTTP of stored events, page by page and counted: parse, call, return."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Query, Request
from pydantic import Field

from forebay.wire.base import Lenient
from forebay.wire.events import EventCount, EventPage
from forebay_server.access.roles import Principal
from forebay_server.db.engine import Transaction
from forebay_server.events import belonging, counting, page_tokens
from forebay_server.events.counting import Countable, TimeUnit
from forebay_server.events.filters import EventFilter, OccurredCriteria
from forebay_server.events.page_tokens import PageToken
from forebay_server.events.reading import Reader
from forebay_server.events.sources import Position, Source
from forebay_server.protocol import Read, api_router, page_limit

router = api_router("Events", "/events")

EVENTS_IN_PAGE = 50  # unless asked for otherwise; source: Prefect 3.8.4 `INTERACTIVE_PAGE_SIZE`
FIRST_TIME = datetime.min.replace(tzinfo=UTC)
COUNTED_RANGE = timedelta(days=180)  # unless told; source: Prefect 3.8.4 `EventOccurredFilter`


class EventQuery(Lenient):
    """Which events, and how many at once."""

    filter: EventFilter | None = None
    limit: int | None = None


class EventCountQuery(Lenient):
    """Which events are counted; the interval is for counts by time."""

    filter: EventFilter
    time_unit: TimeUnit | None = None
    time_interval: Annotated[float, Field(ge=0.01, le=10_000)] | None = None


@router.post("/filter")
async def filter_events(request: Request, db: Read, body: EventQuery | None = None) -> EventPage:
    """Events that fulfil all criteria, the newest first unless ordered; at most 200 a page.

    `total` is of all pages, as far as it is counted. A worker's token sees those of its pool's
    runs.
    """
    query = body or EventQuery()
    criteria = query.filter or EventFilter()
    limit = page_limit(EVENTS_IN_PAGE if query.limit is None else query.limit)
    total = await _reader(request).count(db, criteria)
    return await _page(request, db, criteria, limit, total)


@router.get("/filter/next")
async def read_next_events(
    request: Request, db: Read, page_token: Annotated[str, Query(alias="page-token")]
) -> EventPage:
    """The page of events that comes after another, whose answer names its address."""
    token = page_tokens.decode(page_token)
    return await _page(request, db, token.filter, token.limit, token.total, token.beyond)


@router.post("/count-by/{countable}")
async def count_events(
    request: Request, countable: Countable, body: EventCountQuery, db: Read
) -> list[EventCount]:
    """How many events there are of each name, about each resource or in each interval of time."""
    at = await db.now()
    occurred = body.filter.occurred or OccurredCriteria()
    until = min(occurred.until or at, at)
    since = occurred.since or max(until, FIRST_TIME + COUNTED_RANGE) - COUNTED_RANGE
    within = OccurredCriteria(since=since, until=occurred.until or at)
    criteria = body.filter.model_copy(update={"occurred": within})
    reader = _reader(request)
    match countable:
        case Countable.EVENT:
            return counting.by_name(await reader.newest(db, criteria))
        case Countable.RESOURCE:
            return counting.by_resource(await reader.newest(db, criteria))
        case Countable.DAY:
            interval = timedelta(days=1)
        case Countable.TIME:
            interval = (body.time_unit or TimeUnit.DAY).times(body.time_interval or 1.0)
    counting.check_intervals(since, until, interval)
    return counting.by_time(await reader.newest(db, criteria), since, until, interval)


def _reader(request: Request) -> Reader:
    """The events that the caller may see."""
    sources: tuple[Source, ...] = request.app.state.event_sources
    principal: Principal = request.state.principal
    return Reader(sources, belonging.only_of_pool(principal.pool) if principal.pool else None)


async def _page(
    request: Request,
    db: Transaction,
    criteria: EventFilter,
    limit: int,
    total: int,
    beyond: Position | None = None,
) -> EventPage:
    found = await _reader(request).page(db, criteria, limit, beyond)
    address = None
    if found.beyond is not None:
        token = PageToken(filter=criteria, limit=limit, beyond=found.beyond, total=total)
        base = str(request.base_url)
        address = f"{base}api/events/filter/next?page-token={page_tokens.encode(token)}"
    return EventPage(events=list(found.events), total=total, next_page=address)
