"""When schedules fall due: a table of cases, and rules against `dateutil` itself."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule as dateutil
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from forebay.wire.schedules import Schedule
from forebay_server.deployments.recurrence import BadSchedule, check, dates
from forebay_server.deployments.rrules import TooManySteps, local_times, parse

NOW = datetime(2030, 1, 1, tzinfo=UTC)
DAY = 86400
NEW_YORK = "America/New_York"  # clocks: +1 h on 2030-03-10 at 07:00Z, -1 h on 2030-11-03 at 06:00Z


def a_schedule(**fields: Any) -> Schedule:
    schedule: Schedule = TypeAdapter[Schedule](Schedule).validate_python(fields)
    return schedule


def every(seconds: float, anchor: str, timezone: str | None = "UTC") -> Schedule:
    return a_schedule(interval=seconds, anchor_date=anchor, timezone=timezone)


def cron(expression: str, timezone: str | None = None, *, day_or: bool = True) -> Schedule:
    return a_schedule(cron=expression, timezone=timezone, day_or=day_or)


def rrule(text: str, timezone: str | None = "UTC") -> Schedule:
    return a_schedule(rrule=text, timezone=timezone)


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00+00:00")


CASES = [
    (
        "an interval counts from its anchor",
        every(3600, "2020-01-01T00:15:00Z"),
        "2030-01-01T00:00",
        ["2030-01-01T00:15", "2030-01-01T01:15", "2030-01-01T02:15"],
    ),
    (
        "an anchor may lie ahead",
        every(3600, "2040-01-01T00:15:00Z"),
        "2030-01-01T00:15",
        ["2030-01-01T00:15", "2030-01-01T01:15"],
    ),
    (
        "whole days keep the hour when clocks are put forward",
        every(DAY, "2030-01-01T14:00:00Z", NEW_YORK),
        "2030-03-09T00:00",
        ["2030-03-09T14:00", "2030-03-10T13:00", "2030-03-11T13:00"],
    ),
    (
        "whole days keep the hour when clocks are put back",
        every(DAY, "2030-06-01T13:00:00Z", NEW_YORK),
        "2030-11-02T00:00",
        ["2030-11-02T13:00", "2030-11-03T14:00", "2030-11-04T14:00"],
    ),
    (
        "less than a day is absolute time",
        every(DAY / 2, "2030-03-09T14:00:00Z", NEW_YORK),
        "2030-03-09T14:00",
        ["2030-03-09T14:00", "2030-03-10T02:00", "2030-03-10T14:00"],
    ),
    (
        "a day and an hour are a local day and an absolute hour",
        every(DAY + 3600, "2030-03-09T14:00:00Z", NEW_YORK),
        "2030-03-09T14:00",
        ["2030-03-09T14:00", "2030-03-10T14:00", "2030-03-11T15:00"],
    ),
    (
        "a day that a zone left out comes once",
        every(DAY, "2011-12-28T22:00:00Z", "Pacific/Apia"),
        "2011-12-28T12:00",
        ["2011-12-28T22:00", "2011-12-29T22:00", "2011-12-30T22:00"],
    ),
    (
        "cron means UTC without a zone",
        cron("30 4 * * *"),
        "2030-01-01T04:30",
        ["2030-01-01T04:30", "2030-01-02T04:30"],
    ),
    (
        "cron by name",
        cron("@weekly"),
        "2030-01-01T00:00",
        ["2030-01-06T00:00", "2030-01-13T00:00"],
    ),
    (
        "a local time that clocks skip is moved on",
        cron("30 2 * * *", NEW_YORK),
        "2030-03-09T00:00",
        ["2030-03-09T07:30", "2030-03-10T07:30", "2030-03-11T06:30"],
    ),
    (
        "a skipped time still comes when asked about just after the change",
        cron("30 2 * * *", NEW_YORK),
        "2030-03-10T07:10",
        ["2030-03-10T07:30", "2030-03-11T06:30"],
    ),
    (
        "a local time that clocks show twice means the first",
        cron("30 1 * * *", NEW_YORK),
        "2030-11-03T00:00",
        ["2030-11-03T05:30", "2030-11-04T06:30"],
    ),
    (
        "an hourly cron runs once an hour over a skipped one",
        cron("0 * * * *", NEW_YORK),
        "2030-03-10T05:00",
        ["2030-03-10T05:00", "2030-03-10T06:00", "2030-03-10T07:00", "2030-03-10T08:00"],
    ),
    (
        "day of month or day of week",
        cron("0 0 13 * 5"),
        "2030-09-07T00:00",
        ["2030-09-13T00:00", "2030-09-20T00:00", "2030-09-27T00:00", "2030-10-04T00:00"],
    ),
    (
        "day of month and day of week",
        cron("0 0 13 * 5", day_or=False),
        "2030-09-07T00:00",
        ["2030-09-13T00:00", "2030-12-13T00:00"],
    ),
    ("a cron that never comes", cron("0 0 30 2 *"), "2030-01-01T00:00", []),
    (
        "a rule begins in 2020 unless it says otherwise",
        rrule("FREQ=WEEKLY;INTERVAL=2"),
        "2030-01-01T00:00",
        ["2030-01-02T00:00", "2030-01-16T00:00"],
    ),
    (
        "a rule is in local time",
        rrule("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0", NEW_YORK),
        "2030-03-09T00:00",
        ["2030-03-09T14:00", "2030-03-10T13:00"],
    ),
    (
        "a start in another zone is moved to the schedule's",
        rrule("DTSTART;TZID=Europe/Berlin:20300101T120000\nRRULE:FREQ=DAILY;COUNT=2", NEW_YORK),
        "2030-01-01T00:00",
        ["2030-01-01T11:00", "2030-01-02T11:00"],
    ),
    (
        "an end in UTC",
        rrule("FREQ=DAILY;BYHOUR=9;BYMINUTE=0;BYSECOND=0;UNTIL=20300102T140000Z", NEW_YORK),
        "2030-01-01T00:00",
        ["2030-01-01T14:00", "2030-01-02T14:00"],
    ),
    (
        "a set of rules and dates less others",
        rrule(
            "DTSTART:20300101T060000\nRRULE:FREQ=DAILY;COUNT=4\nRDATE:20300103T120000,"
            "20300102T060000\nEXDATE:20300102T060000\nEXRULE:FREQ=DAILY;INTERVAL=3"
        ),
        "2030-01-01T00:00",
        ["2030-01-03T06:00", "2030-01-03T12:00"],
    ),
    (
        "months without a 31st are left out",
        rrule("DTSTART:20000131T120000\nRRULE:FREQ=MONTHLY"),
        "2030-02-01T00:00",
        ["2030-03-31T12:00", "2030-05-31T12:00"],
    ),
    (
        "a leap day comes every four years",
        rrule("DTSTART:20000229T120000\nRRULE:FREQ=YEARLY"),
        "2030-01-01T00:00",
        ["2032-02-29T12:00", "2036-02-29T12:00"],
    ),
    (
        "the first Monday of the year is counted in the year",
        rrule("DTSTART:20200101T000000\nRRULE:FREQ=YEARLY;BYDAY=+2MO"),
        "2030-01-01T00:00",
        ["2030-01-14T00:00", "2031-01-13T00:00"],
    ),
    (
        "a count is spent by what lies back",
        rrule("DTSTART:20291230T000000\nRRULE:FREQ=DAILY;COUNT=4"),
        "2030-01-01T00:00",
        ["2030-01-01T00:00", "2030-01-02T00:00"],
    ),
    (
        "a count that is spent long ago",
        rrule("DTSTART:19000101T000000\nRRULE:FREQ=SECONDLY;COUNT=1000000000"),
        "2030-01-01T00:00",
        [],
    ),
    (
        "a rule as old as can be",
        rrule("DTSTART:19000101T000007\nRRULE:FREQ=SECONDLY;INTERVAL=7200"),
        "2030-01-01T00:00",
        ["2030-01-01T00:00:07", "2030-01-01T02:00:07"],
    ),
    (
        "a rule of every second",
        rrule("FREQ=SECONDLY"),
        "2030-01-01T00:00",
        ["2030-01-01T00:00:00", "2030-01-01T00:00:01"],
    ),
    (
        "an old rule that excludes itself gives nothing and ends",
        rrule("DTSTART:20200101T000000\nRRULE:FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY"),
        "2030-01-01T00:00",
        [],
    ),
]


@pytest.mark.parametrize(
    ("schedule", "start", "wanted"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_dates(schedule: Schedule, start: str, wanted: list[str]) -> None:
    end = at(start) + timedelta(days=10_000)

    found = dates(schedule, at(start), max(1, len(wanted)), end)

    assert [date.replace(tzinfo=None) for date in found] == list(
        map(datetime.fromisoformat, wanted)
    )


def test_dates_end_at_the_end_and_include_it() -> None:
    schedule = every(3600, "2030-01-01T00:00:00Z")

    found = dates(schedule, NOW, 100, NOW + timedelta(hours=2))

    assert [date.hour for date in found] == [0, 1, 2]


@pytest.mark.parametrize("anchor", ["1900-01-01T00:00:00Z", "2199-12-31T00:00:00Z"])
def test_the_longest_interval_overflows_nowhere(anchor: str) -> None:
    schedule = every(36_525 * DAY, anchor)

    check(schedule, NOW)

    assert len(dates(schedule, NOW, 2, NOW + timedelta(days=2 * 36_525))) == 2


BAD = [
    (cron("bad cron"), "cron"),
    (cron("60 * * * *"), "cron"),
    (cron(""), "cron"),
    (cron("H * * * *"), "cron"),
    (cron("R R * * *"), "cron"),
    (cron("0 0 * * *", "Mars/X"), "timezone"),
    (cron("0 0 * * *", "../../etc/passwd"), "timezone"),
    (cron("0 0 * * *", "America"), "timezone"),
    (every(60, "1899-01-01T00:00:00Z"), "anchor_date"),
    (every(60, "2200-01-01T00:00:00Z"), "anchor_date"),
    (every(36_526 * DAY, "2030-01-01T00:00:00Z"), "interval"),
    (rrule("FREQ=BAD"), "rrule"),
    (rrule(""), "rrule"),
    (rrule("FREQ=DAILY;INTERVAL=0"), "rrule"),
    (rrule("FREQ=DAILY;INTERVAL=-1"), "rrule"),
    (rrule("FREQ=HOURLY;BYHOUR=53"), "rrule"),
    (rrule("FREQ=MONTHLY;BYEASTER=366"), "rrule"),
    (rrule("FREQ=YEARLY;BYDAY=99MO"), "rrule"),
    (rrule("DTSTART;TZID=/etc/passwd:20200101T000000\nRRULE:FREQ=DAILY"), "rrule"),
    (rrule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"), "rrule"),
    (rrule("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30"), "rrule"),
    (rrule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"), "rrule"),
    (rrule("FREQ=SECONDLY;BYHOUR=0;BYMINUTE=0;BYSECOND=0;BYMONTH=2;BYMONTHDAY=30"), "rrule"),
]


@pytest.mark.parametrize(("schedule", "field"), BAD)
def test_a_schedule_that_cannot_be_followed_is_told_by_its_field(
    schedule: Schedule, field: str
) -> None:
    with pytest.raises(BadSchedule) as caught:
        check(schedule, NOW)

    assert caught.value.field == field


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_schedules_that_have_dates_are_good(case: tuple[str, Schedule, str, list[str]]) -> None:
    if case[3]:
        check(case[1], at(case[2]))


@given(text=st.text(alphabet="RULEFQ=DAYSCONTIV;:0123456789,MTWH\n-+*/@ ", max_size=60))
def test_no_text_is_too_bad_to_be_refused(text: str) -> None:
    for schedule in (cron(text), rrule(text), rrule(f"FREQ=DAILY;{text}"), every(1, "2030-01-01")):
        try:
            check(schedule, NOW)
        except BadSchedule:
            continue
        dates(schedule, NOW, 3, NOW + timedelta(days=100))


LONG_AGO = datetime(2019, 1, 1)  # noqa: DTZ001 - local, as rules are
# How much later than DTSTART to ask: far enough to begin elsewhere, near enough for `dateutil`.
REACH = {
    "YEARLY": timedelta(days=4000),
    "MONTHLY": timedelta(days=4000),
    "WEEKLY": timedelta(days=2000),
    "DAILY": timedelta(days=2000),
    "HOURLY": timedelta(days=200),
    "MINUTELY": timedelta(days=10),
    "SECONDLY": timedelta(hours=12),
}
PARTS = st.fixed_dictionaries(
    {"FREQ": st.sampled_from(sorted(REACH)), "INTERVAL": st.integers(1, 5)},
    optional={
        "BYMONTH": st.sampled_from(["1,2,3,4", "2,5,8,11", "3,6,9,12"]),
        "BYDAY": st.sampled_from(["MO", "TU,TH", "SA,SU", "MO,TU,WE,TH,FR"]),
        "BYHOUR": st.sampled_from(["0,6,12,18", "9"]),
        "BYMINUTE": st.sampled_from(["0", "0,15,30,45"]),
        "COUNT": st.integers(1, 500),
        "WKST": st.sampled_from(["MO", "SU"]),
    },
)


@settings(max_examples=100, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    parts=PARTS,
    begun=st.integers(0, 700 * DAY).map(lambda s: LONG_AGO + timedelta(seconds=s)),
    share=st.floats(0, 1),
)
def test_a_rule_begun_near_gives_what_it_gives_from_its_start(
    parts: dict[str, Any], begun: datetime, share: float
) -> None:
    if parts["FREQ"] in ("MINUTELY", "SECONDLY"):  # seconds until Saturday are too many steps
        parts = {name: value for name, value in parts.items() if not name.startswith("BY")}
    start = begun + REACH[parts["FREQ"]] * share
    rule = ";".join(f"{name}={value}" for name, value in parts.items())
    text = f"DTSTART:{begun:%Y%m%dT%H%M%S}\nRRULE:{rule}"

    try:
        whole: Any = dateutil.rrulestr(text)
        wanted = list(whole.xafter(start, count=5, inc=True))
    except ValueError:  # such as BYHOUR that an interval of hours never meets
        with pytest.raises(ValueError):
            list(islice(local_times(parse(text, ZoneInfo("UTC")), start), 5))
        return
    try:
        found = list(islice(local_times(parse(text, ZoneInfo("UTC")), start), 5))
    except TooManySteps:  # such as every third month from January, but only in March
        found = []

    assert found == wanted
