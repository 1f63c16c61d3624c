"""What a cluster does with jobs: pods that run real processes of this machine, and their ends."""

import asyncio
import base64
import contextlib
import os
import signal
import tempfile
from datetime import UTC, datetime
from typing import Any

from tests.worker.kubernetes.store import Manifest, Store, now

GRACE_SECONDS = 1.0  # between SIGTERM and SIGKILL, unless the pod says otherwise
EVICTION = "The node was low on resource: memory."

# What images do. Every other name is an image that cannot be pulled.
RUNS = "flows:1"
DIES_OF_MEMORY = "flows:greedy"
IS_EVICTED = "flows:evicted"
IMAGES = (RUNS, DIES_OF_MEMORY, IS_EVICTED)


class Controller:
    """Carries jobs out."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.logs: dict[str, list[tuple[datetime, str]]] = {}  # by uid of the pod
        self.executions = 0
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    def take(self, job: Manifest) -> None:
        """Begin with a job."""
        self._jobs[job["metadata"]["uid"]] = asyncio.create_task(self._carry_out(job))

    async def remove(self, job: Manifest) -> None:
        """Delete a job as in the foreground: it goes last."""
        metadata = job["metadata"] = {**job["metadata"], "deletionTimestamp": now()}
        self.store.update(job, metadata=metadata)
        for pod in self._pods(job):
            await self._terminate(pod)
        task = self._jobs.pop(metadata["uid"], None)
        if task and task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for pod in self._pods(job):
            self.store.delete(pod)
        self.store.delete(job)

    async def close(self) -> None:
        """End every process."""
        for task in self._jobs.values():
            task.cancel()
        for process in self._processes.values():
            _signal(process, signal.SIGKILL)
            await process.wait()

    # A job.

    async def _carry_out(self, job: Manifest) -> None:
        spec = job["spec"]
        account = spec["template"]["spec"].get("serviceAccountName", "default")
        if account != "default":
            self._warn(job, "FailedCreate", f'service account "{account}" not found')
            return
        for _ in range(spec.get("backoffLimit", 6) + 1):
            is_good = await self._run_pod(job)
            if is_good:
                break
        condition = (
            {"type": "Complete", "status": "True"}
            if is_good
            else {
                "type": "Failed",
                "status": "True",
                "reason": "BackoffLimitExceeded",
                "message": "Job has reached the specified backoff limit",
            }
        )
        self.store.update(job, status={"conditions": [condition], "completionTime": now()})
        if "ttlSecondsAfterFinished" in spec:
            await asyncio.sleep(spec["ttlSecondsAfterFinished"])
            await self.remove(job)

    async def _run_pod(self, job: Manifest) -> bool:
        pod = self._new_pod(job)
        container = pod["spec"]["containers"][0]
        image = container["image"]
        if image not in IMAGES:
            never = container.get("imagePullPolicy") == "Never"
            reason = "ErrImageNeverPull" if never else "ImagePullBackOff"
            self._waits(pod, reason, f'Back-off pulling image "{image}"')
            await asyncio.Event().wait()
        self._waits(pod, "ContainerCreating", "")
        process = await self._start(pod, container)
        uid = pod["metadata"]["uid"]
        self._processes[uid] = process
        self.executions += 1
        self._has(pod, "Running", {"running": {"startedAt": now()}})
        await self._log(process, uid)
        code = await process.wait()
        if image == IS_EVICTED:
            self.store.update(
                pod, status={"phase": "Failed", "reason": "Evicted", "message": EVICTION}
            )
            return False
        self._end(pod, 128 - code if code < 0 else code, is_greedy=image == DIES_OF_MEMORY)
        return code == 0

    def _new_pod(self, job: Manifest) -> Manifest:
        template = job["spec"]["template"]
        metadata = template.get("metadata", {})
        name = job["metadata"]["name"]
        owner = {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "name": name,
            "uid": job["metadata"]["uid"],
            "controller": True,
        }
        return self.store.create(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {
                    **metadata,
                    "namespace": job["metadata"]["namespace"],
                    "generateName": f"{name}-",
                    "labels": {**metadata.get("labels", {}), "job-name": name},
                    "ownerReferences": [owner],
                },
                "spec": template["spec"],
                "status": {"phase": "Pending"},
            }
        )

    async def _start(self, pod: Manifest, container: Manifest) -> asyncio.subprocess.Process:
        environment = {
            entry["name"]: await self._value(pod, entry) for entry in container.get("env", [])
        }
        uid = pod["metadata"]["uid"]
        self.logs[uid] = []
        return await asyncio.create_subprocess_exec(
            *container.get("command", []),
            *container.get("args", []),
            env=environment,
            cwd=tempfile.mkdtemp(prefix="forebay-pod-"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )

    async def _value(self, pod: Manifest, entry: Manifest) -> str:
        if "valueFrom" not in entry:
            return str(entry.get("value", ""))
        reference = entry["valueFrom"]["secretKeyRef"]
        key = ("Secret", pod["metadata"]["namespace"], reference["name"])
        while key not in self.store.objects:  # as a kubelet does
            await self.store.change()
        data = self.store.objects[key]["data"]
        return base64.b64decode(data[reference["key"]]).decode()

    async def _log(self, process: asyncio.subprocess.Process, uid: str) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self.logs[uid].append((datetime.now(UTC), line.decode().rstrip("\n")))
            self.store.notify()

    async def _terminate(self, pod: Manifest) -> None:
        process = self._processes.get(pod["metadata"]["uid"])
        if process is None or process.returncode is not None:
            return
        _signal(process, signal.SIGTERM)
        try:
            async with asyncio.timeout(
                pod["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
            ):
                await process.wait()
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()

    # What the objects say.

    def _pods(self, job: Manifest) -> list[Manifest]:
        uid = job["metadata"]["uid"]
        return [
            found
            for (kind, _, _), found in self.store.objects.items()
            if kind == "Pod" and found["metadata"]["ownerReferences"][0]["uid"] == uid
        ]

    def _waits(self, pod: Manifest, reason: str, message: str) -> None:
        self._has(pod, "Pending", {"waiting": {"reason": reason, "message": message}})

    def _has(self, pod: Manifest, phase: str, state: dict[str, Any]) -> None:
        container = pod["spec"]["containers"][0]
        status = {"name": container["name"], "image": container["image"], "state": state}
        self.store.update(pod, status={"phase": phase, "containerStatuses": [status]})

    def _end(self, pod: Manifest, code: int, *, is_greedy: bool) -> None:
        reason = "OOMKilled" if is_greedy else "Completed" if code == 0 else "Error"
        ended = {"exitCode": code, "reason": reason, "finishedAt": now()}
        self._has(pod, "Succeeded" if code == 0 else "Failed", {"terminated": ended})

    def _warn(self, job: Manifest, reason: str, message: str) -> None:
        metadata = job["metadata"]
        self.store.create(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"namespace": metadata["namespace"], "generateName": "event-"},
                "involvedObject": {"kind": "Job", "name": metadata["name"]},
                "type": "Warning",
                "reason": reason,
                "message": message,
            }
        )


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
