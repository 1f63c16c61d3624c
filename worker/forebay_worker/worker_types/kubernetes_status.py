"""What the objects of a cluster say about how a run stands. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from forebay_worker.base import Outcome

Manifest = Mapping[str, Any]

# Reasons to wait that no waiting changes.
HOPELESS = ("InvalidImageName", "ErrImageNeverPull")


def outcome(job: Manifest, pods: Sequence[Manifest]) -> Outcome | None:
    """How the job ended, by its own conditions; none while it may go on."""
    for condition in job.get("status", {}).get("conditions", ()):
        if condition.get("status") != "True":
            continue
        if condition["type"] == "Complete":
            return Outcome(0, "the job's pod ended with exit code 0")
        if condition["type"] == "Failed":
            code, why = _how_failed(newest(pods))
            return Outcome(code, why or f"the job failed: {_explained(condition)}")
    return None


def newest(pods: Sequence[Manifest]) -> Manifest | None:
    """The pod that was made last."""
    return max(pods, key=lambda pod: pod["metadata"]["creationTimestamp"], default=None)


def has_started(pods: Iterable[Manifest]) -> bool:
    """Whether a container of any of the pods runs or has run."""
    return any(
        "running" in (state := status.get("state", {})) or "terminated" in state
        for pod in pods
        for status in pod.get("status", {}).get("containerStatuses", ())
    ) or any(pod.get("status", {}).get("phase") in ("Succeeded", "Failed") for pod in pods)


def hopeless(pods: Iterable[Manifest]) -> str | None:
    """Why no pod will ever start, as far as that is certain."""
    for reason, text in _waiting(pods):
        if reason in HOPELESS:
            return text
    return None


def hindrance(pods: Sequence[Manifest], events: Iterable[Manifest]) -> str | None:
    """Why no pod has started yet, in the cluster's words."""
    for _, text in _waiting(pods):
        return text
    for pod in pods:
        for condition in pod.get("status", {}).get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return _explained(condition)
    warnings = [event for event in events if event.get("type") == "Warning"]
    return _explained(warnings[-1]) if warnings else None


def container_name(job: Manifest) -> str:
    """The container that executes the run."""
    name = job["spec"]["template"]["spec"]["containers"][0]["name"]
    assert isinstance(name, str)
    return name


def _waiting(pods: Iterable[Manifest]) -> Iterable[tuple[str, str]]:
    for pod in pods:
        status = pod.get("status", {})
        for container in (
            *status.get("initContainerStatuses", ()),
            *status.get("containerStatuses", ()),
        ):
            waiting = container.get("state", {}).get("waiting")
            if waiting and waiting.get("reason") not in (None, "ContainerCreating"):
                yield waiting["reason"], _explained(waiting)


def _how_failed(pod: Manifest | None) -> tuple[int | None, str | None]:
    if pod is None:
        return None, None
    status = pod.get("status", {})
    if status.get("reason"):  # of the pod itself: Evicted, NodeLost, DeadlineExceeded
        if status["reason"] == "Evicted":
            return None, f"the pod was evicted: {status.get('message', 'without a message')}"
        return None, f"the pod failed: {_explained(status)}"
    ended = [
        state["terminated"]
        for container in status.get("containerStatuses", ())
        if "terminated" in (state := container.get("state", {}))
    ]
    bad = [each for each in ended if each["exitCode"] != 0]
    if not bad:
        return None, _disruption(status)
    code = bad[0]["exitCode"]
    if bad[0].get("reason") == "OOMKilled":
        return code, f"the pod ran out of memory (OOMKilled, exit code {code})"
    text = f"the job's pod ended with exit code {code}"
    disruption = _disruption(status)
    if disruption:
        return code, f"{text}; {disruption}"
    if bad[0].get("message"):
        return code, f"{text}: {bad[0]['message']}"
    return code, text


def _disruption(status: Manifest) -> str | None:
    for condition in status.get("conditions", ()):
        if condition["type"] == "DisruptionTarget" and condition["status"] == "True":
            return f"the pod was disrupted: {_explained(condition)}"
    return None


def _explained(told: Manifest) -> str:
    """A reason with its message."""
    parts = [str(told[key]).strip(" .") for key in ("reason", "message") if told.get(key)]
    return ": ".join(parts) or "without a reason"
