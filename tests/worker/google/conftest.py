"""A fake Google Cloud, sessions with it, and pools whose runs it executes."""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.oauth2.credentials import Credentials

from forebay import templates
from forebay.pool_types import default_template
from forebay.wire.work_pools import WorkPoolCreate
from forebay_worker.worker_types.google_session import GoogleSession
from tests.conftest import BIN, RunningServer
from tests.worker.conftest import Site, WorkerProcess
from tests.worker.google.containers import RUNS
from tests.worker.google.discovery import api
from tests.worker.google.executions import PROJECT
from tests.worker.google.fake import STATIC_TOKEN, Cloud, running_cloud


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """An empty cloud; what is asked of it must be what Google's APIs know."""
    api("run.v1")  # without the descriptions there is nothing to check against
    with running_cloud() as running:
        for name, value in running.endpoints.items():
            monkeypatch.setenv(name, value)
        yield running
    assert running.violations == []


@pytest.fixture
async def session(cloud: Cloud) -> AsyncIterator[GoogleSession]:
    """A session whose token does not have to be obtained."""
    made = GoogleSession(Credentials(STATIC_TOKEN), PROJECT)  # type: ignore[no-untyped-call]
    yield made
    await made.close()


class GoogleSite(Site):
    """A pool of a type on a running server; its containers run this checkout's Python."""

    def __init__(
        self, type: str, server: RunningServer, cloud: Cloud, folder: Path, **defaults: Any
    ) -> None:
        name = f"{type}-{uuid4().hex[:12]}"
        values = {
            "image": RUNS,
            "region": "europe-west1",
            "env": {"PATH": f"{BIN}:/usr/bin:/bin"},
            **({"job_watch_poll_interval": 0.2} if type == "vertex-ai" else {}),
            **defaults,
        }
        template = templates.with_defaults(default_template(type), values)
        pool = WorkPoolCreate(name=name, type=type, base_job_template=template)
        super().__init__(server, name, folder, pool)
        self.cloud = cloud
        self.key = folder / "key.json"
        self.key.write_text(json.dumps(cloud.service_account()))

    def worker(self, *options: str, environment: dict[str, str] | None = None) -> WorkerProcess:
        """Start a worker of this pool in the cloud."""
        found = {
            **self.cloud.endpoints,
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.key),
            **(environment or {}),
        }
        return super().worker(*options, environment=found)
