"""What ECS tells about how a task stands. Pure."""

from collections.abc import Mapping
from typing import Any

from forebay_worker.base import Outcome

Task = Mapping[str, Any]

BEFORE_START = ("PROVISIONING", "PENDING", "ACTIVATING")
SIGNALS = {137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


def has_ended(task: Task) -> bool:
    """Whether nothing more will happen to the task."""
    return task.get("lastStatus") in ("STOPPED", "DELETED")


def has_started(task: Task) -> bool:
    """Whether a container of the task runs or has run."""
    return bool(task.get("startedAt")) or task.get("lastStatus") not in BEFORE_START


def outcome(task: Task, container_name: str | None) -> Outcome:
    """How a task that has ended did so, by its run's container."""
    container = _container(task, container_name)
    code, why = container.get("exitCode"), _clean(container.get("reason"))
    told = _clean(task.get("stoppedReason"))
    stop_code = task.get("stopCode")
    if code is None:
        reason = why or told or "without a reason"
        if told and why and why not in told:
            reason = f"{told}: {why}"
        verb = "could not start" if stop_code == "TaskFailedToStart" else "was stopped"
        if stop_code == "SpotInterruption":
            verb = "lost its Spot capacity"
        return Outcome(None, f"the task {verb}: {reason}")
    if why:  # OutOfMemoryError, for one
        return Outcome(code, f"the task's container ended with exit code {code}: {why}")
    if stop_code not in (None, "EssentialContainerExited") and told:
        return Outcome(code, f"the task was stopped ({told}); exit code {code}")
    if code in SIGNALS:
        return Outcome(
            code, f"the task's container was ended by {SIGNALS[code]} (exit code {code})"
        )
    return Outcome(code, f"the task's container ended with exit code {code}")


def _container(task: Task, name: str | None) -> Mapping[str, Any]:
    containers: list[Mapping[str, Any]] = task.get("containers") or [{}]
    return next((each for each in containers if each.get("name") == name), containers[0])


def _clean(text: object) -> str:
    return str(text or "").strip().rstrip(".")
