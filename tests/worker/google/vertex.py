"""Custom jobs of a fake Vertex AI."""

import asyncio
import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass

from tests.worker.google.containers import RUNS, Container, Log, now
from tests.worker.google.executions import PROJECT, Json, Refused

PREFIX = "aiplatform.projects.locations.customJobs."


@dataclass
class CustomJob:
    """A custom job and its one replica."""

    described: Json
    container: Container
    timeout_seconds: float
    image: str
    task: asyncio.Task[None] | None = None
    is_cancelled: bool = False


class Vertex:
    """Custom jobs by name; answers the methods that are asked for by their ids."""

    def __init__(self, log: Log) -> None:
        self.jobs: dict[str, CustomJob] = {}
        self.executed = 0
        self._log = log
        self._numbers = itertools.count(7_000_000_000)

    async def answer(
        self,
        method: str,
        region: str,
        path: Mapping[str, str],
        query: Mapping[str, str],
        body: Json,
    ) -> Json:
        """The body of an answer. Raises `Refused`."""
        if path["locationsId"] != region:
            raise Refused(400, "INVALID_ARGUMENT", f"location {path['locationsId']} is not here")
        # Its names have the project's number, whatever was asked with.
        parent = f"projects/1234567890/locations/{region}/customJobs"
        match method.removeprefix(PREFIX):
            case "create":
                return self._create(parent, body)
            case "list":
                found = re.fullmatch(r'labels\.([\w-]+)="([^"]+)"', query["filter"])
                assert found, query
                label, value = found.groups()
                jobs = [job.described for job in self.jobs.values()]
                return {"customJobs": [job for job in jobs if job["labels"].get(label) == value]}
        name = f"{parent}/{path['customJobsId']}"
        if name not in self.jobs:
            raise Refused(404, "NOT_FOUND", f"The CustomJob {name} does not exist.")
        match method.removeprefix(PREFIX):
            case "get":
                return self.jobs[name].described
            case "cancel":
                await self._cancel(self.jobs[name])
                return {}
        raise Refused(501, "UNIMPLEMENTED", f"the fake has no {method}")

    def _create(self, parent: str, body: Json) -> Json:
        number = str(next(self._numbers))
        spec = body["jobSpec"]
        pool = spec["workerPoolSpecs"][0]["containerSpec"]
        origin = {
            "logName": f"projects/{PROJECT}/logs/workerpool0-0",
            "resource": {
                "type": "ml_job",
                "labels": {"project_id": PROJECT, "job_id": number, "task_name": "workerpool0-0"},
            },
        }
        values: dict[str, str] = {}
        for entry in pool.get("env", []):
            values[entry["name"]] = _expanded(entry["value"], values)
        container = Container(
            [*pool.get("command", []), *pool.get("args", [])], values, self._log, origin
        )
        described = {
            **body,
            "name": f"{parent}/{number}",
            "createTime": now(),
            "state": "JOB_STATE_PENDING",
        }
        timeout = spec.get("scheduling", {}).get("timeout", "604800s")
        job = CustomJob(described, container, float(timeout.removesuffix("s")), pool["imageUri"])
        self.jobs[described["name"]] = job
        job.task = asyncio.create_task(self._carry_out(job))
        service = {**origin["resource"]["labels"], "task_name": "service"}  # type: ignore[index]
        self._log.write(
            {**origin, "resource": {"type": "ml_job", "labels": service}}, "Job is queued.", ""
        )
        return described

    async def _cancel(self, job: CustomJob) -> None:
        if job.described["state"] in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"):
            raise Refused(400, "FAILED_PRECONDITION", "The job has ended already.")
        job.is_cancelled = True
        job.described["state"] = "JOB_STATE_CANCELLING"
        await job.container.terminate()

    async def _carry_out(self, job: CustomJob) -> None:
        described = job.described
        if job.image != RUNS:
            message = f"Image '{job.image}' could not be pulled."
            described |= {"state": "JOB_STATE_FAILED", "error": {"code": 5, "message": message}}
            return
        described["state"] = "JOB_STATE_RUNNING"
        self.executed += 1
        try:
            async with asyncio.timeout(job.timeout_seconds):
                code = await job.container.run()
        except TimeoutError:
            await job.container.terminate()
            message = "The job exceeded its timeout."
            described |= {"state": "JOB_STATE_CANCELLED", "error": {"code": 4, "message": message}}
            return
        if job.is_cancelled:
            described |= {
                "state": "JOB_STATE_CANCELLED",
                "error": {"code": 1, "message": "CANCELED"},
            }
        elif code == 0:
            described["state"] = "JOB_STATE_SUCCEEDED"
        else:
            message = (
                f"The replica workerpool0-0 exited with a non-zero status of {code}. "
                "To find out more about why your job exited please check the logs."
            )
            described |= {"state": "JOB_STATE_FAILED", "error": {"code": 3, "message": message}}


def _expanded(value: str, known: Mapping[str, str]) -> str:
    """References to variables before it; a doubled dollar stands for one."""

    def replaced(found: re.Match[str]) -> str:
        if found[0].startswith("$$"):
            return found[0][1:]
        return known.get(found[1], found[0])

    return re.sub(r"\$?\$\((\w+)\)", replaced, value)
