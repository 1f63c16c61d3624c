"""HTTP of the schedules of deployments: parse, call, return."""

from typing import Annotated
from uuid import UUID

from fastapi import Body

from forebay.wire.schedules import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)
from forebay_server.deployments import edits, queries, rules, scheduled_runs, schedules
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import Read, Write, api_router

router = api_router("Deployments", "/deployments")

MAX_SCHEDULES = 100  # in one request


@router.get("/{id:uuid}/schedules")
async def read_schedules(id: UUID, db: Read) -> list[DeploymentSchedule]:
    """Read a deployment's schedules, the newest first."""
    await queries.read(db, id)
    return [DeploymentSchedule.model_validate(row) for row in await schedules.read_all(db, id)]


@router.post("/{id:uuid}/schedules", status_code=201, dependencies=[CREATES])
async def create_schedules(
    id: UUID,
    body: Annotated[list[DeploymentScheduleCreate], Body(max_length=MAX_SCHEDULES)],
    db: Write,
) -> list[DeploymentSchedule]:
    """Give a deployment more schedules and make their first runs."""
    await queries.lock(db, id)
    await edits.check_schedules(db, body)
    rows = await schedules.add(db, id, body)
    await scheduled_runs.create(db, [id])
    return [DeploymentSchedule.model_validate(row) for row in rows]


@router.patch("/{id:uuid}/schedules/{schedule_id:uuid}", status_code=204)
async def update_schedule(
    id: UUID, schedule_id: UUID, body: DeploymentScheduleUpdate, db: Write
) -> None:
    """Change the fields that are present; the schedule's coming runs are made anew."""
    await queries.lock(db, id)
    if body.schedule is not None:
        rules.check_schedule(body.schedule, await db.now(), ["schedule"])
    await schedules.change(db, id, schedule_id, body)
    await scheduled_runs.delete(db, id, schedule_id=schedule_id)
    await scheduled_runs.create(db, [id])


@router.delete("/{id:uuid}/schedules/{schedule_id:uuid}", status_code=204)
async def delete_schedule(id: UUID, schedule_id: UUID, db: Write) -> None:
    """Delete a schedule and the runs that it made and nobody began."""
    await queries.lock(db, id)
    await schedules.delete(db, id, schedule_id)
    await scheduled_runs.delete(db, id, schedule_id=schedule_id)
