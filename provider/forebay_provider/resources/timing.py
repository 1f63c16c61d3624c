"""When two ways to write a time, an interval or a rule say the same. Knows no resource."""

import re
from datetime import UTC, datetime

_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?[wdhms])+")
_PART = re.compile(r"(\d+(?:\.\d+)?)([wdhms])")


def seconds(interval: str) -> float | None:
    """Seconds of `90`, `1h30m` or `1d`; None for what is no interval above zero."""
    try:
        total = float(interval)
    except ValueError:
        if not _DURATION.fullmatch(interval):
            return None
        total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(interval))
    return total if 0 < total < float("inf") else None


def instant(text: str) -> datetime | None:
    """The time that RFC 3339 text names, in UTC; None for other text."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo is None else found.astimezone(UTC)


def same_interval(one: str, other: str) -> bool:
    """Whether two intervals have the same length."""
    return seconds(one) is not None and seconds(one) == seconds(other)


def same_instant(one: str, other: str) -> bool:
    """Whether two texts name the same time."""
    return instant(one) is not None and instant(one) == instant(other)


def same_cron(one: str, other: str) -> bool:
    """Whether two cron expressions are the same but for the spaces between their fields."""
    return one.split() == other.split()


def same_rule(one: str, other: str) -> bool:
    """Whether two recurrence rules say the same; one without a start takes the other's.

    Prefect 3.8.4 answers every rule with a start that it has put before it.
    """
    (start, parts), (other_start, other_parts) = _rule(one), _rule(other)
    return parts == other_parts and (start == other_start or not start or not other_start)


def _rule(text: str) -> tuple[str, list[frozenset[str]]]:
    """The start of a rule and its lines, each as the set of what it says."""
    lines = [line.strip().upper() for line in text.splitlines() if line.strip()]
    start = "".join(line for line in lines if line.startswith("DTSTART"))
    rest = [line.removeprefix("RRULE:") for line in lines if not line.startswith("DTSTART")]
    return start, [frozenset(line.split(";")) for line in rest]
