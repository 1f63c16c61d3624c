"""The schedules of deployments: their rows and how a caller's list changes them."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, insert, select

from forebay.wire.schedules import (
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
    IntervalSchedule,
)
from forebay_server.db.engine import Transaction
from forebay_server.deployments.rules import check_slugs
from forebay_server.deployments.tables import DeploymentScheduleRow, deployment_schedules
from forebay_server.errors import Invalid, NotFound

AnySchedule = DeploymentScheduleCreate | DeploymentScheduleUpdate


async def read_all(db: Transaction, deployment_id: UUID) -> Sequence[Row[Any]]:
    """The schedules of a deployment, the newest first."""
    order = (deployment_schedules.c.created.desc(), deployment_schedules.c.id.desc())
    is_meant = deployment_schedules.c.deployment_id == deployment_id
    return await db.rows(select(deployment_schedules).where(is_meant).order_by(*order))


async def add(
    db: Transaction, deployment_id: UUID, added: Sequence[AnySchedule]
) -> list[DeploymentScheduleRow]:
    """Give a deployment more schedules; these are returned. Raises `Conflict` on a taken slug."""
    existing = await read_all(db, deployment_id)
    check_slugs([row.slug for row in existing] + [schedule.slug for schedule in added])
    at = await db.now()
    rows = [
        DeploymentScheduleRow(
            deployment_id=deployment_id, created=at, updated=at, **_values(schedule)
        )
        for schedule in added
    ]
    if rows:
        await db.execute(insert(deployment_schedules), [row.model_dump() for row in rows])
    return rows


async def change(
    db: Transaction, deployment_id: UUID, id: UUID, body: DeploymentScheduleUpdate
) -> None:
    """Change the fields that are set on `body`.

    An interval that stays the same and names no anchor keeps its own: with a new one at each
    deploy (Prefect 3.8.4), a run that is always an hour away would never come. Raises `NotFound`,
    and `Conflict` when another schedule of the deployment has the slug.
    """
    rows = {row.id: row for row in await read_all(db, deployment_id)}
    if id not in rows:
        raise NotFound("Schedule not found.")
    before = rows.pop(id).schedule
    check_slugs([*(row.slug for row in rows.values()), body.slug])
    values = _values(body)
    if isinstance(body.schedule, IntervalSchedule):
        is_named = "anchor_date" in body.schedule.model_fields_set
        if not is_named and before.get("interval") == values["schedule"]["interval"]:
            values["schedule"]["anchor_date"] = before["anchor_date"]
    statement = sa.update(deployment_schedules).where(*_is_meant(deployment_id, id))
    await db.execute(statement.values(**values, updated=await db.now()))


async def delete(db: Transaction, deployment_id: UUID, id: UUID) -> None:
    """Delete a schedule. Raises `NotFound`."""
    statement = sa.delete(deployment_schedules).where(*_is_meant(deployment_id, id))
    if not (await db.execute(statement)).rowcount:
        raise NotFound("Schedule not found.")


async def replace(db: Transaction, deployment_id: UUID, wanted: Sequence[AnySchedule]) -> None:
    """Delete all schedules of a deployment and give it the wanted ones."""
    is_meant = deployment_schedules.c.deployment_id == deployment_id
    await db.execute(sa.delete(deployment_schedules).where(is_meant))
    await add(db, deployment_id, wanted)


async def merge(
    db: Transaction, deployment_id: UUID, wanted: Sequence[DeploymentScheduleUpdate]
) -> None:
    """Bring a deployment's schedules to what an update of the deployment asks for.

    Slugs on both sides: the named schedules are changed or made, others stay. Slugs on neither
    or on the wanted side only: all are replaced. Raises `Invalid` when slugs would be lost, or a
    new schedule says not when. Source: Prefect 3.8.4 `update_deployment`.
    """
    existing = await read_all(db, deployment_id)
    has_slugs = bool(existing) and all(row.slug is not None for row in existing)
    if has_slugs and any(schedule.slug is None for schedule in wanted):
        raise Invalid(
            "The deployment's schedules have slugs, so the given ones need a slug too: it says "
            "which of them to change."
        )
    if not has_slugs:
        _refuse_incomplete(wanted)
        await replace(db, deployment_id, wanted)
        return
    ids = {row.slug: row.id for row in existing}
    new = []
    for schedule in wanted:
        id = ids.get(schedule.slug) or ids.get(schedule.replaces or "")
        if id is None:
            new.append(schedule)
        else:
            await change(db, deployment_id, id, schedule)
    _refuse_incomplete(new)
    await add(db, deployment_id, new)


def _refuse_incomplete(wanted: Sequence[DeploymentScheduleUpdate]) -> None:
    if any(schedule.schedule is None for schedule in wanted):
        raise Invalid("A new schedule needs a schedule: an interval, cron or rrule.")


def _is_meant(deployment_id: UUID, id: UUID) -> tuple[Any, ...]:
    # A schedule is found below its own deployment only.
    return (
        deployment_schedules.c.id == id,
        deployment_schedules.c.deployment_id == deployment_id,
    )


def _values(schedule: AnySchedule) -> dict[str, Any]:
    """The columns that are set; null means the default where there must be a value."""
    values = schedule.model_dump(mode="json", exclude_unset=True, exclude={"replaces"})
    if schedule.schedule is not None:
        # Defaults too: an anchor that is not kept would be another one at each look.
        values["schedule"] = schedule.schedule.model_dump(mode="json")
    return {
        key: value
        for key, value in values.items()
        if value is not None or key in ("slug", "max_scheduled_runs")
    }
