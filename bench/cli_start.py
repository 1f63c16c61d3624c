"""What a short command costs, against an empty Python, in CPU.

    python bench/cli_start.py [--rounds 20]

CPU is user and system time of the command's own process. All are run in turns, so that a busy
machine slows all of them. `work-pool ls` asks a server that this script starts, whose time does
not count.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

FOREBAY = str(Path(sys.executable).parent / "forebay")
BARE = "python -c pass"
COMMANDS = {
    BARE: [sys.executable, "-c", "pass"],
    "forebay --help": [FOREBAY, "--help"],
    "forebay work-pool --help": [FOREBAY, "work-pool", "--help"],
    "forebay work-pool ls": [FOREBAY, "work-pool", "ls"],
    "forebay work-pool ls -o json": [FOREBAY, "work-pool", "ls", "-o", "json"],
}
TARGETS_MS = {"forebay --help": 300, "forebay work-pool ls": 450}


def cpu_ms(command: list[str], environment: dict[str, str]) -> float:
    """User and system time of one run, which must succeed."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    samples: dict[str, list[float]] = {name: [] for name in COMMANDS}
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
            for _ in range(rounds):
                for name, command in COMMANDS.items():
                    samples[name].append(cpu_ms(command, environment))
        finally:
            server.terminate()
            server.wait()
    bare = statistics.median(samples[BARE])
    print(f"{'command':<30} {'median ms':>10} {'worst ms':>10} {'x bare':>8} {'target ms':>10}")
    for name, times in samples.items():
        median = statistics.median(times)
        target = TARGETS_MS.get(name, "")
        print(f"{name:<30} {median:>10.0f} {max(times):>10.0f} {median / bare:>8.1f} {target:>10}")


if __name__ == "__main__":
    main()
