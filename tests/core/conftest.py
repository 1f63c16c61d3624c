"""Fixtures of the light package's tests: the real command line, and an API that misbehaves."""

import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from forebay.calls import deployments, flows, work_pools
from forebay.cli.entrypoints import read_entrypoint
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.deployments import Deployment, DeploymentCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.work_pools import WorkPoolCreate
from tests.core.builders import SOURCE, Run


@pytest.fixture
def forebay(tmp_path: Path) -> Run:
    """Runs the installed `forebay` in a folder of its own, without a terminal."""

    def run(
        *args: str, environment: dict[str, str] | None = None, input: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [Path(sys.executable).parent / "forebay", *args],
            env={**os.environ, "COLUMNS": "200", **(environment or {})},
            cwd=tmp_path,
            input=input,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
def run(forebay: Run, shared_server: Any) -> Run:
    """The command line with that server's address and token."""

    def run(*args: object, input: str = "") -> subprocess.CompletedProcess[str]:
        return forebay(*map(str, args), environment=shared_server.environment, input=input)

    return run


@pytest.fixture
def client(shared_server: Any) -> Iterator[Client]:
    """A client of the same server."""
    settings = ClientSettings(api_url=shared_server.api_url, api_key=shared_server.api_key)
    with Client(settings) as client:
        yield client


@pytest.fixture
def pool(client: Client) -> str:
    """A pool of its own, whose template has the variable `image`."""
    template = {
        "job_configuration": {"image": "{{ image }}"},
        "variables": {"type": "object", "properties": {"image": {"type": "string"}}},
    }
    body = WorkPoolCreate(name=f"pool {uuid.uuid4()}", type="process", base_job_template=template)
    return client.send(work_pools.create(body)).name


@pytest.fixture
def deployment(client: Client, pool: str, tmp_path: Path) -> Deployment:
    """A deployment of `say_hello` in that pool, as the command line makes it."""
    (tmp_path / "hello.py").write_text(SOURCE)
    source = read_entrypoint("hello.py:say_hello", tmp_path)
    flow = client.send(flows.create(FlowCreate(name=f"flow of {pool}")))
    body = DeploymentCreate(
        name="default",
        flow_id=flow.id,
        work_pool_name=pool,
        path=str(source.folder),
        entrypoint=source.text,
        parameter_openapi_schema=source.parameters,
        enforce_parameter_schema=True,
    )
    return client.send(deployments.create(body))


@dataclass(frozen=True)
class Answer:
    """What the API says to one request; without a status it closes the connection."""

    status: int | None
    body: str
    headers: dict[str, str]
    delay_seconds: float


class ScriptedApi:
    """An HTTP server that gives its answers in order, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, dict[str, str]]] = []  # "METHOD /path", headers
        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.api_url = f"http://127.0.0.1:{self.server.server_port}/api"

    def says(
        self,
        status: int | None = 200,
        body: str = '"3.8.4"',
        delay_seconds: float = 0,
        **headers: str,
    ) -> None:
        """Add an answer; underscores in the names of headers are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(Answer(status, body, named, delay_seconds))


def _handler(api: ScriptedApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.requests.append((f"{self.command} {self.path}", headers))
            answer = api.answers[min(len(api.requests), len(api.answers)) - 1]
            api.released.wait(answer.delay_seconds)
            if answer.status is None:
                self.close_connection = True
                return
            content = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at `requests`."""

    return Handler


@pytest.fixture
def scripted() -> Iterator[ScriptedApi]:
    """An API on a free port whose answers the test writes."""
    api = ScriptedApi()
    threading.Thread(target=api.server.serve_forever, args=(0.01,), daemon=True).start()
    yield api
    api.released.set()
    api.server.shutdown()
    api.server.server_close()
