"""Rules for attribute values, to be named in declarations. Knows no resource."""

import re
from collections.abc import Callable
from typing import Any

from forebay_provider.framework.declarations import Check


def at_least(bound: int) -> Check:
    """A number of `bound` or more."""
    return Check(
        lambda value: None if value >= bound else f"must be at least {bound}, not {value}",
        f"At least {bound}.",
    )


def at_most(bound: int) -> Check:
    """A number of `bound` or less."""
    return Check(
        lambda value: None if value <= bound else f"must be at most {bound}, not {value}",
        f"At most {bound}.",
    )


def one_of(*choices: str) -> Check:
    """One of the strings."""
    listed = ", ".join(f'"{choice}"' for choice in choices)
    return Check(
        lambda value: None if value in choices else f"must be one of {listed}, not {value!r}",
        f"One of {listed}.",
    )


def matches(pattern: str, rule: str) -> Check:
    """A string that matches `pattern` from end to end; `rule` completes "must …"."""
    compiled: list[re.Pattern[str]] = []  # compiled on first use: most starts check nothing

    def complaint(value: str) -> str | None:
        if not compiled:
            compiled.append(re.compile(pattern))
        return None if compiled[0].fullmatch(value) else f"must {rule}, not {value!r}"

    return Check(complaint, f"Must {rule}.")


def custom(complaint: Callable[[Any], str | None], doc: str = "") -> Check:
    """A rule of one's own: says what is wrong with a value, or None."""
    return Check(complaint, doc)
