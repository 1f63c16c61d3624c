"""A fake cluster, a worker type on it, and pools whose runs it executes."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from forebay import templates
from forebay.pool_types import default_template
from forebay.wire.work_pools import WorkPoolCreate
from forebay_worker.worker_types.kubernetes import KubernetesWorker
from tests.conftest import BIN, RunningServer
from tests.worker.conftest import Site, WorkerProcess
from tests.worker.kubernetes.fake import Cluster, running_cluster
from tests.worker.kubernetes.pods import RUNS


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """An empty cluster; processes of its pods end with it."""
    with running_cluster() as running:
        yield running


@pytest.fixture
async def worker_type(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubernetesWorker]:
    """The worker type, which finds the cluster through `KUBECONFIG`."""
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(cluster.kubeconfig))
    monkeypatch.setenv("KUBECONFIG", str(path))
    made = KubernetesWorker()
    yield made
    await made.close()


class KubernetesSite(Site):
    """A kubernetes pool on a running server; its pods run this checkout's Python."""

    def __init__(
        self, server: RunningServer, cluster: Cluster, folder: Path, **defaults: Any
    ) -> None:
        name = f"kubernetes-{uuid4().hex[:12]}"
        values = {"image": RUNS, "env": {"PATH": f"{BIN}:/usr/bin:/bin"}, **defaults}
        template = templates.with_defaults(default_template("kubernetes"), values)
        pool = WorkPoolCreate(name=name, type="kubernetes", base_job_template=template)
        super().__init__(server, name, folder, pool)
        self.cluster = cluster
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(cluster.kubeconfig))

    def worker(self, *options: str, environment: dict[str, str] | None = None) -> WorkerProcess:
        """Start a worker of this pool on the cluster."""
        return super().worker(
            *options, environment={"KUBECONFIG": str(self.kubeconfig), **(environment or {})}
        )


@pytest.fixture
def kubernetes_site(
    shared_server: RunningServer, cluster: Cluster, tmp_path: Path
) -> Iterator[KubernetesSite]:
    """A kubernetes pool without runs on the server that all tests share."""
    made = KubernetesSite(shared_server, cluster, tmp_path)
    yield made
    made.close()
