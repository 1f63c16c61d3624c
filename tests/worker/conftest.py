"""An API that stores log lines and can be slow, refuse or be gone; a pool with a deployment."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest

from forebay.calls import deployments, flow_runs, flows, logs, work_pools
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.deployments import Deployment, DeploymentCreate
from forebay.wire.flow_runs import DeploymentFlowRunCreate, FlowRun
from forebay.wire.flows import FlowCreate
from forebay.wire.logs import Log
from forebay.wire.states import StateCreate, StateType
from forebay.wire.work_pools import WorkPoolCreate
from tests.conftest import BIN, RunningServer
from tests.worker.scenarios import cell


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write into each test's report which cells of the table of scenarios it fills."""
    for item in items:
        for marker in item.iter_markers("scenario"):
            item.user_properties.append(("scenario", cell(marker)))


class LogStore:
    """What an API has stored; `answers` decides about each request by its lines."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.requests = 0
        self.keys: list[str] = []
        self.decide: Callable[[list[str]], int] = lambda _: 201
        self.open = threading.Event()  # while this is not set, requests wait for it
        self.open.set()
        self.arrived = threading.Semaphore(0)


def _handler(store: LogStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            lines: list[dict[str, Any]] = json.loads(
                self.rfile.read(int(self.headers["content-length"]))
            )
            messages = [line["message"] for line in lines]
            store.requests += 1
            store.arrived.release()
            store.open.wait(30)
            status = store.decide(messages)
            if status == 201:
                store.messages += messages
                store.keys.append(self.headers["idempotency-key"])
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at what was stored."""

    return Handler


@pytest.fixture
def log_store() -> Iterator[tuple[LogStore, Client]]:
    """A store of log lines on a free port, and a client of it that does not retry by itself."""
    store = LogStore()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api"
    with Client(ClientSettings(api_url=url, max_tries=1)) as client:
        yield store, client
    store.open.set()
    server.shutdown()
    server.server_close()


FLOW = """
import asyncio, logging, os, sys, time
from pathlib import Path

logger = logging.getLogger("flow")


def greet(name="you", times=1):
    for number in range(times):
        print(f"hello {name} {number}")
        logger.info("said %d", number)
    print("no end", end="", file=sys.stderr)


async def length(text):
    await asyncio.sleep(0)
    print(len(text), text[:5])


def fail():
    raise ValueError("größer boom")


def crash():
    print("last words")
    os._exit(9)


def leave(code):
    sys.exit(code)


def fail_once(marker):
    marker = Path(marker)
    if not marker.exists():
        marker.touch()
        raise OSError("not yet")
    print("now")


def wait_for(gate):
    print("waiting")
    while not Path(gate).exists():
        time.sleep(0.02)


def count_beside_me(folder):
    mine = Path(folder) / str(os.getpid())
    mine.touch()
    time.sleep(0.3)
    print(len(os.listdir(folder)))
    mine.unlink()
"""


