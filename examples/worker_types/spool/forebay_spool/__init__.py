"""A worker type that hands runs to a batch system through a folder."""

import asyncio
import json
import os
from pathlib import Path

from pydantic import Field

from forebay_worker.base import Assignment, JobConfiguration, Outcome, StartFailed, WorkerType
from forebay_worker.infrastructure import adopted_claim, arguments, environment, marks

LOOK_SECONDS = 0.1  # between looks at the folder


class SpoolConfiguration(JobConfiguration):
    """Its fields are the variables of the pool's base job template."""

    spool_dir: Path = Field(description="Folder that the batch system watches.")
    priority: int = Field(default=0, ge=0, le=9, description="Jobs with a higher one go first.")


class SpoolWorker(WorkerType[SpoolConfiguration]):
    """The worker type `spool`. An id is the path of a job, so any process can find it again."""

    worker_type = "spool"
    outlives_worker = True
    configuration = SpoolConfiguration

    async def start(self, configuration: SpoolConfiguration, assignment: Assignment) -> str:
        """Write the job; renaming it into place makes it appear whole."""
        job = configuration.spool_dir / f"{assignment.run.id}.job"
        content = {
            "command": arguments(configuration.command),
            "environment": environment(configuration, assignment),
            "priority": configuration.priority,
            "marks": marks(assignment),
        }
        try:
            unfinished = job.with_suffix(".new")
            unfinished.touch(mode=0o600)  # the environment has the token of the run
            unfinished.write_text(json.dumps(content))
            os.replace(unfinished, job)
        except OSError as error:
            raise StartFailed(f"The job cannot be written to {job}: {error.strerror}.") from None
        return str(job)

    async def wait(self, infrastructure_id: str) -> Outcome:
        """Look for the file that tells of the end."""
        done = Path(infrastructure_id).with_suffix(".done")
        while not done.exists():  # noqa: ASYNC110 - a folder has no events
            await asyncio.sleep(LOOK_SECONDS)
        code = int(done.read_text())
        return Outcome(code, f"the batch job ended with exit code {code}")

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """Ask the batch system to end the job."""
        Path(infrastructure_id).with_suffix(".cancel").touch()
        await self.wait(infrastructure_id)

    async def adopt(
        self, infrastructure_id: str, configuration: SpoolConfiguration, assignment: Assignment
    ) -> str | None:
        """The claim in the job, if it is the run's and of a worker of this name."""
        return adopted_claim(_marks(Path(infrastructure_id)), assignment)


def _marks(job: Path) -> dict[str, str] | None:
    """Whose job it is; none when there is no such job."""
    try:
        found: dict[str, str] = json.loads(job.read_text())["marks"]
    except (OSError, ValueError, KeyError):
        return None
    return found
