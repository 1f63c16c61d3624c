"""What a reliability module stands on: options, a database, servers of its own, one line last."""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.postgres import Cluster, cluster

BIN = Path(sys.executable).parent
START_SECONDS = 60
STOP_SECONDS = 20
TRACES = ("Traceback", "database is locked")  # what a server's log must not hold

Figures = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """How a module runs. `seconds` bounds its load where it has no number of rounds."""

    db: str = "sqlite"
    servers: int = 1
    seconds: float = 30.0
    seed: int = 1
    tier: str = "quick"
    is_durable: bool = False  # whether PostgreSQL waits for the disk

    @property
    def is_long(self) -> bool:
        """Whether there is time for what takes minutes."""
        return self.tier != "quick"


@dataclass
class Process:
    """A process of ours with what it wrote."""

    popen: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        """Its id."""
        return self.popen.pid

    def kill(self) -> None:
        """End it as a crash does."""
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> int:
        """Ask it to end; the exit code. By force when it does not listen."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        return self.end()

    def end(self) -> int:
        """The exit code, once it has ended. By force when that takes too long."""
        try:
            return self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL


@dataclass
class Server(Process):
    """A server process and its address."""

    api_url: str = ""


@dataclass
class Ground:
    """A migrated database, a folder, and the processes that were started on them."""

    options: Options
    folder: Path
    database_url: str
    cluster: Cluster | None = None  # that the database is in, where it is PostgreSQL's
    processes: list[Process] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=count)

    def server(
        self,
        *options: str,
        log_level: str = "warning",
        database_url: str | None = None,
        **environment: str,
    ) -> Server:
        """Start a server without authentication; returns once it is ready.

        `database_url` is another way to the same database.
        """
        command = [BIN / "forebay", "server", "start", "--port", "0", "--no-auth"]
        # The same home as other servers of this database, as they share the key of its secrets.
        popen, log = self._spawn(
            [*command, "--database-url", database_url or self.database_url, *options],
            {
                "FOREBAY_HOME": str(self.folder / "home"),
                "FOREBAY_LOG_LEVEL": log_level,
                **environment,
            },
            subprocess.PIPE,
        )
        assert popen.stdout is not None
        line = popen.stdout.readline().decode()
        if not line.startswith("Forebay serves "):
            raise RuntimeError(f"the server did not start: {log.read_text()}")
        running = Server(popen, log, line.split()[-1])
        self.processes.append(running)
        httpx.get(f"{running.api_url}/ready", timeout=START_SECONDS).raise_for_status()
        return running

    def servers(self) -> list[Server]:
        """As many servers as the options say, each a process with an address of its own."""
        return [self.server() for _ in range(self.options.servers)]

    def worker(
        self,
        api_url: str,
        pool: str,
        *options: str,
        program: Sequence[str | Path] = (BIN / "forebay",),
        **environment: str,
    ) -> Process:
        """Start a worker of `pool`, in a session of its own."""
        popen, log = self._spawn(
            [*program, "worker", "start", "--pool", pool, *options],
            {"FOREBAY_API_URL": api_url, "FOREBAY_HOME": str(self.folder), **environment},
            None,
        )
        running = Process(popen, log)
        self.processes.append(running)
        return running

    def traces(self) -> int:
        """Lines in the logs of servers that there must not be."""
        logs = [each.log.read_text() for each in self.processes if isinstance(each, Server)]
        return sum(log.count(trace) for log in logs for trace in TRACES)

    def end(self) -> None:
        """End every process that was started here."""
        for process in reversed(self.processes):
            process.stop()

    def _spawn(
        self, command: Sequence[str | Path], environment: dict[str, str], stdout: int | None
    ) -> tuple[subprocess.Popen[bytes], Path]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FOREBAY_", "PREFECT_"))}
        log = self.folder / f"{next(self._numbers)}.log"
        with log.open("wb") as file:
            popen = subprocess.Popen(
                command,
                env={**kept, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file if stdout is None else stdout,
                stderr=file,
                start_new_session=True,
            )
        return popen, log


@contextmanager
def ground(options: Options) -> Iterator[Ground]:
    """A database of one's own; at the end of the block everything is gone again."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="forebay-rel-")))
        running = None
        if options.db == "postgres":
            running = stack.enter_context(cluster(is_durable=options.is_durable))
            url = running.new_database()
        else:
            url = f"sqlite+aiosqlite:///{folder / 'forebay.db'}"
        made = Ground(options, folder, url, running)
        stack.callback(made.end)
        yield made


def main(name: str, play: Callable[[Ground], Figures], **defaults: Any) -> None:
    """Run a module from the command line: `play` gives its figures, with `ok` among them."""
    options = _parse(name, Options(**defaults))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of every clean-up
    figures = run(name, play, options)
    print(json.dumps(figures))  # noqa: T201 - the line that the module is for
    sys.exit(0 if figures["ok"] else 1)


def run(name: str, play: Callable[[Ground], Figures], options: Options) -> Figures:
    """The figures of a module, with what they were made with."""
    began = time.monotonic()
    with ground(options) as made:
        try:
            figures = play(made)
        except Exception as error:  # noqa: BLE001 - whatever it is, there is a line at the end
            figures = {"error": f"{type(error).__name__}: {error}", "ok": False}
        traces = made.traces()
        if traces or not figures["ok"]:
            for process in made.processes:
                sys.stderr.write(process.log.read_text())
    about = {"name": name, "seed": options.seed, "db": options.db, "servers": options.servers}
    took = round(time.monotonic() - began, 1)
    is_ok = bool(figures.pop("ok")) and traces == 0
    return {**about, **figures, "traces": traces, "took_s": took, "ok": is_ok}


def _parse(name: str, defaults: Options) -> Options:
    parser = argparse.ArgumentParser(prog=f"python -m tests.reliability.{name}")
    parser.add_argument("--db", choices=["sqlite", "postgres"], default=defaults.db)
    parser.add_argument("--servers", type=int, default=defaults.servers)
    parser.add_argument("--seconds", type=float, default=defaults.seconds)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--tier", choices=["quick", "night"], default=defaults.tier)
    options = Options(**vars(parser.parse_args()))
    if options.db == "sqlite" and options.servers != 1:
        parser.error("SQLite means one server process; use --db postgres for more")
    return options
