"""Jobs of a fake Cloud Run and their executions, before any version of the API tells of them."""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

from tests.worker.google.containers import RUNS, Container, Log, now

Json = dict[str, Any]

PROJECT = "my-project"


class Refused(Exception):
    """A request that the API refuses, with its HTTP status and its name of what is wrong."""

    def __init__(
        self, status: int, name: str, message: str, details: list[Json] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.name, self.details = status, name, details or []


@dataclass
class Execution:
    """An execution of a job with one task."""

    name: str
    job: "Job"
    made_at: str = field(default_factory=now)
    end: str = ""  # how it ended; empty while it goes on
    ended_at: str = ""
    exit_code: int = 0
    message: str = ""
    is_cancelled: bool = False
    container: Container | None = None
    task: asyncio.Task[None] | None = None


@dataclass
class Job:
    """A job as it was asked for, and what its one container is."""

    region: str
    name: str
    body: Json
    image: str
    arguments: list[str]
    environment: dict[str, str]
    timeout_seconds: float
    tries: int
    made_at: str = field(default_factory=now)
    executions: list[Execution] = field(default_factory=list)

    is_ready: bool | None = None  # whether its image can be had; unknown at first


class CloudRun:
    """Jobs by region and name."""

    def __init__(self, log: Log) -> None:
        self.jobs: dict[tuple[str, str], Job] = {}
        self.executed = 0  # containers that were started
        self.secrets: dict[tuple[str, str], str] = {}
        self.is_undeletable = False
        self.is_slow = False  # does not find out whether images can be had
        self._log = log
        self._suffixes = (f"{number:05}" for number in itertools.count())

    def create(self, job: Job) -> Job:
        """Keep a new job. Raises `Refused`."""
        if (job.region, job.name) in self.jobs:
            raise Refused(409, "ALREADY_EXISTS", f"Resource '{job.name}' already exists.")
        self.jobs[job.region, job.name] = job
        if not self.is_slow:
            job.is_ready = job.image == RUNS
        return job

    def job(self, region: str, name: str) -> Job:
        """Raises `Refused`."""
        try:
            return self.jobs[region, name]
        except KeyError:
            raise Refused(404, "NOT_FOUND", f"Resource '{name}' was not found.") from None

    def all(self, region: str) -> list[Job]:
        """Jobs of a region."""
        return [job for job in self.jobs.values() if job.region == region]

    def execution(self, region: str, name: str) -> Execution:
        """Raises `Refused`."""
        for job in self.jobs.values():
            for execution in job.executions:
                if (job.region, execution.name) == (region, name):
                    return execution
        raise Refused(404, "NOT_FOUND", f"Resource '{name}' was not found.")

    def run(self, job: Job) -> Execution:
        """Start an execution."""
        made = Execution(f"{job.name}-x{next(self._suffixes)}", job)
        job.executions.append(made)
        made.task = asyncio.create_task(self._see_through(made))
        return made

    async def cancel(self, execution: Execution) -> None:
        """Have an execution end."""
        if execution.end:
            raise Refused(400, "FAILED_PRECONDITION", "The execution has completed already.")
        execution.is_cancelled = True
        if execution.container:
            await execution.container.terminate()

    async def delete(self, job: Job) -> None:
        """Delete a job with its executions. Raises `Refused`."""
        if self.is_undeletable:
            raise Refused(403, "PERMISSION_DENIED", "You may not delete jobs.")
        for execution in job.executions:
            if not execution.end:
                await self.cancel(execution)
        del self.jobs[job.region, job.name]

    def value(self, entry: Json, source: str, secret: str, version: str) -> str:
        """An entry of an environment; the keys are the API version's names."""
        if source not in entry:
            return str(entry.get("value", ""))
        reference = entry[source]["secretKeyRef"]
        try:
            return self.secrets[reference[secret], reference[version]]
        except KeyError:
            raise Refused(
                400, "FAILED_PRECONDITION", f"Secret {reference[secret]} was not found"
            ) from None

    async def _see_through(self, execution: Execution) -> None:
        await self._carry_out(execution)
        execution.ended_at = now()

    async def _carry_out(self, execution: Execution) -> None:
        job = execution.job
        origin = {
            "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2F{{}}",
            "resource": {
                "type": "cloud_run_job",
                "labels": {
                    "project_id": PROJECT,
                    "location": job.region,
                    "job_name": job.name,
                },
            },
            "labels": {
                "run.googleapis.com/execution_name": execution.name,
                "run.googleapis.com/task_index": "0",
            },
        }
        for _ in range(job.tries):
            container = Container(job.arguments, job.environment, self._log, origin)
            execution.container = container
            self.executed += 1
            try:
                async with asyncio.timeout(job.timeout_seconds):
                    execution.exit_code = await container.run()
            except TimeoutError:
                await container.terminate()
                execution.end, execution.message = "timeout", "The configured timeout was reached."
                return
            if execution.exit_code == 0 or execution.is_cancelled:
                break
        if execution.is_cancelled:
            execution.end = "cancelled"
        elif execution.exit_code == 0:
            execution.end = "succeeded"
        else:
            execution.end = "failed"
            execution.message = "The container exited with an error."


def attempt(execution: Execution) -> Json:
    """How the container of an execution ended, as both versions describe it."""
    code = execution.exit_code
    if execution.end != "failed":
        return {}
    if code < 0:
        told = {"code": 9, "message": "Memory limit of 512 MiB exceeded with 514 MiB used."}
        return {"termSignal": -code, "status": told}
    return {"exitCode": code, "status": {"code": 10, "message": execution.message}}
