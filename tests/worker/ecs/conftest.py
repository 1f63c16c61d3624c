"""A stand-in of AWS, a worker type on it, and pools whose runs it executes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from forebay import templates
from forebay.pool_types import default_template
from forebay.wire.work_pools import WorkPoolCreate
from forebay_worker.worker_types.ecs import EcsWorker
from tests.conftest import BIN, RunningServer
from tests.worker.conftest import Site, WorkerProcess
from tests.worker.ecs.fake import FakeAws, running_aws
from tests.worker.ecs.tasks import RUNS

ROLE = "arn:aws:iam::123456789012:role/execution"


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    """An account without tasks; what it was asked must have fitted botocore's model."""
    with running_aws() as running:
        yield running


@pytest.fixture
async def worker_type(aws: FakeAws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsWorker]:
    """The worker type, which finds the account through AWS's own variables."""
    for name, value in aws.environment.items():
        monkeypatch.setenv(name, value)
    made = EcsWorker()
    yield made
    await made.close()


class EcsSite(Site):
    """An ecs pool on a running server; its containers run this checkout's Python."""

    def __init__(self, server: RunningServer, aws: FakeAws, folder: Path, **defaults: Any) -> None:
        name = f"ecs-{uuid4().hex[:12]}"
        values = {
            "image": RUNS,
            "env": {"PATH": f"{BIN}:/usr/bin:/bin"},
            "execution_role_arn": ROLE,
            "configure_cloudwatch_logs": True,
            "task_watch_poll_interval": 0.2,
            **defaults,
        }
        template = templates.with_defaults(default_template("ecs"), values)
        pool = WorkPoolCreate(name=name, type="ecs", base_job_template=template)
        super().__init__(server, name, folder, pool)
        self.aws = aws

    def worker(self, *options: str, environment: dict[str, str] | None = None) -> WorkerProcess:
        """Start a worker of this pool on the account."""
        return super().worker(
            *options, environment={**self.aws.environment, **(environment or {})}
        )


@pytest.fixture
def ecs_site(shared_server: RunningServer, aws: FakeAws, tmp_path: Path) -> Iterator[EcsSite]:
    """An ecs pool without runs on the server that all tests share."""
    made = EcsSite(shared_server, aws, tmp_path)
    yield made
    made.close()
