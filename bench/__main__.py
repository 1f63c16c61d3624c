"""Measures the server against its targets: `python -m bench`.

    python -m bench [--db sqlite --db postgres] [--only delivery …] [--seconds 4] [--servers 1]
                    [--large] [--keep bench/results]

Every measurement has servers and a database of its own. What is printed: each figure with its
bound, and the floor where the same work was done without Forebay in the same run. What counts is
CPU and ratios; a busy machine disturbs rates. With `--keep` the figures are written as JSON too.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from bench import claims, creates, delivery, finished, pages, starts, waits
from bench.stage import Figure, Stage, stage

MEASURES: dict[str, Callable[[Stage], Awaitable[list[Figure]]]] = {
    "delivery": delivery.measure,
    "claims": claims.measure,
    "creates": creates.measure,
    "finished": finished.measure,
    "pages": pages.measure,
    "starts": starts.measure,
    "waits": waits.measure,
}
MARKS = {None: "  ", True: "ok", False: "NO"}


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--db", action="append", choices=["sqlite", "postgres"])
    parser.add_argument("--only", action="append", choices=[*MEASURES])
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--servers", type=int, default=1)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--keep", type=Path)
    return parser.parse_args()


def line(figure: Figure) -> str:
    """A figure as a line of the table."""
    bound = ""
    if figure.bound is not None:
        bound = f"{'≥' if figure.is_least else '≤'} {figure.bound:g}"
    floor = "" if figure.floor is None else f"floor {figure.floor:.0f}"
    value = f"{figure.value:10.2f} {figure.unit:4}"
    mark = MARKS[figure.is_met]
    return f"{mark} {figure.target:4} {figure.db:9} {figure.what:62} {value} {bound:8} {floor}"


async def measure(arguments: argparse.Namespace) -> list[Figure]:
    """All figures asked for, printed as they come."""
    figures: list[Figure] = []
    for db in arguments.db or ["sqlite", "postgres"]:
        servers = 1 if db == "sqlite" else arguments.servers
        for name in arguments.only or MEASURES:
            context = stage(
                db, servers=servers, seconds=arguments.seconds, is_large=arguments.large
            )
            async with context as made:
                for figure in await MEASURES[name](made):
                    figures.append(figure)
                    print(line(figure), flush=True)
    return figures


def keep(folder: Path, figures: list[Figure], servers: int) -> None:
    """Write the figures to a file named by the day and the commit."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    day = datetime.now(UTC).date().isoformat()
    folder.mkdir(parents=True, exist_ok=True)
    found = {"date": day, "commit": commit, "servers": servers}
    path = folder / f"{day}-{commit}-{servers}.json"
    path.write_text(json.dumps({**found, "figures": [f.as_json() for f in figures]}, indent=1))
    print(path)


def main() -> None:
    """Measure; exit code 1 when a target is missed."""
    arguments = options()
    figures = asyncio.run(measure(arguments))
    missed = [figure for figure in figures if figure.is_met is False]
    bounded = [figure for figure in figures if figure.is_met is not None]
    print(f"{len(bounded) - len(missed)} of {len(bounded)} targets met")
    if arguments.keep:
        keep(arguments.keep, figures, arguments.servers)
    sys.exit(1 if missed else 0)


main()
