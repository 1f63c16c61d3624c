"""Fixtures of the light package's tests: the real command line, and objects to use."""

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.calls import deployments, flows, work_pools
from forebay.client import Client
from forebay.entrypoints import read_entrypoint
from forebay.settings import ClientSettings
from forebay.wire.deployments import Deployment, DeploymentCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.work_pools import WorkPoolCreate
from tests.core.builders import SOURCE, Run, run_here


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
def run(shared_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same command line within this process, with that server's address and token.

    A process of its own costs half a second, and most commands behave no differently in one.
    """
    for name, value in shared_server.environment.items():
        monkeypatch.setenv(name, value)
    # Commands that write profiles must not change those of the server.
    monkeypatch.setenv("FOREBAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return run_here


@pytest.fixture
def run_process(forebay: Run, shared_server: Any) -> Run:
    """The installed `forebay` as a process of its own, for that server."""

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
    """A pool of its own, whose template has the variables `image` and `env`."""
    variables = {"image": {"type": "string"}, "env": {"type": "object"}}
    template = {
        "job_configuration": {"image": "{{ image }}", "env": "{{ env }}"},
        "variables": {"type": "object", "properties": variables},
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
