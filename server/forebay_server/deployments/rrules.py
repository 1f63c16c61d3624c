"""Recurrence rules (RFC 5545) in local time, with a bound on what they cost.

`python-dateutil` reads and follows the rules. It always begins at DTSTART and looks on to the
year 9999 for a date, so here rules begin near the time asked about and count their steps.
"""

import calendar
import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import rrule as dateutil

DEFAULT_START = datetime(2020, 1, 1)  # noqa: DTZ001 - local, like all times here
MAX_STEPS = 50_000  # days, hours, … looked at for one answer: some 50 ms
# What `dateutil` raises beside ValueError on rules that make no sense.
_STUMBLES = (AttributeError, IndexError, KeyError, OverflowError, TypeError)
_UNITS = {
    dateutil.WEEKLY: timedelta(weeks=1),
    dateutil.DAILY: timedelta(days=1),
    dateutil.HOURLY: timedelta(hours=1),
    dateutil.MINUTELY: timedelta(minutes=1),
    dateutil.SECONDLY: timedelta(seconds=1),
}


class TooManySteps(Exception):
    """No date was found within `MAX_STEPS`."""


@dataclass(frozen=True)
class RuleSet:
    """Rules and dates less other rules and dates; all times are local."""

    rules: list[Any] = field(default_factory=list)
    dates: list[datetime] = field(default_factory=list)
    excluded_rules: list[Any] = field(default_factory=list)
    excluded_dates: list[datetime] = field(default_factory=list)


class _Budget:
    """The steps that are left."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def spend(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise TooManySteps


class _Counted(frozenset[int]):
    """A set that counts how often it is asked, which a rule does in every step it takes."""

    budget: _Budget

    def __contains__(self, item: object) -> bool:
        self.budget.spend()
        return super().__contains__(item)


def parse(text: str, zone: ZoneInfo) -> RuleSet:
    """The rules in `text`, their times moved to `zone`. Raises `ValueError`."""
    try:
        found = _parse(text, DEFAULT_START, zone)
    except ValueError:
        # UNTIL in UTC wants a start with a time zone.
        found = _parse(text, DEFAULT_START.replace(tzinfo=zone), zone)
    if not isinstance(found, dateutil.rruleset):
        return RuleSet(rules=[_localized(found, zone)])
    parts: Any = found
    return RuleSet(
        rules=[_localized(rule, zone) for rule in parts._rrule],
        dates=sorted(_naive(date, zone) for date in parts._rdate),
        excluded_rules=[_localized(rule, zone) for rule in parts._exrule],
        excluded_dates=sorted(_naive(date, zone) for date in parts._exdate),
    )


def local_times(rules: RuleSet, start: datetime) -> Iterator[datetime]:
    """Times of `rules` from `start` on, each once, in order.

    Raises `TooManySteps`, or `ValueError` where a rule turns out to make no sense.
    """
    budget = _Budget(MAX_STEPS)
    excluded = _merged(rules.excluded_rules, rules.excluded_dates, start, budget)
    without = next(excluded, None)
    last = None
    for time in _merged(rules.rules, rules.dates, start, budget):
        if time < start or time == last:
            continue
        last = time
        while without is not None and without < time:
            without = next(excluded, None)
        if without != time:
            yield time


def _parse(text: str, start: datetime, zone: ZoneInfo) -> Any:
    def named(name: str) -> tzinfo:
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            raise ValueError("TZID is not the IANA name of a time zone") from None

    try:
        return dateutil.rrulestr(text, dtstart=start, tzids=named)
    except _STUMBLES as error:
        raise ValueError(f"{type(error).__name__} while reading it") from None


def _localized(rule: Any, zone: ZoneInfo) -> Any:
    if rule._interval < 1:
        raise ValueError("INTERVAL must be at least 1")
    if any(abs(n) > 53 for _, n in rule._bynweekday or ()):
        raise ValueError("BYDAY counts at most 53 weeks")
    if rule._bynweekday and rule._byweekno:
        raise ValueError("BYWEEKNO and a BYDAY that counts weeks exclude each other")
    until = rule._until and _naive(rule._until, zone)
    return rule.replace(dtstart=_naive(rule._dtstart, zone), until=until)


def _naive(time: datetime, zone: ZoneInfo) -> datetime:
    return time if time.tzinfo is None else time.astimezone(zone).replace(tzinfo=None)


def _merged(
    rules: Iterable[Any], dates: Iterable[datetime], start: datetime, budget: _Budget
) -> Iterator[datetime]:
    return heapq.merge(*(_times(rule, start, budget) for rule in rules), dates)


def _times(rule: Any, start: datetime, budget: _Budget) -> Iterator[datetime]:
    near = _begun_near(rule, start)
    if near is None:
        return
    # A rule that asks for no month and weekday is asked about all, so that it counts each day.
    # But for a yearly rule "the third Monday" means of the year, or of each month it names.
    if not (near._freq == dateutil.YEARLY and near._bynweekday):
        near._bymonth = near._bymonth or range(1, 13)
    near._byweekday = near._byweekday or range(7)
    for name in ("_bymonth", "_byweekday", "_byhour", "_byminute", "_bysecond"):
        if values := getattr(near, name):
            counted = _Counted(values)
            counted.budget = budget
            setattr(near, name, counted)
    try:
        for time in near:
            budget.spend()
            yield time
    except _STUMBLES as error:
        raise ValueError(f"{type(error).__name__} while following it") from None


def _begun_near(rule: Any, start: datetime) -> Any:
    """The rule with a later DTSTART that gives the same times from `start` on; None: no more.

    It begins a whole number of intervals later, so every remainder stays the same.
    """
    begun: datetime = rule._dtstart
    if rule._freq in _UNITS:
        unit = _UNITS[rule._freq] * rule._interval
        steps = (start - begun) // unit - 1
        if steps <= 0:
            return rule
        if rule._count is None:
            return rule.replace(dtstart=begun + steps * unit)
        if rule._original_rule:
            return rule  # how many times it gave so far cannot be computed
        left = rule._count - steps
        return rule.replace(dtstart=begun + steps * unit, count=left) if left > 0 else None
    if rule._count is not None:
        return rule
    months = rule._interval * (12 if rule._freq == dateutil.YEARLY else 1)
    elapsed = (start.year - begun.year) * 12 + start.month - begun.month
    for steps in range(elapsed // months - 1, 0, -1):
        year, month = divmod(begun.year * 12 + begun.month - 1 + steps * months, 12)
        # Not every month has a 31st, not every year a 29th of February.
        if begun.day <= calendar.monthrange(year, month + 1)[1]:
            return rule.replace(dtstart=begun.replace(year=year, month=month + 1))
    return rule
