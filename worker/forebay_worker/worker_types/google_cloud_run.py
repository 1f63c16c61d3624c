"""Jobs of Cloud Run and their executions, whichever version of the API tells of them."""

import asyncio
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, TypeVar

from forebay_worker.base import Assignment, Outcome, StartFailed
from forebay_worker.infrastructure import CLAIM_MARK, RUN_MARK, WORKER_MARK
from forebay_worker.worker_types.cloud import patiently
from forebay_worker.worker_types.google_execution import Execution
from forebay_worker.worker_types.google_request import KEEP_MARK, CloudRunConfiguration, job_name
from forebay_worker.worker_types.google_session import (
    CONFLICT,
    NOT_FOUND,
    PAUSES,
    GoogleError,
    GoogleSession,
    Json,
    moment,
)
from forebay_worker.worker_types.google_worker import GoogleWorker

C = TypeVar("C", bound=CloudRunConfiguration)

ID = re.compile(
    r"projects/([a-z0-9:.-]+)/locations/([a-z0-9-]+)/jobs/([a-z0-9-]+)/executions/([a-z0-9-]+)"
)


ORPHANED_SECONDS = 3600.0  # after which a job is deleted that its own worker has not deleted
READY_SECONDS = 300.0  # for a new job that can be run neither yet nor never


@dataclass(frozen=True)
class Settled:
    """What a condition says once it is true or false."""

    is_good: bool
    reason: str
    message: str


@dataclass(frozen=True)
class Listed:
    """A job among others."""

    name: str
    annotations: Mapping[str, str]
    idle_since: str | None  # when its last execution ended, else when it was made; none: it runs


@dataclass(frozen=True)
class CloudRunJob(ABC):
    """A job of a region, as one version of the API has it. Methods raise `GoogleError`."""

    session: GoogleSession
    project: str
    region: str
    name: str
    is_kept: bool = False  # whether it stays when its execution has ended

    @property
    def path(self) -> str:
        """Its name as a resource."""
        return f"projects/{self.project}/locations/{self.region}/jobs/{self.name}"

    @classmethod
    @abstractmethod
    async def filter(cls, session: GoogleSession, region: str) -> list[Listed]:
        """All jobs of a region."""

    @abstractmethod
    async def create(self, body: Json) -> Json:
        """Ask for the job; the answer."""

    async def accepted(self, asked: Json) -> None:
        """Return when the cloud has taken what `create` asked for; `asked` is the answer."""
        return

    @abstractmethod
    async def look(self) -> Json:
        """The job."""

    @abstractmethod
    async def run(self) -> str:
        """Start an execution; its name."""

    @abstractmethod
    async def executions(self) -> list[str]:
        """Names of its executions."""

    @abstractmethod
    async def delete(self) -> None:
        """Delete the job with its executions."""

    @abstractmethod
    async def read(self, execution: str) -> Json:
        """One execution."""

    @abstractmethod
    async def cancel(self, execution: str) -> None:
        """Have an execution end."""

    @abstractmethod
    async def last_attempt(self, execution: str) -> Json:
        """How the container of an execution's first task ended; empty when nothing is known."""

    # What a job or an execution says.

    @abstractmethod
    def annotations(self, described: Json) -> Mapping[str, str]:
        """The annotations of either."""

    @abstractmethod
    def ready(self, job: Json) -> Settled | None:
        """Whether the job can be run; none while that is not known."""

    @abstractmethod
    def ended(self, execution: Json) -> Settled | None:
        """How it ended; none while it goes on."""

    @abstractmethod
    def timeout_seconds(self, execution: Json) -> str:
        """The time that its task really has."""

    # What follows from that.

    async def until_ready(self, asked: Json) -> None:
        """Return when the job can be run; `asked` is what `create` has answered, if it has."""
        if asked:
            await self.accepted(asked)
        pauses = iter(PAUSES)
        give_up_at = time.monotonic() + READY_SECONDS
        while True:
            settled = self.ready(await self.look())
            if settled:
                if settled.is_good:
                    return
                raise GoogleError(400, settled.message or settled.reason)
            if time.monotonic() > give_up_at:
                raise GoogleError(400, f"the job was not ready within {READY_SECONDS:.0f} seconds")
            await asyncio.sleep(next(pauses, PAUSES[-1]))


