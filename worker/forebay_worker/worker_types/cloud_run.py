"""Runs as jobs of Google Cloud Run, through version 1 of its API."""

import asyncio
from collections.abc import Mapping

from forebay_worker.base import Assignment
from forebay_worker.worker_types.cloud_run_job import CloudRunV1Configuration, job
from forebay_worker.worker_types.google_cloud_run import CloudRunJob, CloudRunTypes, Ended
from forebay_worker.worker_types.google_session import (
    PAUSES,
    GoogleError,
    Json,
    endpoint,
)


class JobV1(CloudRunJob):
    """A job as version 1 describes it."""

    async def create(self, body: Json) -> Json:
        return await self.session.send("POST", self._url("jobs"), body=body)

    async def marks(self) -> Mapping[str, str]:
        return self.annotations(await self.session.send("GET", self._url("jobs", self.name)))

    async def until_ready(self, asked: Json) -> None:
        pauses = iter(PAUSES)
        while True:
            found = await self.session.send("GET", self._url("jobs", self.name))
            ready = _condition(found, "Ready")
            if ready.get("status") == "True":
                return
            if ready.get("status") == "False":
                raise GoogleError(400, str(ready.get("message") or ready.get("reason")))
            await asyncio.sleep(next(pauses, PAUSES[-1]))

    async def run(self) -> str:
        started = await self.session.send("POST", f"{self._url('jobs', self.name)}:run", body={})
        return str(started["metadata"]["name"])

    async def executions(self) -> list[str]:
        query = {"labelSelector": f"run.googleapis.com/job={self.name}"}
        found = await self.session.send("GET", self._url("executions"), query)
        return [str(item["metadata"]["name"]) for item in found.get("items", ())]

    async def delete(self) -> None:
        await self.session.send("DELETE", self._url("jobs", self.name))

    async def read(self, execution: str) -> Json:
        return await self.session.send("GET", self._url("executions", execution))

    async def cancel(self, execution: str) -> None:
        await self.session.send("POST", f"{self._url('executions', execution)}:cancel", body={})

    async def last_attempt(self, execution: str) -> Json:
        query = {"labelSelector": f"run.googleapis.com/execution={execution}"}
        found = await self.session.send("GET", self._url("tasks"), query)
        for task in found.get("items", ()):
            attempt: Json = task.get("status", {}).get("lastAttemptResult", {})
            return attempt
        return {}

    def annotations(self, execution: Json) -> Mapping[str, str]:
        found: Mapping[str, str] = execution["metadata"].get("annotations", {})
        return found

    def ended(self, execution: Json) -> Ended | None:
        completed = _condition(execution, "Completed")
        if completed.get("status") not in ("True", "False"):
            return None
        return Ended(
            completed["status"] == "True",
            str(completed.get("reason", "")),
            str(completed.get("message", "")),
        )

    def timeout_seconds(self, execution: Json) -> str:
        return str(execution["spec"]["template"]["spec"].get("timeoutSeconds"))

    def _url(self, *path: str) -> str:
        base = f"{endpoint('run', self.region)}/apis/run.googleapis.com/v1"
        return "/".join((base, "namespaces", self.project, *path))


class CloudRunWorker(CloudRunTypes[CloudRunV1Configuration]):
    """The worker type `cloud-run`."""

    worker_type = "cloud-run"
    configuration = CloudRunV1Configuration
    version = JobV1

    def body(
        self, configuration: CloudRunV1Configuration, assignment: Assignment, project: str
    ) -> Json:
        """The job of version 1."""
        return job(configuration, assignment, project)


def _condition(described: Json, type: str) -> Json:
    for condition in described.get("status", {}).get("conditions", ()):
        if condition.get("type") == type:
            found: Json = condition
            return found
    return {}
