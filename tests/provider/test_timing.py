"""Times, intervals and rules that are written differently and say the same."""

import pytest

from forebay_provider.resources import timing


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("0.5", 0.5),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1w1d", 691200),
        ("0", None),
        ("-1", None),
        ("inf", None),
        ("nan", None),
        ("1h 30m", None),
        ("h", None),
        ("", None),
    ],
)
def test_interval_has_so_many_seconds(text: str, expected: float | None) -> None:
    assert timing.seconds(text) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("2030-01-01T10:00:00+01:00", "2030-01-01T09:00:00.000000Z", True),
        ("2030-01-01T10:00:00Z", "2030-01-01T09:00:00Z", False),
        ("2030-01-01T10:00:00", "2030-01-01T10:00:00", False),
        ("soon", "soon", False),
    ],
)
def test_times_are_compared_as_instants(one: str, other: str, expected: bool) -> None:
    assert timing.same_instant(one, other) is expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("FREQ=DAILY;INTERVAL=2", "RRULE:INTERVAL=2;freq=daily", True),
        ("FREQ=DAILY", "DTSTART:20200101T000000\nRRULE:FREQ=DAILY", True),
        (
            "DTSTART:20200101T000000\nRRULE:FREQ=DAILY",
            "DTSTART:20210101T000000\nRRULE:FREQ=DAILY",
            False,
        ),
        ("FREQ=DAILY", "FREQ=WEEKLY", False),
        ("FREQ=DAILY", "FREQ=DAILY\nEXDATE:20300101T000000", False),
    ],
)
def test_rules_are_compared_by_what_they_say(one: str, other: str, expected: bool) -> None:
    assert timing.same_rule(one, other) is expected
    assert timing.same_rule(other, one) is expected


def test_cron_expressions_are_compared_without_regard_to_spaces() -> None:
    assert timing.same_cron(" 0  6 * * * ", "0 6 * * *")
    assert not timing.same_cron("0 6 * * *", "6 0 * * *")
