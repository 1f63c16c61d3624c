"""What ECS does with tasks: containers that are real processes of this machine, and their ends."""

import asyncio
import signal
import time
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from tests.worker.local_process import LocalProcess

Json = dict[str, Any]

# What images do. Every other name is an image that cannot be pulled.
RUNS = "flows:1"
DIES_OF_MEMORY = "flows:greedy"
NEVER_STARTS = "flows:stuck"
PULL_ERROR = (
    "CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve "
    "ref docker.io/library/{}: not found"
)
STOP_GRACE_SECONDS = 1.0


class Task:
    """One task of the stand-in."""

    def __init__(self, description: Json, definition: Json) -> None:
        self.description = description
        self.process = LocalProcess()
        self._definition = definition
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        self.carried_out = asyncio.create_task(self._carry_out())

    @property
    def stream(self) -> tuple[str, str] | None:
        """Group and stream of the container's lines."""
        options = self._container.get("logConfiguration", {}).get("options")
        if not options:
            return None
        task_id = self.description["taskArn"].rpartition("/")[2]
        return (
            options["awslogs-group"],
            f"{options['awslogs-stream-prefix']}/{self._container['name']}/{task_id}",
        )

    @property
    def claim(self) -> str:
        """The claim under which the task was asked for."""
        tags = {tag["key"]: tag["value"] for tag in self.description["tags"]}
        return str(tags["forebay.io/claim"])

    def stop(self, reason: str) -> None:
        """End the task as its user asks."""
        if self.description["lastStatus"] == "STOPPED":
            return
        self.description |= {
            "desiredStatus": "STOPPED",
            "stopCode": "UserInitiated",
            "stoppedReason": reason,
        }
        self._stopping.set()
        self.process.signal(signal.SIGTERM)
        loop = asyncio.get_running_loop()
        loop.call_later(STOP_GRACE_SECONDS, self.process.signal, signal.SIGKILL)

    async def close(self) -> None:
        """End the process."""
        self.carried_out.cancel()
        self.process.signal(signal.SIGKILL)
        await asyncio.gather(self.carried_out, return_exceptions=True)

    @property
    def _container(self) -> Json:
        found: Json = self._definition["containerDefinitions"][0]
        return found

    async def _carry_out(self) -> None:
        image = self._container["image"]
        if image == NEVER_STARTS:
            self.description["lastStatus"] = "PENDING"
            await self._stopping.wait()
            self._end({})
            return
        if not image.startswith("flows:"):
            self.description |= {
                "stopCode": "TaskFailedToStart",
                "stoppedReason": PULL_ERROR.format(image),
            }
            self._end({})
            return
        self.description |= {"lastStatus": "RUNNING", "startedAt": time.time()}
        [override] = self.description["overrides"]["containerOverrides"]
        environment = {entry["name"]: entry["value"] for entry in override["environment"]}
        code = await self.process.run(override["command"], environment)
        self.description.setdefault("stopCode", "EssentialContainerExited")
        self.description.setdefault("stoppedReason", "Essential container in task exited")
        memory = {"reason": "OutOfMemoryError: Container killed due to memory usage"}
        self._end({"exitCode": code, **(memory if image == DIES_OF_MEMORY else {})})

    def _end(self, container: Json) -> None:
        self.description["containers"][0] |= {"lastStatus": "STOPPED", **container}
        self.description |= {"lastStatus": "STOPPED", "stoppedAt": time.time()}


def a_task(definition: Json, request: Json, cluster: str) -> Json:
    """The description of a task that has been asked for."""
    account = cluster.rpartition(":cluster/")[0]
    name = cluster.rpartition("/")[2]
    arn = f"{account}:task/{name}/{uuid4().hex}"
    container = definition["containerDefinitions"][0]
    return {
        "taskArn": arn,
        "clusterArn": cluster,
        "taskDefinitionArn": definition["taskDefinitionArn"],
        "overrides": request.get("overrides", {}),
        "lastStatus": "PROVISIONING",
        "desiredStatus": "RUNNING",
        "createdAt": datetime.now(UTC).timestamp(),
        "containers": [
            {"name": container["name"], "taskArn": arn, "lastStatus": "PENDING"},
        ],
        "tags": request.get("tags", []),
    }
