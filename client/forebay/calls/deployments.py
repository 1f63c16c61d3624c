"""Deployments, their schedules and their runs. Source: Prefect 3.8.4 `/deployments`."""

from collections.abc import Sequence
from uuid import UUID

from forebay.calls import Call, call, segment
from forebay.wire.deployments import Deployment, DeploymentCreate, DeploymentUpdate
from forebay.wire.flow_runs import DeploymentFlowRunCreate, FlowRun
from forebay.wire.schedules import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)


def create(body: DeploymentCreate) -> Call[Deployment]:
    """Create a deployment, or replace the flow's deployment of that name.

    404 when the pool does not exist; an unknown queue of the pool is made.
    """
    return call("POST", "/deployments/", Deployment, body, is_repeatable=True)


def read(id: UUID) -> Call[Deployment]:
    """One deployment by id."""
    return call("GET", f"/deployments/{id}", Deployment)


def read_by_name(flow: str, name: str) -> Call[Deployment]:
    """One deployment by the names of its flow and its own."""
    return call("GET", f"/deployments/name/{segment(flow)}/{segment(name)}", Deployment)


def filter(
    *,
    flow_names: Sequence[str] | None = None,
    pool_names: Sequence[str] | None = None,
    queue_names: Sequence[str] | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[Deployment]]:
    """Deployments by name; at most 200 a page."""
    flows = {"name": {"any_": list(flow_names)}} if flow_names is not None else None
    pools = {"name": {"any_": list(pool_names)}} if pool_names is not None else None
    queues = {"work_queue_name": {"any_": list(queue_names)}} if queue_names is not None else None
    body = {
        "flows": flows,
        "work_pools": pools,
        "deployments": queues,
        "sort": "NAME_ASC",
        "limit": limit,
        "offset": offset,
    }
    return call("POST", "/deployments/filter", list[Deployment], body, is_repeatable=True)


def update(id: UUID, body: DeploymentUpdate) -> Call[None]:
    """Change the fields that are set on `body`."""
    return call("PATCH", f"/deployments/{id}", None, body, is_repeatable=True)


def delete(id: UUID) -> Call[None]:
    """Delete a deployment with its schedules; its runs stay."""
    return call("DELETE", f"/deployments/{id}")


def create_flow_run(id: UUID, body: DeploymentFlowRunCreate) -> Call[FlowRun]:
    """Create a run of the deployment; with an idempotency key known already, answer that run.

    409 when the parameters do not fit their schema, 422 when the job variables do not.
    """
    return call(
        "POST",
        f"/deployments/{id}/create_flow_run",
        FlowRun,
        body,
        is_repeatable=body.idempotency_key is not None,
    )


def schedules(id: UUID) -> Call[list[DeploymentSchedule]]:
    """A deployment's schedules."""
    return call("GET", f"/deployments/{id}/schedules", list[DeploymentSchedule])


def create_schedules(
    id: UUID, bodies: Sequence[DeploymentScheduleCreate]
) -> Call[list[DeploymentSchedule]]:
    """Add schedules. 409 when a slug is taken."""
    body = [item.model_dump(mode="json", exclude_unset=True) for item in bodies]
    return call("POST", f"/deployments/{id}/schedules", list[DeploymentSchedule], body)


def update_schedule(id: UUID, schedule: UUID, body: DeploymentScheduleUpdate) -> Call[None]:
    """Change the fields that are set on `body`."""
    path = f"/deployments/{id}/schedules/{schedule}"
    return call("PATCH", path, None, body, is_repeatable=True)


def delete_schedule(id: UUID, schedule: UUID) -> Call[None]:
    """Delete one schedule with the runs that it made and that have not begun."""
    return call("DELETE", f"/deployments/{id}/schedules/{schedule}")