class CloudRunExecution(Execution):
    """An execution of a job."""

    def __init__(self, job: CloudRunJob, name: str) -> None:
        self._job = job
        self._name = name
        self.id = f"{job.path}/executions/{name}"
        self.log_filter = "\n".join(
            (
                'resource.type="cloud_run_job"',
                f'resource.labels.job_name="{job.name}"',
                f'resource.labels.location="{job.region}"',
                f'labels."run.googleapis.com/execution_name"="{name}"',
                '(log_id("run.googleapis.com/stdout") OR log_id("run.googleapis.com/stderr"))',
            )
        )

    async def look(self) -> Outcome | None:
        """How the execution ended, by its own condition."""
        execution = await self._job.read(self._name)
        ended = self._job.ended(execution)
        if ended is None:
            return None
        if ended.is_good:
            return Outcome(0, "the execution's task ended with exit code 0")
        if ended.reason.lower() == "cancelled":
            return Outcome(None, "the execution was cancelled")
        told = ended.message.strip().rstrip(".") or ended.reason or "without a reason"
        if "timeout" in told.lower() or "timed out" in told.lower():
            seconds = self._job.timeout_seconds(execution)
            return Outcome(
                None, f"the execution's task ran longer than its timeout of {seconds} s"
            )
        attempt = await self._last_attempt()
        if signal := attempt.get("termSignal"):
            why = str(attempt.get("status", {}).get("message") or told).rstrip(".")
            return Outcome(
                128 + signal, f"the execution's task was ended by signal {signal}: {why}"
            )
        if code := attempt.get("exitCode"):
            return Outcome(code, f"the execution's task ended with exit code {code}")
        return Outcome(None, f"the execution failed: {told}")

    async def marks(self) -> Mapping[str, str]:
        """The annotations of the execution."""
        return self._job.annotations(await self._job.read(self._name))

    async def cancel(self) -> None:
        """Cancel the execution."""
        await self._job.cancel(self._name)

    async def dispose(self) -> None:
        """Delete the job, unless it is kept."""
        if not self._job.is_kept:
            await self._job.delete()

    async def _last_attempt(self) -> Json:
        try:
            return await self._job.last_attempt(self._name)
        except GoogleError as error:
            if error.is_passing:
                raise
            return {}  # it explains only, and may be forbidden


class CloudRunTypes(GoogleWorker[C]):
    """What the worker types of both versions do. An id is the full name of an execution."""

    version: ClassVar[type[CloudRunJob]]

    def __init__(self, orphaned_seconds: float = ORPHANED_SECONDS) -> None:
        super().__init__()
        self._orphaned = timedelta(seconds=orphaned_seconds)
        self._places: set[tuple[GoogleSession, str]] = set()  # where this worker has had jobs

    @abstractmethod
    def body(self, configuration: C, assignment: Assignment, project: str) -> Json:
        """The job that is asked for. Raises `StartFailed`."""

    async def begin(
        self, session: GoogleSession, configuration: C, assignment: Assignment
    ) -> CloudRunExecution:
        """Make the job and run it."""
        self._places.add((session, configuration.region))
        project, name = session.project, job_name(configuration, assignment)
        body = self.body(configuration, assignment, project)
        job = self.version(session, project, configuration.region, name, configuration.keep_job)
        return await begin(job, body)

    def find(
        self, session: GoogleSession, configuration: C, infrastructure_id: str
    ) -> CloudRunExecution | None:
        """The execution of this name."""
        if not (found := ID.fullmatch(infrastructure_id)):
            return None
        project, region, name, execution = found.groups()
        self._places.add((session, region))
        job = self.version(session, project, region, name, configuration.keep_job)
        return CloudRunExecution(job, execution)

    async def clean_up(self) -> None:
        """Delete jobs that ended while nobody watched, where this worker has had jobs."""
        oldest = datetime.now(UTC) - self._orphaned
        for session, region in [*self._places]:
            try:
                for listed in await self.version.filter(session, region):
                    if _is_orphan(listed, oldest):
                        job = self.version(session, session.project, region, listed.name)
                        await job.delete()
            except GoogleError as error:
                if error.status != NOT_FOUND:
                    raise StartFailed(error.refusal) from None


async def begin(job: CloudRunJob, body: Json) -> CloudRunExecution:
    """Make the job and start its one execution, however many answers get lost.

    Raises `GoogleError`; then no job is left.
    """
    tries = 0

    async def create() -> Json:
        try:
            return await job.create(body)
        except GoogleError as error:
            # One of this name may come of an earlier try.
            if error.status != CONFLICT or not _is_same(job.annotations(await job.look()), body):
                raise
            return {}

    async def run() -> str:
        nonlocal tries
        tries += 1
        if tries > 1 and (found := await job.executions()):
            return found[0]
        return await job.run()

    asked = await patiently(create)
    try:
        await patiently(lambda: job.until_ready(asked))
        return CloudRunExecution(job, await patiently(run))
    except GoogleError:
        await _delete_quietly(job)
        raise


async def _delete_quietly(job: CloudRunJob) -> None:
    try:
        await job.delete()
    except GoogleError:  # what has gone wrong before is what is told
        return


def _is_same(found: Mapping[str, str], body: Json) -> bool:
    ours = body.get("annotations") or body["metadata"]["annotations"]
    return all(found.get(key) == ours[key] for key in (RUN_MARK, WORKER_MARK, CLAIM_MARK))


def _is_orphan(job: Listed, oldest: datetime) -> bool:
    """Whether a job is Forebay's, is not to be kept, and has been idle for long."""
    is_ours = RUN_MARK in job.annotations and job.annotations.get(KEEP_MARK) == "false"
    return is_ours and job.idle_since is not None and moment(job.idle_since) < oldest
