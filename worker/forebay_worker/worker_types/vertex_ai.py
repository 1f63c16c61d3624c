"""Runs as custom jobs of Google's Vertex AI."""

import itertools
import re
from collections.abc import Iterator, Mapping

from forebay_worker.base import Assignment, Outcome
from forebay_worker.execute import CLAIM_VARIABLE, RUN_VARIABLE
from forebay_worker.infrastructure import CLAIM_MARK, RUN_MARK, WORKER_MARK, marks
from forebay_worker.worker_types.cloud import patiently
from forebay_worker.worker_types.google_execution import Execution
from forebay_worker.worker_types.google_request import RUN_LABEL
from forebay_worker.worker_types.google_session import GoogleSession, Json, endpoint
from forebay_worker.worker_types.google_worker import GoogleWorker
from forebay_worker.worker_types.vertex_ai_job import (
    WORKER_VARIABLE,
    VertexAiConfiguration,
    custom_job,
)

ID = re.compile(r"projects/[a-z0-9:.-]+/locations/([a-z0-9-]+)/customJobs/([0-9]+)")
# The marks of other types, by the variable of the container that holds them here.
MARKS = {RUN_MARK: RUN_VARIABLE, CLAIM_MARK: CLAIM_VARIABLE, WORKER_MARK: WORKER_VARIABLE}
ENDS = {
    "JOB_STATE_SUCCEEDED": "succeeded",
    "JOB_STATE_FAILED": "failed",
    "JOB_STATE_CANCELLED": "was cancelled",
    "JOB_STATE_EXPIRED": "expired",
    "JOB_STATE_PARTIALLY_SUCCEEDED": "succeeded in parts only",
}
_EXIT_CODE = re.compile(r"non-zero status of (\d+)")


class VertexAiWorker(GoogleWorker[VertexAiConfiguration]):
    """The worker type `vertex-ai`. An id is the full name of a custom job."""

    worker_type = "vertex-ai"
    configuration = VertexAiConfiguration

    async def begin(
        self, session: GoogleSession, configuration: VertexAiConfiguration, assignment: Assignment
    ) -> Execution:
        """Make the custom job, once however many answers get lost. Raises `GoogleError`."""
        body = custom_job(configuration, assignment)
        region = configuration.region
        url = f"{_base(region)}/projects/{session.project}/locations/{region}/customJobs"
        tries = 0

        async def make() -> str:
            nonlocal tries
            tries += 1
            if tries > 1 and (found := await _find(session, url, assignment)):
                return found
            return str((await session.send("POST", url, body=body))["name"])

        name = await patiently(make)
        return CustomJob(session, name, configuration.job_watch_poll_interval)

    def find(
        self,
        session: GoogleSession,
        configuration: VertexAiConfiguration,
        infrastructure_id: str,
    ) -> Execution | None:
        """The custom job of this name."""
        if not ID.fullmatch(infrastructure_id):
            return None
        return CustomJob(session, infrastructure_id, configuration.job_watch_poll_interval)


class CustomJob(Execution):
    """A custom job. Jobs that have ended stay in the list that Vertex AI shows."""

    def __init__(self, session: GoogleSession, name: str, interval_seconds: float) -> None:
        self.id = name
        self._session = session
        self._interval_seconds = interval_seconds
        found = ID.fullmatch(name)
        assert found, name
        region, number = found.groups()
        self._url = f"{_base(region)}/{name}"
        self.log_filter = "\n".join(
            (
                'resource.type="ml_job"',
                f'resource.labels.job_id="{number}"',
                'resource.labels.task_name!="service"',  # what Vertex AI itself has to say
            )
        )

    async def look(self) -> Outcome | None:
        """How the job ended, by its own state."""
        job = await self._session.send("GET", self._url)
        state = job.get("state")
        if state not in ENDS:
            return None
        reason = f"the custom job {ENDS[state]}"
        if state == "JOB_STATE_SUCCEEDED":
            return Outcome(0, reason)
        told = str(job.get("error", {}).get("message", "")).strip().rstrip(".")
        if found := _EXIT_CODE.search(told):
            return Outcome(int(found[1]), f"the custom job ended with exit code {found[1]}")
        if state == "JOB_STATE_CANCELLED" or not told:
            return Outcome(None, reason)
        return Outcome(None, f"{reason}: {told}")

    async def marks(self) -> Mapping[str, str]:
        """What the environment of the container tells."""
        return _marks(await self._session.send("GET", self._url))

    async def cancel(self) -> None:
        """Cancel the job."""
        await self._session.send("POST", f"{self._url}:cancel", body={})

    def pauses(self) -> Iterator[float]:
        """The interval that the template gives."""
        return itertools.repeat(self._interval_seconds)


async def _find(session: GoogleSession, url: str, assignment: Assignment) -> str | None:
    """The job that an earlier try has made for this claim."""
    ours = marks(assignment)
    query = {"filter": f'labels.{RUN_LABEL}="{assignment.run.id}"'}
    answer = await session.send("GET", url, query)
    for job in answer.get("customJobs", ()):
        found = _marks(job)
        if all(found.get(key) == ours[key] for key in MARKS):
            return str(job["name"])
    return None


def _marks(job: Json) -> Mapping[str, str]:
    container = job["jobSpec"]["workerPoolSpecs"][0].get("containerSpec", {})
    values = {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}
    return {
        mark: values.get(variable, "").replace("$$(", "$(") for mark, variable in MARKS.items()
    }


def _base(region: str) -> str:
    return f"{endpoint('aiplatform', region)}/v1"
