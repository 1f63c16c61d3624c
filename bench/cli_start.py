"""P17: what a short command costs, against an empty Python, in CPU.

CPU is user and system time of the command's own process. All are run in turns, so that a busy
machine slows all of them. `work-pool ls` asks a server that is started here, whose time does not
count. Then `--help` of every command that there is, of which the slowest count.
"""

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from bench.commands import FOREBAY, serving
from bench.figures import ANY, Figure
from forebay.cli.root import build

BARE = "python -c pass"
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "forebay --help": [FOREBAY, "--help"],
    "forebay work-pool --help": [FOREBAY, "work-pool", "--help"],
    "forebay work-pool ls": [FOREBAY, "work-pool", "ls"],
    "forebay work-pool ls -o json": [FOREBAY, "work-pool", "ls", "-o", "json"],
}
MOST_MS = {"forebay --help": 300, "forebay work-pool ls": 300}
MOST_HELP_MS = 300
SHOWN = 3  # of the slowest
ROUNDS_EACH_SECOND = 4  # of the time of other measurements


def cpu_ms(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of one run, which must succeed."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def all_commands() -> list[tuple[str, ...]]:
    """The words of every command and group, hidden ones left out."""
    root = build()
    context = root.make_context("forebay", [], resilient_parsing=True)
    found: list[tuple[str, ...]] = [()]
    for name in root.list_commands(context):
        lazy: Any = root.get_command(context, name)
        app = lazy._load()  # the module behind it, which it imports when it is called
        command = typer.main.get_command(app)
        found += [(name, *words) for words in _words(command)]
    return found


def _words(command: Any) -> Iterator[tuple[str, ...]]:
    yield ()
    for name, sub in getattr(command, "commands", {}).items():
        if not sub.hidden:
            yield from ((name, *words) for words in _words(sub))


def measure(seconds: float) -> list[Figure]:
    """CPU of the commands, beside that of an empty Python."""
    helps = {f"forebay {' '.join(words)} --help": words for words in all_commands()}
    with serving("--no-services") as environment:
        for command in COMMANDS.values():
            cpu_ms(command, environment)  # once uncounted: byte code, caches
        samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
        for _ in range(max(3, int(ROUNDS_EACH_SECOND * seconds))):
            for name, command in COMMANDS.items():
                samples[name].append(cpu_ms(command, environment))
        once = {n: cpu_ms([FOREBAY, *w, "--help"], environment) for n, w in helps.items()}
        slowest = sorted(once, key=lambda name: once[name], reverse=True)[:SHOWN]
        again = {
            name: [cpu_ms([FOREBAY, *helps[name], "--help"], environment) for _ in range(3)]
            for name in slowest
        }
    bare = statistics.median(samples.pop(BARE))
    bounds = MOST_MS | dict.fromkeys(slowest, MOST_HELP_MS)
    return [
        Figure(
            "P17",
            f"{name}: CPU",
            ANY,
            statistics.median(times),
            "ms",
            bounds.get(name),
            floor=bare,
        )
        for name, times in (samples | again).items()
    ]
