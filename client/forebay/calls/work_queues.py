"""Work queues. Source: Prefect 3.8.4 `/work_pools/{name}/queues` and `/work_queues`."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from forebay.calls import Call, call, segment

if TYPE_CHECKING:
    from forebay.wire.flow_runs import FlowRun
    from forebay.wire.slots import WorkQueueSlots
    from forebay.wire.work_queues import (
        WorkQueue,
        WorkQueueCreate,
        WorkQueueStatusDetail,
        WorkQueueUpdate,
    )


def create(
    pool: str, body: "WorkQueueCreate", *, idempotency_key: str | None = None
) -> "Call[WorkQueue]":
    """Create a queue in `pool`; a taken priority moves its holder down. 409 on a taken name."""
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    return call(
        "POST",
        f"/work_pools/{segment(pool)}/queues",
        "work_queues.WorkQueue",
        body,
        headers=headers,
    )


def read(pool: str, name: str) -> "Call[WorkQueue]":
    """One queue of `pool` by name."""
    return call(
        "GET", f"/work_pools/{segment(pool)}/queues/{segment(name)}", "work_queues.WorkQueue"
    )


def read_by_id(id: UUID) -> "Call[WorkQueue]":
    """One queue by id."""
    return call("GET", f"/work_queues/{id}", "work_queues.WorkQueue")


def update(pool: str, name: str, body: "WorkQueueUpdate") -> Call[None]:
    """Change the fields that are set on `body`; a priority re-ranks the pool's queues."""
    path = f"/work_pools/{segment(pool)}/queues/{segment(name)}"
    return call("PATCH", path, None, body, is_repeatable=True)


def rename(id: UUID, name: str) -> Call[None]:
    """Give a queue another name. By id, so that it may be sent again: its path changes with it."""
    from forebay.wire.work_queues import WorkQueueUpdate

    return call(
        "PATCH", f"/work_queues/{id}", None, WorkQueueUpdate(name=name), is_repeatable=True
    )


def delete(pool: str, name: str) -> Call[None]:
    """Delete a queue. 409 for the pool's default queue."""
    return call("DELETE", f"/work_pools/{segment(pool)}/queues/{segment(name)}")


def filter(
    pool: str, *, ids: Sequence[UUID] | None = None, limit: int | None = None, offset: int = 0
) -> "Call[list[WorkQueue]]":
    """A pool's queues by priority; at most 200 a page."""
    criteria = {"id": {"any_": [str(i) for i in ids]}} if ids is not None else None
    body = {"work_queues": criteria, "limit": limit, "offset": offset}
    path = f"/work_pools/{segment(pool)}/queues/filter"
    return call("POST", path, "list[work_queues.WorkQueue]", body, is_repeatable=True)


def filter_all(*, limit: int | None = None, offset: int = 0) -> "Call[list[WorkQueue]]":
    """The queues of all pools; at most 200 a page."""
    body = {"limit": limit, "offset": offset}
    return call(
        "POST", "/work_queues/filter", "list[work_queues.WorkQueue]", body, is_repeatable=True
    )


def due_runs(
    id: UUID, *, scheduled_before: datetime | None = None, limit: int | None = None
) -> "Call[list[FlowRun]]":
    """Runs of a queue that may be claimed, the earliest first. Nothing is claimed or marked."""
    from forebay.wire.base import format_time

    body: dict[str, Any] = {"limit": limit}
    if scheduled_before is not None:
        body["scheduled_before"] = format_time(scheduled_before)
    return call(
        "POST", f"/work_queues/{id}/get_runs", "list[flow_runs.FlowRun]", body, is_repeatable=True
    )


def slots(id: UUID, *, page: int = 1, limit: int | None = None) -> "Call[WorkQueueSlots]":
    """The runs that hold slots of a queue, the oldest claims first; at most 200 a page."""
    path = f"/work_queues/{id}/concurrency_status"
    body = {"page": page, "limit": limit}
    return call("POST", path, "slots.WorkQueueSlots", body, is_repeatable=True)


def health(id: UUID) -> "Call[WorkQueueStatusDetail]":
    """Whether a queue is polled and has no late runs."""
    return call("GET", f"/work_queues/{id}/status", "work_queues.WorkQueueStatusDetail")
