"""Counts events by what they have in common. Pure.

Source: Prefect 3.8.4 `server/events/counting.py`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from forebay.wire.events import RESOURCE_ID, RESOURCE_NAME, EventCount, ReceivedEvent
from forebay_server.errors import Invalid

PIVOT = datetime(2024, 4, 1, tzinfo=UTC)  # a Monday; all intervals are counted from it
MAX_INTERVALS = 1_000


class Countable(StrEnum):
    """What events are counted by; `day` is an interval of one day, whatever the unit."""

    DAY = "day"
    TIME = "time"
    EVENT = "event"
    RESOURCE = "resource"


class TimeUnit(StrEnum):
    """What an interval is a multiple of."""

    WEEK = "week"
    DAY = "day"
    HOUR = "hour"
    MINUTE = "minute"
    SECOND = "second"

    def times(self, number: float) -> timedelta:
        """That many of the unit."""
        return timedelta(**{f"{self.value}s": number})


def by_name(events: Sequence[ReceivedEvent]) -> list[EventCount]:
    """How many of `events`, which are in order of time, have each name."""
    return _grouped(events, lambda event: event.event, lambda event: event.event)


def by_resource(events: Sequence[ReceivedEvent]) -> list[EventCount]:
    """How many of `events`, which are in order of time, are about each resource."""
    return _grouped(events, lambda event: event.resource[RESOURCE_ID], _name)


def _name(event: ReceivedEvent) -> str:
    resource = event.resource
    return resource.get(RESOURCE_NAME) or resource.get("prefect.name") or resource[RESOURCE_ID]


def _grouped(
    events: Sequence[ReceivedEvent],
    value: Callable[[ReceivedEvent], str],
    label: Callable[[ReceivedEvent], str],
) -> list[EventCount]:
    """Counts, the largest first, labelled as the newest event of each is."""
    groups: dict[str, list[ReceivedEvent]] = {}
    for event in events:
        groups.setdefault(value(event), []).append(event)
    counts = [
        EventCount(
            value=key,
            label=label(group[-1]),
            count=len(group),
            start_time=group[0].occurred,
            end_time=group[-1].occurred,
        )
        for key, group in groups.items()
    ]
    return sorted(counts, key=lambda count: (-count.count, count.label, count.value))


def by_time(
    events: Sequence[ReceivedEvent], since: datetime, until: datetime, interval: timedelta
) -> list[EventCount]:
    """How many of `events` are in each interval of the range, those without any included.

    Raises `Invalid` when intervals reach beyond what times can be.
    """
    try:
        return _spread(events, since, until, interval)
    except OverflowError:
        raise Invalid("The intervals reach beyond the times that there are.") from None


def check_intervals(since: datetime, until: datetime, interval: timedelta) -> None:
    """Raises `Invalid` when the range has more than `MAX_INTERVALS` intervals."""
    if (until - since) / interval > MAX_INTERVALS:
        raise Invalid(
            f"The range has more than {MAX_INTERVALS} intervals: ask for longer ones, or for a "
            "shorter range."
        )


def _spread(
    events: Sequence[ReceivedEvent], since: datetime, until: datetime, interval: timedelta
) -> list[EventCount]:
    first = (since - PIVOT) // interval
    counts: list[EventCount] = []
    start = PIVOT + interval * first
    while start < until:
        end = start + interval
        last = end - timedelta(microseconds=1)
        number = EventCount(
            value=str(len(counts)),
            label=start.isoformat(),
            count=0,
            start_time=start,
            end_time=last,
        )
        counts.append(number)
        start = end
    for event in events:
        index = (event.occurred - PIVOT) // interval - first
        if 0 <= index < len(counts):
            counts[index].count += 1
    return counts
