"""Runs as jobs of Google Cloud Run, through version 1 of its API."""

from collections.abc import Mapping

from forebay_worker.base import Assignment
from forebay_worker.worker_types.cloud_run_job import CloudRunV1Configuration, job
from forebay_worker.worker_types.google_cloud_run import (
    CloudRunJob,
    CloudRunTypes,
    Listed,
    Settled,
)
from forebay_worker.worker_types.google_session import (
    GoogleSession,
    Json,
    endpoint,
)


class JobV1(CloudRunJob):
    """A job as version 1 describes it."""

    @classmethod
    async def filter(cls, session: GoogleSession, region: str) -> list[Listed]:
        found: list[Listed] = []
        query: dict[str, str] = {}
        while True:
            url = cls(session, session.project, region, "")._url("jobs")
            page = await session.send("GET", url, query)
            found += map(_listed, page.get("items", ()))
            if not (token := page.get("metadata", {}).get("continue")):
                return found
            query = {"continue": token}

    async def create(self, body: Json) -> Json:
        return await self.session.send("POST", self._url("jobs"), body=body)

    async def look(self) -> Json:
        return await self.session.send("GET", self._url("jobs", self.name))

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

    def annotations(self, described: Json) -> Mapping[str, str]:
        found: Mapping[str, str] = described["metadata"].get("annotations", {})
        return found

    def ready(self, job: Json) -> Settled | None:
        return _condition(job, "Ready")

    def ended(self, execution: Json) -> Settled | None:
        return _condition(execution, "Completed")

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


def _condition(described: Json, type: str) -> Settled | None:
    for condition in described.get("status", {}).get("conditions", ()):
        if condition.get("type") == type and condition.get("status") in ("True", "False"):
            return Settled(
                condition["status"] == "True",
                str(condition.get("reason", "")),
                str(condition.get("message", "")),
            )
    return None


def _listed(job: Json) -> Listed:
    metadata = job["metadata"]
    latest = job.get("status", {}).get("latestCreatedExecution")
    since = latest.get("completionTimestamp") if latest else metadata["creationTimestamp"]
    return Listed(metadata["name"], metadata.get("annotations", {}), since)
