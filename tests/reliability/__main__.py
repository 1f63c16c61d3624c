"""Runs every module, whatever became of those before, and ends with a table of figures and bounds.

`python -m tests.reliability` (an hour), `--tier night` (a night); `--only drain` those with it.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True)
class Play:
    """A module with its options, and what some of its figures must keep to.

    `figures` are names with their bounds; one with `|` is for the quick and for the night tier.
    Whether all went well the module says itself, which knows more than these.
    """

    command: str
    figures: str
    quick: str = ""
    night: str = "--tier night"

    @property
    def module(self) -> str:
        """Its name."""
        return self.command.split()[0]

    def arguments(self, tier: str) -> list[str]:
        """What follows `python -m tests.reliability.` for this tier."""
        more = self.night if tier == "night" else self.quick
        return [*self.command.split(), *more.split()]

    def bounds(self, tier: str) -> Iterator[tuple[str, str, float]]:
        """Name, comparison and bound of each figure."""
        for name, sign, quick, night in re.findall(
            r"(\w+)(<=|>=)([\d.]+)(?:\|(\d+))?", self.figures
        ):
            yield name, sign, float(night if night and tier == "night" else quick)


BOTH = ("--db sqlite", "--db postgres")
PLAYS = (
    Play("model", "steps>=2000|200000 mismatches<=0"),
    Play(
        "interleavings",
        "schedules>=1000|100000 violations<=0",
        night="--tier night --seconds 28800",
    ),
    *(
        Play(
            f"limits_race {where}",
            "rounds>=200|5000 rounds_over_limit<=0 claims_twice<=0 idle_slots<=0",
            night="--tier night --seconds 3600",
        )
        for where in ("--db sqlite --servers 1", "--db postgres --servers 2")
    ),
    Play("sqlite_contention", "contradictions<=0", night="--seconds 240"),
    *(
        Play(
            f"lost_answers {db}",
            "calls>=200|10000 duplicates<=0 wrong<=0 executed_twice<=0 stuck_pending<=0",
            night="--seconds 600",
        )
        for db in BOTH
    ),
    *(
        Play(f"kill_api {db}", "kills>=5|200 lost<=0 half_objects<=0", night="--seconds 2400")
        for db in BOTH
    ),
    *(
        Play(f"kill_worker {db}", "kills>=10|500 stuck<=0 double_starts<=0 rescue_max_s<=30")
        for db in BOTH
    ),
    *(
        Play(f"zombie {db}", "stale_tried>=12 stale_accepted<=0 changed_by_return<=0", night="")
        for db in BOTH
    ),
    Play(
        "postgres_restart",
        "restarts>=2|100 lost<=0 hangs<=0 foul<=0 recovery_max_s<=3",
        night="--tier night --seconds 2400",
    ),
    *(
        Play(f"slow_database {db}", "health_p99_ms<=500 foul<=0 deadlocks_surfaced<=0")
        for db in BOTH
    ),
    *(
        Play(
            f"cuts {db}",
            "cuts>=6|300 false_rescues<=0 overlapping<=0 converge_max_s<=20",
            night="--tier night --seconds 7200",
        )
        for db in BOTH
    ),
    Play("full_disk", "rounds>=3|100 copies>=10|500 lost<=0 corrupt<=0 foul<=0 recovery_max_s<=5"),
    *(
        Play(f"clocks {where}", "jumps>=10|200 wrong_expiries<=0 missed<=0 doubled<=0")
        for where in ("--db sqlite --servers 1", "--db postgres --servers 2")
    ),
    *(
        Play(
            f"worker_clocks {db}",
            "jumps>=10|200 wrong_expiries<=0 missed<=0 doubled<=0 early<=0 put_off<=0",
            night="--seconds 600",
        )
        for db in BOTH
    ),
    Play("drain", "restarts>=2|50 failed<=0 drain_max_s<=15", night="--seconds 1200"),
    *(Play(f"drain_worker {db}", "stops>=30|510 left<=0 wrong<=0 drain_max_s<=15") for db in BOTH),
    Play("broken_applies", "applies>=10|300 orphans<=0 duplicates<=0 pending<=0 unmended<=0"),
    *(
        Play(
            f"soak {where}",
            "runs>=50|1000 lost<=0 doubled<=0 over_limit<=0",
            night="--seconds 1800",
        )
        for where in ("--db sqlite --servers 1", "--db postgres --servers 2")
    ),
    *(
        Play(
            f"fuzz_http {db}",
            "sent>=5000|500000 server_errors<=0 unanswered<=0 schema_breaks<=0 never_reached<=0",
            night="--seconds 14400 --requests 500000",
        )
        for db in BOTH
    ),
    Play("fuzz_provider", "messages>=5000|2000000 faults<=0", night="--messages 2000000"),
    Play("mutations", "planted>=30 missed<=0", night=""),
)


def run(play: Play, tier: str) -> Figures:
    """The figures that a module prints as its last line, or why there are none."""
    arguments = play.arguments(tier)
    command = [sys.executable, "-m", f"tests.reliability.{arguments[0]}", *arguments[1:]]
    began = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        figures: Figures = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        figures = {"error": f"ended with {done.returncode} and without figures", "ok": False}
    return {"name": play.module, "took_s": round(time.monotonic() - began, 1), **figures}


def compared(play: Play, figures: Figures, tier: str) -> tuple[str, bool]:
    """The figures beside their bounds, and whether all of them hold."""
    texts = []
    is_kept = bool(figures["ok"])
    for name, sign, bound in play.bounds(tier):
        number = _number(figures.get(name))
        is_within = number is not None and (number <= bound if sign == "<=" else number >= bound)
        is_kept = is_kept and is_within
        said = "-" if number is None else f"{number:g}"
        texts.append(f"{name} {said} ({sign} {bound:g}){'' if is_within else ' !'}")
    if "error" in figures:
        texts.append(str(figures["error"]))
    return ", ".join(texts), is_kept


def _number(value: object) -> float | None:
    """A figure as a number: how many there are of what is listed or counted by kind."""
    if isinstance(value, dict):
        return sum(value.values())
    if isinstance(value, list):
        return len(value)
    return float(value) if isinstance(value, int | float) else None


def main() -> int:
    """Run what is asked for; 0 when every bound holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability")
    parser.add_argument("--tier", choices=["quick", "night"], default="quick")
    parser.add_argument("--only", default="", help="modules whose command has this text")
    options = parser.parse_args()
    chosen = [play for play in PLAYS if options.only in play.command]
    rows = []
    for play in chosen:
        figures = run(play, options.tier)
        print(json.dumps(figures), flush=True)  # noqa: T201 - what this is for
        text, is_kept = compared(play, figures, options.tier)
        word = "kept" if is_kept else "MISSED"
        rows.append((word, play.command, f"{figures['took_s']:.0f} s", text))
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        print("  ".join([*cells, row[3]]))  # noqa: T201
    return int(not rows or any(row[0] == "MISSED" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
