"""The table of all modules: what it names exists, and what misses a bound is said to."""

import re
from pathlib import Path

import pytest

from tests.reliability.__main__ import PLAYS, Figures, Play, compared

FOLDER = Path(__file__).parent
NO_MODULES = {"__main__", "wrong_clock"}  # programs, but without figures


def test_every_module_is_played_and_gives_the_figures_that_are_bound() -> None:
    programs = {
        path.stem
        for path in FOLDER.glob("*.py")
        if '\nif __name__ == "__main__"' in path.read_text()
    }

    missing = [
        f"{play.module}: {name}"
        for play in PLAYS
        for name, _, _ in play.bounds("quick")
        if not re.search(rf"\b{name}\b", (FOLDER / f"{play.module}.py").read_text())
    ]

    assert programs - NO_MODULES == {play.module for play in PLAYS}
    assert missing == []


@pytest.mark.parametrize(
    ("figures", "is_kept"),
    [
        ({"runs": 5, "lost": [], "ok": True}, True),
        ({"runs": 4, "lost": [], "ok": True}, False),
        ({"runs": 5, "lost": ["a"], "ok": True}, False),
        ({"runs": 5, "lost": {"a": 2}, "ok": True}, False),
        ({"runs": 5, "ok": True}, False),
        ({"runs": 5, "lost": 0, "ok": False}, False),
    ],
)
def test_what_misses_a_bound_is_said_to(figures: Figures, is_kept: bool) -> None:
    play = Play("soak", "runs>=2|5 lost<=0")

    assert compared(play, figures, "night")[1] is is_kept
