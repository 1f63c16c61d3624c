"""Runs as jobs of Google Cloud Run, through version 2 of its API."""

from collections.abc import Mapping

from forebay_worker.base import Assignment
from forebay_worker.worker_types.cloud_run_v2_job import CloudRunV2Configuration, job
from forebay_worker.worker_types.google_cloud_run import (
    CloudRunJob,
    CloudRunTypes,
    Listed,
    Settled,
)
from forebay_worker.worker_types.google_session import (
    GoogleError,
    GoogleSession,
    Json,
    endpoint,
)

SETTLED = {"CONDITION_SUCCEEDED": True, "CONDITION_FAILED": False}


class JobV2(CloudRunJob):
    """A job as version 2 describes it."""

    @classmethod
    async def filter(cls, session: GoogleSession, region: str) -> list[Listed]:
        found: list[Listed] = []
        query: dict[str, str] = {}
        while True:
            url = cls(session, session.project, region, "")._url_of_all()
            page = await session.send("GET", url, query)
            found += map(_listed, page.get("jobs", ()))
            if not (token := page.get("nextPageToken")):
                return found
            query = {"pageToken": token}

    async def create(self, body: Json) -> Json:
        return await self.session.send("POST", self._url_of_all(), {"jobId": self.name}, body)

    async def accepted(self, asked: Json) -> None:
        await self.session.finished(self._url(str(asked["name"])), asked)

    async def look(self) -> Json:
        return await self.session.send("GET", self._url(self.path))

    async def run(self) -> str:
        started = await self.session.send("POST", f"{self._url(self.path)}:run", body={})
        # The operation ends with the execution; what it is about is told at once.
        if name := started.get("metadata", {}).get("name"):
            return str(name).rpartition("/")[2]
        found = await self.executions()
        if not found:
            raise GoogleError(503, "the job was run, but has no execution yet")
        return found[0]

    async def executions(self) -> list[str]:
        found = await self.session.send("GET", self._url(f"{self.path}/executions"))
        return [str(item["name"]).rpartition("/")[2] for item in found.get("executions", ())]

    async def delete(self) -> None:
        await self.session.send("DELETE", self._url(self.path))

    async def read(self, execution: str) -> Json:
        return await self.session.send("GET", self._url(f"{self.path}/executions/{execution}"))

    async def cancel(self, execution: str) -> None:
        url = self._url(f"{self.path}/executions/{execution}")
        await self.session.send("POST", f"{url}:cancel", body={})

    async def last_attempt(self, execution: str) -> Json:
        url = self._url(f"{self.path}/executions/{execution}/tasks")
        found = await self.session.send("GET", url)
        for task in found.get("tasks", ()):
            attempt: Json = task.get("lastAttemptResult", {})
            return attempt
        return {}

    def annotations(self, described: Json) -> Mapping[str, str]:
        found: Mapping[str, str] = described.get("annotations", {})
        return found

    def ready(self, job: Json) -> Settled | None:
        return _settled(job.get("terminalCondition", {}))

    def ended(self, execution: Json) -> Settled | None:
        for condition in execution.get("conditions", ()):
            if condition.get("type") == "Completed":
                return _settled(condition)
        return None

    def timeout_seconds(self, execution: Json) -> str:
        return str(execution.get("template", {}).get("timeout", "")).removesuffix("s")

    def _url_of_all(self) -> str:
        return self._url(self.path.removesuffix(f"/{self.name}"))

    def _url(self, path: str) -> str:
        return f"{endpoint('run', self.region)}/v2/{path}"


class CloudRunV2Worker(CloudRunTypes[CloudRunV2Configuration]):
    """The worker type `cloud-run-v2`."""

    worker_type = "cloud-run-v2"
    configuration = CloudRunV2Configuration
    version = JobV2

    def body(
        self, configuration: CloudRunV2Configuration, assignment: Assignment, project: str
    ) -> Json:
        """The job of version 2."""
        return job(configuration, assignment)


def _settled(condition: Json) -> Settled | None:
    state = condition.get("state")
    if state not in SETTLED:
        return None
    reason = condition.get("executionReason") or condition.get("reason") or ""
    return Settled(SETTLED[state], str(reason), str(condition.get("message", "")))


def _listed(job: Json) -> Listed:
    latest = job.get("latestCreatedExecution")
    since = latest.get("completionTime") if latest else job["createTime"]
    return Listed(job["name"].rpartition("/")[2], job.get("annotations", {}), since)
