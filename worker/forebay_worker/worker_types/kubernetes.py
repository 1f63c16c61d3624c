"""Runs as jobs of a Kubernetes cluster. The truth about a job is what the cluster's objects say."""

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from forebay_worker.base import Assignment, Outcome, StartFailed, WorkerType
from forebay_worker.infrastructure import adopted_claim
from forebay_worker.lines import a_line
from forebay_worker.output import Output
from forebay_worker.proposals import backoff
from forebay_worker.worker_types import kubernetes_manifest as manifests
from forebay_worker.worker_types.kubernetes_cluster import (
    CONFLICT,
    NOT_FOUND,
    Cluster,
    ClusterError,
    Manifest,
    NoCluster,
)
from forebay_worker.worker_types.kubernetes_job import WatchedJob, delete
from forebay_worker.worker_types.kubernetes_manifest import KubernetesConfiguration

logger = logging.getLogger(__name__)

T = TypeVar("T")

START_PATIENCE_SECONDS = 60.0  # for a cluster that cannot answer when a job is made


class KubernetesWorker(WorkerType[KubernetesConfiguration]):
    """The worker type `kubernetes`. An id is `NAMESPACE/JOB`."""

    worker_type = "kubernetes"
    outlives_worker = True
    configuration = KubernetesConfiguration

    def __init__(self) -> None:
        self._clusters: dict[str, Cluster] = {}
        self._running: dict[str, WatchedJob] = {}

    async def start(self, configuration: KubernetesConfiguration, assignment: Assignment) -> str:
        """Make the job, then the secret that it owns."""
        cluster = self._cluster(configuration)
        job = manifests.job(configuration, assignment)
        try:
            made, warnings = await _patiently(lambda: _made(cluster, job))
            secret = manifests.secret(configuration, assignment)
            if secret:
                owned = manifests.owned_by(secret, made)
                try:
                    await _patiently(lambda: _made(cluster, owned))
                except ClusterError:
                    await delete(cluster, configuration.namespace, job["metadata"]["name"])
                    raise
        except ClusterError as error:
            raise StartFailed(f"The Kubernetes cluster refuses: {error}.") from None
        for warning in warnings:
            for line in a_line(assignment.run.id, "forebay.worker", logging.WARNING, warning):
                assignment.reporter.log(line)
        return self._hold(cluster, configuration, assignment, made)

    async def adopt(
        self,
        infrastructure_id: str,
        configuration: KubernetesConfiguration,
        assignment: Assignment,
    ) -> str | None:
        """Watch a job that is still there; lines go on after the last one stored."""
        namespace, _, name = infrastructure_id.partition("/")
        cluster = self._cluster(configuration)
        try:
            job = await _patiently(lambda: cluster.read("Job", namespace, name))
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return None
            raise StartFailed(f"The Kubernetes cluster refuses: {error}.") from None
        metadata = job["metadata"]
        claim = adopted_claim(
            {**metadata.get("annotations", {}), **metadata.get("labels", {})}, assignment
        )
        if claim is not None:
            self._hold(cluster, configuration, assignment, job, is_adopted=True)
        return claim

    async def wait(self, infrastructure_id: str) -> Outcome:
        """How the job ended; by then what it wrote has been handed on.

        Whoever gives up waiting lets the job go: nothing more of it is reported.
        """
        running = self._running[infrastructure_id]
        try:
            outcome = await running.wait()
        except asyncio.CancelledError:
            running.leave()
            self._running.pop(infrastructure_id, None)
            raise
        del self._running[infrastructure_id]
        return outcome

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """Delete the job with its pods, which have the grace of their own manifest."""
        running = self._running.get(infrastructure_id)
        if running is not None:
            await running.delete()

    async def close(self) -> None:
        """Close the connections to all clusters."""
        for running in self._running.values():
            running.leave()
        for cluster in self._clusters.values():
            await cluster.close()

    def _cluster(self, configuration: KubernetesConfiguration) -> Cluster:
        """The connection that the configuration asks for. Raises `StartFailed`."""
        given = configuration.cluster_config
        key = json.dumps(given.model_dump(), sort_keys=True) if given else ""
        if key not in self._clusters:
            try:
                self._clusters[key] = (
                    Cluster(given.config, given.context_name) if given else Cluster()
                )
            except NoCluster as error:
                raise StartFailed(str(error)) from None
        return self._clusters[key]

    def _hold(
        self,
        cluster: Cluster,
        configuration: KubernetesConfiguration,
        assignment: Assignment,
        job: Manifest,
        *,
        is_adopted: bool = False,
    ) -> str:
        output = Output(configuration, assignment, is_shown=configuration.stream_output)
        running = WatchedJob(
            cluster, configuration, job, output, assignment.logged_until, is_adopted=is_adopted
        )
        self._running[running.id] = running
        return running.id


async def _made(cluster: Cluster, manifest: Manifest) -> tuple[Manifest, list[str]]:
    """Make an object, or find it made by an earlier try whose answer was lost."""
    try:
        return await cluster.create(manifest)
    except ClusterError as error:
        if error.status != CONFLICT:
            raise
        metadata = manifest["metadata"]
        found = await cluster.read(manifest["kind"], metadata["namespace"], metadata["name"])
        if _marks(found) != _marks(manifest):
            raise
        return found, []


def _marks(manifest: Manifest) -> dict[str, str]:
    metadata = manifest["metadata"]
    both = {**metadata.get("annotations", {}), **metadata.get("labels", {})}
    return {key: value for key, value in both.items() if key.startswith("forebay.io/")}


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer; a cluster that cannot answer now is asked again for a while."""
    give_up_at = time.monotonic() + START_PATIENCE_SECONDS
    for pause in backoff():
        try:
            return await ask()
        except ClusterError as error:
            if not error.is_passing or time.monotonic() + pause > give_up_at:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("backoff has no end")
