"""One job of a cluster from its making to its end: what the cluster's objects say, and its lines.

What fails on the way, a watch, a log, the whole API, says nothing about the job: it is looked at
again.
"""

import asyncio
import contextlib
import logging
import time
from datetime import UTC, datetime

from forebay_worker.base import Outcome
from forebay_worker.output import Output
from forebay_worker.proposals import backoff
from forebay_worker.worker_types import kubernetes_status as status
from forebay_worker.worker_types.kubernetes_cluster import (
    GONE,
    NOT_FOUND,
    Cluster,
    ClusterError,
    Manifest,
)
from forebay_worker.worker_types.kubernetes_manifest import KubernetesConfiguration

logger = logging.getLogger(__name__)

REVIEW_SECONDS = 300.0  # after which a job is read again although no event has come
LOG_PAUSE_SECONDS = 0.5  # before a log that broke off is read on
DRAIN_SECONDS = 10.0  # for lines that are on their way when the job has ended


class WatchedJob:
    """A job that is watched from now on."""

    def __init__(
        self,
        cluster: Cluster,
        configuration: KubernetesConfiguration,
        job: Manifest,
        output: Output,
        logged_until: datetime | None = None,
        *,
        is_adopted: bool = False,
    ) -> None:
        self._cluster = cluster
        self._configuration = configuration
        self._job = job
        self._output = output
        self._logged_until = logged_until
        self._began = time.monotonic() - (_age_seconds(job) if is_adopted else 0.0)
        self._pods: dict[str, Manifest] = {}
        self._readers: dict[str, asyncio.Task[None]] = {}
        self._is_deleted = False
        self._ended = asyncio.create_task(self._until_ended())

    @property
    def id(self) -> str:
        """Namespace and name."""
        return f"{self._namespace}/{self._name}"

    async def wait(self) -> Outcome:
        """How the job ended; by then what it wrote has been handed on."""
        outcome = await asyncio.shield(self._ended)
        if self._readers:
            _, late = await asyncio.wait(self._readers.values(), timeout=DRAIN_SECONDS)
            for reader in late:
                reader.cancel()
        if outcome.exit_code != 0:
            self._output.report_last_words()
        return outcome

    async def delete(self) -> None:
        """Delete the job with its pods; returns when the cluster has done so."""
        self._is_deleted = True
        await delete(self._cluster, self._namespace, self._name)
        await asyncio.wait({self._ended})

    def leave(self) -> None:
        """Watch no longer."""
        for task in (self._ended, *self._readers.values()):
            task.cancel()

    @property
    def _namespace(self) -> str:
        namespace: str = self._job["metadata"]["namespace"]
        return namespace

    @property
    def _name(self) -> str:
        name: str = self._job["metadata"]["name"]
        return name

    # The end.

    async def _until_ended(self) -> Outcome:
        """How the job ended. What fails on the way says nothing about the job."""
        pauses = backoff()
        while True:
            try:
                versions = await self._look()
            except ClusterError as error:
                if error.status == NOT_FOUND:
                    judged = None if self._is_deleted else self._judged()
                    return judged or Outcome(None, "the job was deleted")
                logger.info("job %s is looked at again: %s", self._name, error)
                await asyncio.sleep(next(pauses))
                continue
            # What ends because it is deleted has not failed, and is over when it is gone.
            if not self._is_deleted and (outcome := self._judged() or await self._overdue()):
                return outcome
            if await self._changed(versions):
                pauses = backoff()
            else:
                await asyncio.sleep(next(pauses))

    async def _look(self) -> dict[str, str]:
        """Read job and pods anew; the version of each from which they can be watched."""
        cluster, namespace = self._cluster, self._namespace
        jobs = await cluster.filter("Job", namespace, fieldSelector=f"metadata.name={self._name}")
        pods = await cluster.filter("Pod", namespace, labelSelector=f"job-name={self._name}")
        for pod in pods["items"]:
            self._take(pod)
        uid = self._job["metadata"]["uid"]
        found = [job for job in jobs["items"] if job["metadata"]["uid"] == uid]
        if not found:
            raise ClusterError(NOT_FOUND, "the job is gone")
        self._job = found[0]
        return {
            kind: listed["metadata"]["resourceVersion"]
            for kind, listed in (("Job", jobs), ("Pod", pods))
        }

    async def _changed(self, versions: dict[str, str]) -> bool:
        """Return at the next event of job or pods; false when watching does not work."""
        wanted = (
            {"fieldSelector": f"metadata.name={self._name}"},
            {"labelSelector": f"job-name={self._name}"},
        )
        watching = [
            asyncio.create_task(self._next_event(kind, versions[kind], selector))
            for kind, selector in zip(("Job", "Pod"), wanted, strict=True)
        ]
        try:
            done, _ = await asyncio.wait(
                watching, timeout=self._patience(), return_when=asyncio.FIRST_COMPLETED
            )
            return all(task.result() for task in done)
        finally:
            for task in watching:
                task.cancel()
            await asyncio.gather(*watching, return_exceptions=True)

    async def _next_event(self, kind: str, version: str, selector: dict[str, str]) -> bool:
        try:
            events = self._cluster.watch(kind, self._namespace, version, **selector)
            async with contextlib.aclosing(events):
                async for event in events:
                    if event["type"] == "BOOKMARK":
                        continue
                    if kind == "Pod":
                        self._take(event["object"])
                    elif event["object"]["metadata"]["uid"] == self._job["metadata"]["uid"]:
                        self._job = event["object"]
                    return True
        except ClusterError as error:
            logger.debug("watch of %s broke off: %s", self._name, error)
            return error.status == GONE  # too old a version is read anew, at once
        return True  # the cluster ends watches from time to time

    def _take(self, pod: Manifest) -> None:
        """Remember the latest of a pod, and read its log once there is one."""
        name = pod["metadata"]["name"]
        self._pods[name] = pod
        if name not in self._readers and status.has_started([pod]):
            self._readers[name] = asyncio.create_task(self._read(name))

    def _patience(self) -> float:
        """Seconds until something is overdue, or until the job is looked at anyway."""
        limits = [self._configuration.job_watch_timeout_seconds]
        if not status.has_started(self._pods.values()):
            limits.append(self._configuration.pod_watch_timeout_seconds)
        left = [self._began + limit - time.monotonic() for limit in limits if limit is not None]
        return max(0.0, min([REVIEW_SECONDS, *left]))

    async def _overdue(self) -> Outcome | None:
        """How it ends when it has taken too long; the job is deleted then."""
        configuration = self._configuration
        elapsed = time.monotonic() - self._began
        pods = list(self._pods.values())
        limit = configuration.job_watch_timeout_seconds
        if limit is not None and elapsed >= limit:
            reason = f"the job ran longer than job_watch_timeout_seconds ({limit})"
        elif status.has_started(pods):
            return None
        elif hopeless := status.hopeless(pods):
            reason = f"the job's pod cannot start: {hopeless}"
        elif elapsed >= configuration.pod_watch_timeout_seconds:
            why = status.hindrance(pods, await self._events())
            reason = (
                "the job's pod did not start within pod_watch_timeout_seconds "
                f"({configuration.pod_watch_timeout_seconds})" + (f": {why}" if why else "")
            )
        else:
            return None
        await delete(self._cluster, self._namespace, self._name)
        return Outcome(None, reason)

    async def _events(self) -> list[Manifest]:
        selector = f"involvedObject.name={self._name}"
        try:
            found = await self._cluster.filter("Event", self._namespace, fieldSelector=selector)
        except ClusterError:  # it explains only, and may be forbidden
            return []
        items: list[Manifest] = found["items"]
        return items

    # Lines.

    async def _read(self, pod: str) -> None:
        """Hand on a pod's lines until it has ended, each once however often reading breaks off."""
        last = self._logged_until
        container = status.container_name(self._job)
        while True:
            # Times are exact, but the cluster understands whole seconds: what comes again is known.
            known = last
            since = known.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if known else None
            has_ended = await self._has_ended(pod)  # before reading, so that nothing can follow
            try:
                async for stamped in self._cluster.log(self._namespace, pod, container, since):
                    stamp, _, text = stamped.partition(" ")
                    at = _time(stamp)
                    if at is None or known is None or at > known:
                        self._output.line("stdout", text, at)
                        last = at or last
                if has_ended:
                    return
            except ClusterError as error:
                if error.status == NOT_FOUND:
                    return
            await asyncio.sleep(LOG_PAUSE_SECONDS)

    async def _has_ended(self, pod: str) -> bool:
        try:
            found = await self._cluster.read("Pod", self._namespace, pod)
        except ClusterError as error:
            return error.status == NOT_FOUND
        return found.get("status", {}).get("phase") in ("Succeeded", "Failed")

    def _judged(self) -> Outcome | None:
        return status.outcome(self._job, list(self._pods.values()))


async def delete(cluster: Cluster, namespace: str, name: str) -> None:
    """Delete a job; a cluster that does not answer is asked again, as long as it takes."""
    for pause in backoff():
        try:
            await cluster.delete("Job", namespace, name)
        except ClusterError as error:
            if error.status == NOT_FOUND:
                return
            logger.warning("job %s/%s cannot be deleted: %s", namespace, name, error)
        else:
            return
        await asyncio.sleep(pause)


def _age_seconds(job: Manifest) -> float:
    made = datetime.fromisoformat(job["metadata"]["creationTimestamp"])
    return max(0.0, (datetime.now(UTC) - made).total_seconds())


def _time(stamp: str) -> datetime | None:
    """The time before a line, to the microsecond."""
    try:
        head, _, fraction = stamp.rstrip("Z").partition(".")
        return datetime.fromisoformat(f"{head}.{fraction[:6]:0<6}+00:00")
    except ValueError:
        return None
