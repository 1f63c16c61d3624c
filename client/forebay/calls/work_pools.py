"""Work pools and their workers. Source: Prefect 3.8.4 `/work_pools`."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from forebay.calls import Call, call, segment

if TYPE_CHECKING:
    from forebay.wire.flow_runs import ScheduledFlowRun
    from forebay.wire.slots import WorkPoolSlots
    from forebay.wire.work_pools import Worker, WorkPool, WorkPoolCreate, WorkPoolUpdate


def create(body: "WorkPoolCreate", *, idempotency_key: str | None = None) -> "Call[WorkPool]":
    """Create a pool with its default queue. 409 when the name is taken."""
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    return call("POST", "/work_pools/", "work_pools.WorkPool", body, headers=headers)


def read(name: str) -> "Call[WorkPool]":
    """One pool by name."""
    return call("GET", f"/work_pools/{segment(name)}", "work_pools.WorkPool")


def update(name: str, body: "WorkPoolUpdate") -> Call[None]:
    """Change the fields that are set on `body`."""
    return call("PATCH", f"/work_pools/{segment(name)}", None, body, is_repeatable=True)


def delete(name: str) -> Call[None]:
    """Delete a pool with its queues and workers; its runs and deployments stay."""
    return call("DELETE", f"/work_pools/{segment(name)}")


def filter(
    *, ids: Sequence[UUID] | None = None, limit: int | None = None, offset: int = 0
) -> "Call[list[WorkPool]]":
    """Pools by name; at most 200 a page."""
    criteria = {"id": {"any_": [str(i) for i in ids]}} if ids is not None else None
    body = {"work_pools": criteria, "limit": limit, "offset": offset}
    return call(
        "POST", "/work_pools/filter", "list[work_pools.WorkPool]", body, is_repeatable=True
    )


def due_runs(
    name: str,
    *,
    queue_names: Sequence[str] | None = None,
    scheduled_before: datetime | None = None,
    limit: int | None = None,
    worker: str | None = None,
) -> "Call[list[ScheduledFlowRun]]":
    """Poll: runs that may be claimed, by queue priority and time. Nothing is claimed.

    In the name of a `worker` it also shows that the queues are served.
    """
    from forebay.calls.flow_runs import WORKER_HEADER
    from forebay.wire.base import format_time

    body: dict[str, Any] = {"work_queue_names": list(queue_names or []) or None, "limit": limit}
    if scheduled_before is not None:
        body["scheduled_before"] = format_time(scheduled_before)
    path = f"/work_pools/{segment(name)}/get_scheduled_flow_runs"
    headers = {WORKER_HEADER: worker} if worker else None
    return call(
        "POST", path, "list[flow_runs.ScheduledFlowRun]", body, headers=headers, is_repeatable=True
    )


def heartbeat(
    name: str,
    worker: str,
    interval_seconds: int,
    *,
    flow_run_ids: Sequence[UUID] | None = None,
    is_new: bool = False,
) -> Call[bool]:
    """Say that `worker` is alive; its leases are renewed in the same call.

    The answer: whether the worker is to take no more runs. `is_new` takes back what was asked of
    an earlier process of this name.

    With `flow_run_ids` only those of these runs: a claim that its worker does not know of, because
    an answer was lost or the worker is another process now, must run out.
    """
    body: dict[str, Any] = {"name": worker, "heartbeat_interval_seconds": interval_seconds}
    if flow_run_ids is not None:
        body["flow_run_ids"] = [str(id) for id in flow_run_ids]
    if is_new:
        body["is_new"] = True
    path = f"/work_pools/{segment(name)}/workers/heartbeat"
    sent = call("POST", path, None, body, is_repeatable=True)
    return replace(sent, parse_headers=_is_asked_to_drain)


def drain_worker(pool: str, name: str) -> Call[None]:
    """Ask a worker to take no more runs and to end after those that it has. Forebay extension."""
    path = f"/work_pools/{segment(pool)}/workers/{segment(name)}/drain"
    return call("POST", path, is_repeatable=True)


def workers(name: str) -> "Call[list[Worker]]":
    """A pool's workers, the latest heartbeat first."""
    path = f"/work_pools/{segment(name)}/workers/filter"
    return call("POST", path, "list[work_pools.Worker]", {}, is_repeatable=True)


def delete_worker(pool: str, name: str) -> Call[None]:
    """Forget a worker; it is known again from its next heartbeat on."""
    return call("DELETE", f"/work_pools/{segment(pool)}/workers/{segment(name)}")


def slots(
    name: str, *, page: int = 1, limit: int | None = None, runs_of_each: int | None = None
) -> "Call[WorkPoolSlots]":
    """A pool's queues with the runs that hold their slots; at most 200 queues a page."""
    path = f"/work_pools/{segment(name)}/concurrency_status"
    body = {"page": page, "limit": limit, "flow_run_limit": runs_of_each}
    return call("POST", path, "slots.WorkPoolSlots", body, is_repeatable=True)


def _is_asked_to_drain(answer: None, headers: Mapping[str, str]) -> bool:
    from forebay.wire.work_pools import DRAIN_HEADER

    return DRAIN_HEADER.lower() in headers
