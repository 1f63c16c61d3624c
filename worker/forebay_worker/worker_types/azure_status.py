"""What Azure tells about how a container group stands. Pure."""

from collections.abc import Mapping
from typing import Any

from forebay_worker.base import Outcome

Group = Mapping[str, Any]


def has_started(group: Group) -> bool:
    """Whether the run's container runs or has run."""
    return _current(group).get("state") in ("Running", "Terminated")


def outcome(group: Group) -> Outcome | None:
    """How the run's container ended; none while it may go on."""
    current = _current(group)
    if current.get("state") == "Terminated":
        code = current.get("exitCode")
        text = f"the container ended with exit code {code}"
        detail = str(current.get("detailStatus") or "")
        if detail == "OOMKilled":
            return Outcome(code, f"the container ran out of memory (exit code {code})")
        if detail not in ("", "Completed", "Error"):
            text = f"{text}: {detail}"
        return Outcome(code, text)
    properties = group.get("properties", {})
    state = (properties.get("instanceView") or {}).get("state")
    if state == "Stopped":
        return Outcome(None, "the container group was stopped")
    if state == "Failed" or properties.get("provisioningState") == "Failed":
        told = hindrance(group)
        return Outcome(None, "the container group failed" + (f": {told}" if told else ""))
    return None


def hindrance(group: Group) -> str | None:
    """Why the container does not run, in Azure's words."""
    properties = group.get("properties", {})
    views = [properties.get("instanceView") or {}, _view(group)]
    events = [event for view in views for event in view.get("events") or []]
    warnings = [event for event in events if event.get("type") == "Warning"]
    if warnings:
        last = warnings[-1]
        return f"{last.get('name')}: {last.get('message')}".rstrip(".")
    detail = _current(group).get("detailStatus")
    return str(detail) if detail else None


def _view(group: Group) -> Mapping[str, Any]:
    containers = group.get("properties", {}).get("containers") or [{}]
    view = containers[0].get("properties", {}).get("instanceView")
    return view if isinstance(view, Mapping) else {}


def _current(group: Group) -> Mapping[str, Any]:
    current = _view(group).get("currentState")
    return current if isinstance(current, Mapping) else {}
