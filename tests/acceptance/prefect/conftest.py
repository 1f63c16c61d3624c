"""The real Prefect 3.8.4, unchanged, against a Forebay server on each database."""

import json
import os
import re
import subprocess
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
from forebay.wire.states import TERMINAL, StateType
from tests.conftest import RunningServer, missing, start_server, stop_process

HERE = Path(__file__).parent
PREFECT_BIN = Path(__file__).parents[3] / ".venv-prefect" / "bin"
POOL = "stock"


@dataclass
class Prefect:
    """Prefect's command line and worker, pointed at a server."""

    server: RunningServer
    folder: Path
    client: Client = field(repr=False)
    stack: ExitStack = field(repr=False)

    @property
    def environment(self) -> dict[str, str]:
        """A shell as a Prefect user has it: only Prefect's own variables."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("FOREBAY_")}
        return {
            **kept,
            "PREFECT_API_URL": self.server.api_url,
            # Prefect's websocket clients know no other credentials for a server of one's own.
            "PREFECT_API_AUTH_STRING": f"forebay:{self.server.api_key}",
            "PREFECT_HOME": str(self.folder / "prefect"),
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_RUNNER_POLL_FREQUENCY": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    def run(self, *arguments: str, is_ok: bool = True) -> str:
        """Output of a `prefect` command; with `is_ok` a failure fails the test."""
        done = subprocess.run(
            [PREFECT_BIN / "prefect", "--no-prompt", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == is_ok, f"{arguments}: {output}"
        return output

    def read_json(self, *arguments: str) -> Any:
        """What a command with `-o json` answers."""
        output = self.run(*arguments, "-o", "json")
        return json.loads(output[min(i for i in map(output.find, "[{") if i >= 0) :])

    def deploy(self, *names: str) -> None:
        """Make the pool if need be and deploy flows to it, by Prefect's own SDK."""
        self.run("work-pool", "create", POOL, "--type", "process", "--overwrite")
        done = subprocess.run(
            [PREFECT_BIN / "python", HERE / "deploy.py", POOL, *names],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start_worker(self, *options: str) -> subprocess.Popen[str]:
        """A real worker of the pool; ended with the test. Its output is in `worker.log`."""
        log = self.stack.enter_context((self.folder / "worker.log").open("a"))
        worker = subprocess.Popen(
            [PREFECT_BIN / "prefect", "worker", "start", "--pool", POOL, *options],
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.stack.callback(stop_process, worker)
        return worker

    def start_serving(self, flow: str) -> subprocess.Popen[str]:
        """A process that serves a flow by Prefect's own runner; ended with the test."""
        log = self.stack.enter_context((self.folder / "worker.log").open("a"))
        runner = subprocess.Popen(
            [PREFECT_BIN / "python", HERE / "serve.py", flow],
            env=self.environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.stack.callback(stop_process, runner)
        return runner

    def run_deployment(self, flow: str, *options: str) -> UUID:
        """Make a run by `prefect deployment run`; its id."""
        output = self.run("deployment", "run", f"{flow}/test", *options)
        found = re.search(r"UUID: ([0-9a-f-]{36})", output)
        assert found, output
        return UUID(found[1])

    def wait_for_any(self, is_wanted: Callable[[FlowRun], bool], seconds: float = 60) -> FlowRun:
        """The first run to be found that is wanted."""
        deadline = time.monotonic() + seconds
        while True:
            runs = self.client.send(flow_runs.filter())
            for run in runs:
                if is_wanted(run):
                    return run
            if time.monotonic() > deadline:
                pytest.fail(
                    f"none of {[(run.name, run.state_name) for run in runs]}\n{self._log()}"
                )
            time.sleep(0.1)

    def wait_for_line(self, id: UUID, message: str, seconds: float = 30) -> None:
        """Wait until a run has logged `message`; lines may come after its end."""
        deadline = time.monotonic() + seconds
        while True:
            messages = [line.message for line in self.client.send(logs.filter(flow_run_id=id))]
            if message in messages:
                return
            if time.monotonic() > deadline:
                pytest.fail(f"none of {messages}")
            time.sleep(0.1)

    def _log(self) -> str:
        log = self.folder / "worker.log"
        return log.read_text()[-4000:] if log.exists() else ""

    def wait(
        self, id: UUID, is_done: Callable[[FlowRun], bool] | None = None, seconds: float = 60
    ) -> FlowRun:
        """The run, once it is terminal (or `is_done`)."""
        is_done = is_done or (lambda run: run.state_type in TERMINAL)
        deadline = time.monotonic() + seconds
        while True:
            run = self.client.send(flow_runs.read(id))
            if is_done(run):
                return run
            if time.monotonic() > deadline:
                pytest.fail(f"{run.name} stayed {run.state_type} {run.state_name}\n{self._log()}")
            time.sleep(0.1)


def is_running(run: FlowRun) -> bool:
    """Whether the run executes."""
    return run.state_type == StateType.RUNNING


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def stock_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningServer]:
    """A whole server, services included, on the database that the parameter names."""
    options = []
    if request.param == "postgresql":
        options = ["--database-url", request.getfixturevalue("postgres_url")]
    running = start_server(tmp_path_factory.mktemp("stock"), *options)
    yield running
    stop_process(running.process)


@pytest.fixture
def prefect(stock_server: RunningServer, tmp_path: Path) -> Iterator[Prefect]:
    """The real Prefect on that server."""
    if not (PREFECT_BIN / "prefect").exists():
        missing("the real Prefect is not installed; run: make peers")
    settings = ClientSettings(api_url=stock_server.api_url, api_key=stock_server.api_key)
    with Client(settings) as client, ExitStack() as stack:
        yield Prefect(stock_server, tmp_path, client, stack)
