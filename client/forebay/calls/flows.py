"""Flows. Source: Prefect 3.8.4 `/flows`."""

from collections.abc import Sequence
from uuid import UUID

from forebay.calls import Call, call, segment
from forebay.wire.flows import Flow, FlowCreate, FlowUpdate


def create(body: FlowCreate) -> Call[Flow]:
    """Create a flow, or answer the one that has the name already."""
    return call("POST", "/flows/", Flow, body, is_repeatable=True)


def read(id: UUID) -> Call[Flow]:
    """One flow by id."""
    return call("GET", f"/flows/{id}", Flow)


def read_by_name(name: str) -> Call[Flow]:
    """One flow by name."""
    return call("GET", f"/flows/name/{segment(name)}", Flow)


def filter(
    *,
    ids: Sequence[UUID] | None = None,
    name_part: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[Flow]]:
    """Flows by name; at most 200 a page."""
    criteria: dict[str, object] = {}
    if ids is not None:
        criteria["id"] = {"any_": [str(i) for i in ids]}
    if name_part is not None:
        criteria["name"] = {"like_": name_part}
    body = {"flows": criteria or None, "sort": "NAME_ASC", "limit": limit, "offset": offset}
    return call("POST", "/flows/filter", list[Flow], body, is_repeatable=True)


def update(id: UUID, body: FlowUpdate) -> Call[None]:
    """Change the fields that are set on `body`."""
    return call("PATCH", f"/flows/{id}", None, body, is_repeatable=True)


def delete(id: UUID) -> Call[None]:
    """Delete a flow with its deployments and runs."""
    return call("DELETE", f"/flows/{id}")
