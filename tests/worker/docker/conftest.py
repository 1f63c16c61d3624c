"""One Docker engine for the session, a worker type on it, and pools whose runs use it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from forebay import templates
from forebay.pool_types import default_template
from forebay.wire.work_pools import WorkPoolCreate
from forebay_worker.worker_types.docker import DockerWorker
from tests.conftest import BIN, RunningServer, missing
from tests.worker.conftest import Site, WorkerProcess
from tests.worker.docker.engine import IMAGE, Engine, NoEngine, engine, volumes


@pytest.fixture(scope="session")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A real engine; containers that tests leave are removed at the end."""
    try:
        with engine(tmp_path_factory.mktemp("engine")) as started:
            yield started
    except NoEngine as reason:
        missing(str(reason))


@pytest.fixture
async def worker_type(
    docker: Engine, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[DockerWorker]:
    """The worker type, connected to the engine."""
    monkeypatch.setenv("DOCKER_HOST", docker.url)
    made = DockerWorker()
    yield made
    await made.close()


class DockerSite(Site):
    """A docker pool on a running server; its containers run this checkout's Python."""

    def __init__(
        self, server: RunningServer, docker: Engine, folder: Path, **defaults: Any
    ) -> None:
        name = f"docker-{uuid4().hex[:12]}"
        values = {
            "image": IMAGE,
            "image_pull_policy": "Never",
            "network_mode": "host",
            "volumes": [*volumes(), f"{folder}:{folder}"],
            "env": {"PATH": f"{BIN}:/usr/bin"},
            **defaults,
        }
        template = templates.with_defaults(default_template("docker"), values)
        pool = WorkPoolCreate(name=name, type="docker", base_job_template=template)
        super().__init__(server, name, folder, pool)
        self.docker = docker

    def worker(self, *options: str, environment: dict[str, str] | None = None) -> WorkerProcess:
        """Start a worker of this pool on the engine."""
        return super().worker(
            *options, environment={"DOCKER_HOST": self.docker.url, **(environment or {})}
        )

    def containers(self, run_id: object, *options: str) -> list[str]:
        """Ids of a run's containers, ended ones too."""
        label = f"label=forebay.io/flow-run-id={run_id}"
        return self.docker.docker("ps", "-aq", "--filter", label, *options).split()


@pytest.fixture
def docker_site(
    shared_server: RunningServer, docker: Engine, tmp_path: Path
) -> Iterator[DockerSite]:
    """A docker pool without runs on the server that all tests share."""
    made = DockerSite(shared_server, docker, tmp_path)
    yield made
    made.close()
