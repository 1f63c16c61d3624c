"""What a short command costs, against an empty Python, in CPU.

    python bench/cli_start.py [--rounds 20] [--help-rounds 3]

CPU is user and system time of the command's own process. All are run in turns, so that a busy
machine slows all of them. `work-pool ls` asks a server that this script starts, whose time does
not count. Then `--help` of every command that there is: the slowest are printed, and one over the
target ends this script with code 1.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

from forebay.cli.root import build

FOREBAY = str(Path(sys.executable).parent / "forebay")
BARE = "python -c pass"
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "forebay --help": [FOREBAY, "--help"],
    "forebay work-pool --help": [FOREBAY, "work-pool", "--help"],
    "forebay work-pool ls": [FOREBAY, "work-pool", "ls"],
    "forebay work-pool ls -o json": [FOREBAY, "work-pool", "ls", "-o", "json"],
}
TARGETS_MS = {"forebay --help": 300, "forebay work-pool ls": 300}
HELP_TARGET_MS = 300
SHOWN = 10


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


def print_table(samples: dict[str, list[float]], bare: float, targets: dict[str, int]) -> None:
    print(f"{'command':<44} {'median ms':>10} {'worst ms':>10} {'x bare':>8} {'target ms':>10}")
    for name, times in samples.items():
        median = statistics.median(times)
        target = targets.get(name, "")
        print(f"{name:<44} {median:>10.0f} {max(times):>10.0f} {median / bare:>8.1f} {target:>10}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--help-rounds", type=int, default=3)
    options = parser.parse_args()
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
    helps = {f"forebay {' '.join(words)} --help": words for words in all_commands()}
    help_samples: dict[str, list[float]] = {name: [] for name in helps}
    with tempfile.TemporaryDirectory() as folder:
        # The profile that the server writes there tells the commands where it is.
        environment = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("FOREBAY_", "PREFECT_"))
        } | {"FOREBAY_HOME": folder}
        server = subprocess.Popen(
            [FOREBAY, "server", "start", "--port", "0", "--no-services"],
            env=environment,
            stdout=subprocess.PIPE,
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()
            for command in COMMANDS.values():
                cpu_ms(command, environment)  # once uncounted: byte code, caches
            for _ in range(options.rounds):
                for name, command in COMMANDS.items():
                    samples[name].append(cpu_ms(command, environment))
        finally:
            server.terminate()
            server.wait()
        for _ in range(options.help_rounds):
            for name, words in helps.items():
                help_samples[name].append(cpu_ms([FOREBAY, *words, "--help"], environment))
    bare = statistics.median(samples[BARE])
    print_table(samples, bare, TARGETS_MS)
    slowest = sorted(helps, key=lambda name: statistics.median(help_samples[name]), reverse=True)
    print(f"\nThe slowest of {len(helps)} commands with --help, target {HELP_TARGET_MS} ms:")
    print_table({name: help_samples[name] for name in slowest[:SHOWN]}, bare, {})
    if statistics.median(help_samples[slowest[0]]) > HELP_TARGET_MS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
