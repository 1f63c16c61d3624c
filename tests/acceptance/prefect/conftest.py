"""The real Prefect 3.8.4, unchanged, against a Forebay server on each database.

One server and one process that has imported Prefect serve all tests of a database, so tests use
names of their own and do not mind others' objects.
"""

import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from forebay.calls import flow_runs, logs
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import TERMINAL
from tests.conftest import RunningServer, missing, start_server, stop_process

HERE = Path(__file__).parent
PREFECT_PYTHON = Path(__file__).parents[3] / ".venv-prefect" / "bin" / "python"


class Command:
    """A process of the real Prefect; what it prints is in `log`."""

    def __init__(self, forker: Path, request: dict[str, Any], log: Path) -> None:
        self.log = log
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.connect(str(forker))
        with log.open("w") as output:
            message = json.dumps(request).encode()
            socket.send_fds(self._connection, [message], [output.fileno()])
        self._answers = self._connection.makefile("rb", buffering=0)
        self.pid = int(self._answers.readline())
        self._code: int | None = None

    @property
    def output(self) -> str:
        """What it has printed until now."""
        return self.log.read_text()

    def wait(self, seconds: float = 60) -> int:
        """Its exit code, once it has ended. Raises `TimeoutError`."""
        if self._code is None:
            if not self._is_over(seconds):
                raise TimeoutError(self.output)
            self._code = int(self._answers.readline())
            self._answers.close()
            self._connection.close()
        return self._code

    def wait_for_output(self, text: str, seconds: float = 60) -> None:
        """Wait until it has printed `text`."""
        poll(lambda: text in self.output, lambda: self.output, seconds)

    def stop(self) -> None:
        """End it, by force when it does not end by itself."""
        for sign in (signal.SIGTERM, signal.SIGKILL):
            if not self._is_over(0):
                os.kill(self.pid, sign)
                self._is_over(15)
        self.wait()

    def _is_over(self, seconds: float) -> bool:
        """Whether it has ended, or does so within `seconds`."""
        return self._code is not None or bool(
            select.select([self._connection], [], [], seconds)[0]
        )


def poll(is_done: Callable[[], bool], tell: Callable[[], str], seconds: float) -> None:
    """Return when something outside has come true; fail the test, telling why, when it has not."""
    deadline = time.monotonic() + seconds
    while not is_done():
        if time.monotonic() > deadline:
            pytest.fail(tell())
        time.sleep(0.1)


@dataclass
class Prefect:
    """Prefect's command line, SDK and workers, pointed at a server."""

    forker: Path
    folder: Path
    client: Client = field(repr=False)
    stack: ExitStack = field(repr=False)

    def start(self, *arguments: str, script: str | None = None) -> Command:
        """Start `prefect ARGUMENTS`, or a script of this folder; ended with the session."""
        number = sum(1 for _ in self.folder.iterdir())
        path = None if script is None else str(HERE / script)
        request = {"script": path, "arguments": arguments}
        command = Command(self.forker, request, self.folder / f"{number}.log")
        self.stack.callback(command.stop)
        return command

    def run(self, *arguments: str, script: str | None = None, is_ok: bool = True) -> str:
        """Output of a `prefect` command; with `is_ok` a failure fails the test."""
        command = self.start(*arguments, script=script)
        is_zero = command.wait() == 0
        assert is_zero == is_ok, f"{arguments}: {command.output}"
        return command.output

    def read_json(self, *arguments: str) -> Any:
        """What a command with `-o json` answers."""
        output = self.run(*arguments, "-o", "json")
        return json.loads(output[min(i for i in map(output.find, "[{") if i >= 0) :])

    def deploy(self, pool: str, *names: str) -> None:
        """Deploy flows to a pool, which is made if need be, by Prefect's own SDK."""
        self.run("work-pool", "create", pool, "--type", "process", "--overwrite")
        self.run(pool, *names, script="deploy.py")

    def run_deployment(self, flow: str, pool: str, *options: str) -> UUID:
        """Make a run by `prefect deployment run`; its id."""
        output = self.run("deployment", "run", f"{flow}/{pool}", *options)
        found = re.search(r"UUID: ([0-9a-f-]{36})", output)
        assert found, output
        return UUID(found[1])

    def wait(
        self, id: UUID, is_done: Callable[[FlowRun], bool] | None = None, seconds: float = 150
    ) -> FlowRun:
        """The run, once it is terminal (or `is_done`)."""
        is_done = is_done or (lambda run: run.state_type in TERMINAL)
        found = [self.client.send(flow_runs.read(id))]

        def look() -> bool:
            found[0] = self.client.send(flow_runs.read(id))
            return is_done(found[0])

        def tell() -> str:
            return f"{found[0].name} stayed {found[0].state_name}\n{self._newest_log()}"

        poll(look, tell, seconds)
        return found[0]

    def wait_for_any(self, is_wanted: Callable[[FlowRun], bool], seconds: float = 150) -> FlowRun:
        """The first run to be found that is wanted."""
        found: list[FlowRun] = []

        def look() -> bool:
            runs = self.client.send(flow_runs.filter())
            found[:] = [run for run in runs if is_wanted(run)]
            return bool(found)

        poll(look, self._newest_log, seconds)
        return found[0]

    def wait_for_line(self, id: UUID, message: str, seconds: float = 30) -> None:
        """Wait until a run has logged `message`; lines may come after its end."""

        def messages() -> list[str]:
            return [line.message for line in self.client.send(logs.filter(flow_run_id=id))]

        poll(lambda: message in messages(), lambda: f"none of {messages()}", seconds)

    def _newest_log(self) -> str:
        logs = sorted(self.folder.glob("*.log"), key=lambda log: log.stat().st_mtime)
        return "\n".join(log.read_text()[-3000:] for log in logs[-2:])


@pytest.fixture(
    scope="session", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def stock_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A whole server, services included, on the database that the parameter names."""
    if not PREFECT_PYTHON.exists():
        missing("the real Prefect is not installed; run: make peers")
    options = []
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_cluster").new_database()
        options = ["--database-url", url]
    running = start_server(tmp_path_factory.mktemp("stock"), *options)
    yield running
    stop_process(running.process)


@pytest.fixture(scope="session")
def prefect(
    stock_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prefect]:
    """The real Prefect on that server."""
    settings = ClientSettings(api_url=stock_server.api_url, api_key=stock_server.api_key)
    with ExitStack() as stack:
        # A socket's path has to be short.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="prefork-")))
        forker = subprocess.Popen(
            [PREFECT_PYTHON, HERE / "prefork.py", folder / "socket"],
            env=environment(stock_server, folder),
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.callback(stop_process, forker)
        assert forker.stdout is not None
        assert forker.stdout.readline() == "ready\n"
        client = stack.enter_context(Client(settings))
        yield Prefect(folder / "socket", tmp_path_factory.mktemp("output"), client, stack)


def environment(server: RunningServer, folder: Path) -> dict[str, str]:
    """A shell as a Prefect user has it: only Prefect's own variables."""
    foreign = ("FOREBAY_", "PREFECT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return {
        **kept,
        "PREFECT_API_URL": server.api_url,
        # Prefect's websocket clients know no other credentials for a server of one's own.
        "PREFECT_API_AUTH_STRING": f"forebay:{server.api_key}",
        "PREFECT_HOME": str(folder / "home"),
        "PREFECT_CLI_PROMPT": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
        "PREFECT_RUNNER_POLL_FREQUENCY": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
