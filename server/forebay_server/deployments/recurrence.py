"""When schedules fall due. Pure; knows no deployment and no database.

What a schedule costs does not grow with its age: intervals are computed, rules are begun near
the time that is asked about, and a rule that finds nothing is given up after `MAX_STEPS`.
Source: Prefect 3.8.4 `server/schemas/schedules.py`, whose local times these are.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count as count_from
from zoneinfo import ZoneInfo

from croniter import croniter
from croniter.croniter import CroniterError

from forebay.wire.schedules import CronSchedule, IntervalSchedule, RRuleSchedule, Schedule
from forebay_server.deployments.rrules import TooManySteps, local_times, parse

# Far from where dates overflow.
FIRST_YEAR, LAST_YEAR = 1900, 2200
MAX_INTERVAL = timedelta(days=36_525)


class BadSchedule(Exception):
    """A schedule that cannot be followed; `field` is what is wrong with it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def check(schedule: Schedule, now: datetime) -> None:
    """Raises `BadSchedule` unless its dates from `now` on can be found."""
    zone = _zone(schedule.timezone)
    if isinstance(schedule, IntervalSchedule):
        if not FIRST_YEAR <= schedule.anchor_date.year < LAST_YEAR:
            raise BadSchedule(
                "anchor_date", f"must lie between the years {FIRST_YEAR} and {LAST_YEAR}"
            )
        if schedule.interval > MAX_INTERVAL:
            raise BadSchedule("interval", "must be at most a hundred years")
    elif isinstance(schedule, CronSchedule):
        _check_cron(schedule.cron)
    else:
        try:
            next(local_times(parse(schedule.rrule, zone), _local(now, zone)), None)
        except ValueError as error:
            raise BadSchedule("rrule", f"is not a recurrence rule: {error}") from None
        except TooManySteps:
            raise BadSchedule(
                "rrule", "matches no date, or only after more steps than are taken"
            ) from None


def dates(schedule: Schedule, start: datetime, count: int, end: datetime) -> list[datetime]:
    """The first `count` dates of a checked schedule from `start` to `end`, in UTC, sorted.

    A local time that the clocks skip is moved on by what they skip; one that they show twice
    means the first. A rule is followed as far as `MAX_STEPS` go.
    """
    found: set[datetime] = set()
    try:
        for date in _candidates(schedule, start):
            if date > end or len(found) == count:
                break
            if date >= start:
                found.add(date)
    except (TooManySteps, ValueError, OverflowError):
        pass  # nothing more within reach
    return sorted(found)


def _candidates(schedule: Schedule, start: datetime) -> Iterator[datetime]:
    zone = _zone(schedule.timezone)
    if isinstance(schedule, IntervalSchedule):
        return _interval_dates(schedule, zone, start)
    local_start = _local(start, zone)
    # Just after clocks were put forward, skipped times are still to come.
    earlier = start - timedelta(hours=3)
    if _local(earlier, zone) != local_start - timedelta(hours=3):
        local_start -= timedelta(hours=3)
    if isinstance(schedule, RRuleSchedule):
        times = local_times(parse(schedule.rrule, zone), local_start)
    else:
        times = _cron_times(schedule, local_start)
    return (_utc(time, zone) for time in times)


def _interval_dates(
    schedule: IntervalSchedule, zone: ZoneInfo, start: datetime
) -> Iterator[datetime]:
    anchor = _local(schedule.anchor_date, zone)
    days = timedelta(days=schedule.interval.days)
    rest = schedule.interval - days
    # Local days may be longer or shorter than 24 hours, hence two steps earlier.
    first = (start - schedule.anchor_date) // schedule.interval - 2
    for step in count_from(first):
        if not days:
            yield schedule.anchor_date + step * rest
        else:
            yield _utc(anchor + step * days, zone) + step * rest


def _cron_times(schedule: CronSchedule, start: datetime) -> Iterator[datetime]:
    before = start.replace(microsecond=0) - timedelta(seconds=1)
    times = croniter(schedule.cron, before, day_or=schedule.day_or, max_years_between_matches=1)
    while True:
        try:
            yield times.get_next(datetime)
        except CroniterError:
            return  # no match within a year


def _check_cron(expression: str) -> None:
    # Hashed and random fields would fall on another time in every process.
    if any(field[:1].upper() in ("H", "R") for field in expression.split()):
        raise BadSchedule("cron", "must not have hashed or random fields (H, R)")
    if not croniter.is_valid(expression):
        raise BadSchedule("cron", "is not a cron expression")


def _zone(name: str | None) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (KeyError, ValueError, OSError):
        raise BadSchedule("timezone", "is not the IANA name of a time zone") from None


def _local(time: datetime, zone: ZoneInfo) -> datetime:
    return time.astimezone(zone).replace(tzinfo=None)


def _utc(local: datetime, zone: ZoneInfo) -> datetime:
    return local.replace(tzinfo=zone).astimezone(UTC)