class Site:
    """A pool of its own on a running server, with a folder of code and workers."""

    def __init__(
        self, server: RunningServer, name: str, folder: Path, pool: WorkPoolCreate | None = None
    ) -> None:
        self.server = server
        self.name = name
        self.folder = folder
        self.client = Client(ClientSettings(api_url=server.api_url, api_key=server.api_key))
        self.started: list[WorkerProcess] = []
        (folder / "flow.py").write_text(FLOW)
        self.client.send(work_pools.create(pool or WorkPoolCreate(name=name, type="process")))
        self.flow = self.client.send(flows.create(FlowCreate(name=name)))

    def deploy(self, function: str, **values: Any) -> Deployment:
        """A deployment of a function of `FLOW`."""
        body = DeploymentCreate(
            name=function,
            flow_id=self.flow.id,
            work_pool_name=self.name,
            entrypoint=f"flow.py:{function}",
            **{"path": str(self.folder), **values},
        )
        return self.client.send(deployments.create(body))

    def run(self, deployment: Deployment, **values: Any) -> UUID:
        """A new run, due now."""
        body = DeploymentFlowRunCreate(**values)
        return self.client.send(deployments.create_flow_run(deployment.id, body)).id

    def read(self, run_id: UUID) -> FlowRun:
        """The run as it is now."""
        return self.client.send(flow_runs.read(run_id))

    def lines(self, run_id: UUID) -> list[Log]:
        """The run's log lines by time."""
        found: list[Log] = []
        while page := self.client.send(logs.filter(flow_run_id=run_id, offset=len(found))):
            found += page
        return found

    def messages(self, run_id: UUID, name: str) -> list[str]:
        """What a run wrote under one logger's name."""
        return [line.message for line in self.lines(run_id) if line.name == name]

    def propose(self, run_id: UUID, type: StateType) -> None:
        """Change a run's state as a user does."""
        self.client.send(flow_runs.set_state(run_id, StateCreate(type=type)))

    def worker(self, *options: str, environment: dict[str, str] | None = None) -> "WorkerProcess":
        """Start a worker of this pool."""
        command = [str(BIN / "forebay"), "worker", "start", "--pool", self.name, *options]
        worker = WorkerProcess(command, {**self.server.environment, **(environment or {})})
        self.started.append(worker)
        return worker

    def serve_once(self, *options: str) -> "WorkerProcess":
        """Have a worker carry out what is due; it must end well."""
        worker = self.worker("--run-once", *options)
        assert worker.end() == 0, worker.output
        return worker

    def close(self) -> None:
        """End what is left."""
        for worker in self.started:
            worker.kill()
        self.client.close()


class WorkerProcess:
    """A running `forebay worker start`."""

    def __init__(
        self, command: list[str], environment: dict[str, str], stdin: int | None = None
    ) -> None:
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.output = ""

    def until(self, text: str) -> str:
        """Wait until the worker has written a line that contains `text`; the line."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output += line
            if text in line:
                return line
        pytest.fail(f"the worker ended without {text!r}:\n{self.output}")

    def stop(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def end(self) -> int:
        """Wait for the end; the exit code."""
        rest, _ = self.process.communicate(timeout=90)
        self.output += rest
        return self.process.returncode

    def kill(self) -> None:
        """End it by force, if it runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


class LossyProxy:
    """Passes requests on to a server, and loses the first answer about every proposed state."""

    def __init__(self, target: str) -> None:
        self.lost: list[str] = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _passing_on(self, target))
        self.api_url = f"http://127.0.0.1:{self.server.server_port}/api"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self.server.shutdown()
        self.server.server_close()


def _passing_on(proxy: LossyProxy, target: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            content = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {
                name: value
                for name, value in self.headers.items()
                if name.lower() not in ("host", "content-length", "accept-encoding")
            }
            url = target + self.path.removeprefix("/api")
            answer = httpx.request(self.command, url, content=content, headers=headers)
            if self.path.endswith("/set_state"):
                state = json.loads(content)["state"]["type"]
                if state not in proxy.lost:
                    proxy.lost.append(state)
                    self.close_connection = True
                    return
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name not in ("transfer-encoding", "connection", "date", "server"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.content)

        do_GET = do_POST = do_PATCH = pass_on

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at what was lost."""

    return Handler


@pytest.fixture
def lossy(shared_server: RunningServer) -> Iterator[LossyProxy]:
    """A proxy of the server that all tests share."""
    proxy = LossyProxy(shared_server.api_url)
    yield proxy
    proxy.close()


@pytest.fixture
def site(shared_server: RunningServer, tmp_path: Path) -> Iterator[Site]:
    """A pool without runs on the server that all tests share."""
    made = Site(shared_server, f"pool-{uuid4().hex[:12]}", tmp_path)
    yield made
    made.close()


@pytest.fixture
def own_site(server: RunningServer, tmp_path: Path) -> Iterator[Site]:
    """A pool on a server that the test may stop."""
    made = Site(server, "pool", tmp_path)
    yield made
    made.close()
