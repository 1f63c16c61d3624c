"""Measures the server, the worker, the commands and the provider against their targets.

    python -m bench [--db sqlite --db postgres] [--only delivery …] [--seconds 2] [--servers 1]
                    [--large] [--peer] [--keep bench/results]

Every measurement has servers and a database of its own. The table tells each figure with its
bound, and beside it the floor, where the same work was done without Forebay in the same run, and
the peer, where the original did it in turns with us. What counts is CPU and ratios; a busy machine
disturbs rates. With `--keep` the figures are written as JSON too, and as a plot.
"""

import argparse
import asyncio
import signal
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import cast

from bench import results
from bench.figures import Figure, table
from bench.stage import Stage, stage

DATABASES = ("sqlite", "postgres")
LONGEST_SECONDS = 1_200  # of one measurement; with the largest databases there is no end
# The modules, each with a function `measure`: of servers on each database, and of no database.
ON_SERVERS = (
    "delivery",
    "claims",
    "statements",
    "flatness",
    "finished",
    "waits",
    "creates",
    "heartbeats",
    "queues",
    "pages",
    "starts",
    "peer",
)
ALONE = ("due_starts", "provider_start", "cli_start")
Job = Callable[[], Awaitable[list[Figure]]]
OnServers = Callable[[Stage], Awaitable[list[Figure]]]
Alone = Callable[[float], list[Figure]]


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--db", action="append", choices=DATABASES)
    parser.add_argument("--only", action="append", choices=[*ON_SERVERS, *ALONE])
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--servers", type=int, default=1, help="processes on one PostgreSQL")
    parser.add_argument("--large", action="store_true", help="5 million finished runs and more")
    parser.add_argument("--peer", action="store_true", help="the original too, in .venv-prefect")
    parser.add_argument("--keep", type=Path, help="folder for the figures")
    return parser.parse_args()


def jobs(arguments: argparse.Namespace) -> Iterator[tuple[str, Job]]:
    """What is to be measured, by name."""
    names = arguments.only or [*ON_SERVERS, *ALONE]
    for name in names:
        if name in ALONE:
            alone = cast(Alone, import_module(f"bench.{name}").measure)
            yield name, partial(asyncio.to_thread, alone, arguments.seconds)
            continue
        if name == "peer" and not (arguments.peer or arguments.only):
            continue
        for db in arguments.db or DATABASES:
            yield f"{name} on {db}", partial(_on_servers, name, db, arguments)


async def _on_servers(name: str, db: str, arguments: argparse.Namespace) -> list[Figure]:
    servers = 1 if db == "sqlite" else arguments.servers
    async with (
        asyncio.timeout(None if arguments.large else LONGEST_SECONDS),
        stage(db, servers, seconds=arguments.seconds, is_large=arguments.large) as made,
    ):
        return await cast(OnServers, import_module(f"bench.{name}").measure)(made)


async def measure(arguments: argparse.Namespace, figures: list[Figure]) -> list[str]:
    """Add all figures asked for; what went wrong. One measurement that fails ends no other."""
    wrong = []
    began = time.monotonic()
    planned = [*jobs(arguments)]
    for number, (name, job) in enumerate(planned, start=1):
        at = time.monotonic() - began
        print(f"{at:5.0f} s  {number} of {len(planned)}: {name}", file=sys.stderr, flush=True)
        try:
            figures += await job()
        except Exception as error:  # noqa: BLE001 - whatever it is, the others are measured
            traceback.print_exc()
            wrong.append(f"{name}: {type(error).__name__}: {error}")
    return wrong


def label(arguments: argparse.Namespace) -> str:
    """What tells the files of a run from those of a whole one; empty for a whole one."""
    parts = [*(arguments.only or []), *(arguments.db or [])]
    parts += [f"{arguments.servers}-servers"] if arguments.servers > 1 else []
    parts += [name for name in ("large", "peer") if getattr(arguments, name)]
    return "-".join(parts)


def main() -> None:
    """Measure, print the table, keep the figures; exit code 1 when a bound is missed."""
    arguments = options()
    about = {name: getattr(arguments, name) for name in ("seconds", "servers", "large")}
    about |= {"load": results.load()}
    figures: list[Figure] = []
    wrong = ["it was interrupted"]
    # As from the keyboard, also in the background: what was started is ended, what was found told.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        wrong = asyncio.run(measure(arguments, figures))
    finally:
        print(table(figures))
        for line in wrong:
            print(f"NOT MEASURED: {line}")
        if arguments.keep:
            about["wrong"] = wrong
            print(results.keep(arguments.keep, figures, label(arguments), about))
    is_met = all(figure.is_met is not False for figure in figures)
    sys.exit(0 if is_met and not wrong else 1)


main()
