"""Statements about deployments. Schedules and the runs made of them have their own modules."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, Select, func, select

from forebay.wire.concurrency_limits import GlobalConcurrencyLimit
from forebay.wire.deployments import Deployment
from forebay.wire.schedules import DeploymentSchedule
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.deployments import limits
from forebay_server.deployments.filters import DeploymentSort
from forebay_server.deployments.tables import (
    DeploymentRow,
    deployment_schedules,
    deployments,
)
from forebay_server.errors import NotFound
from forebay_server.flows.tables import flows
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues


def _placed() -> Select[Any]:
    """Deployments with the queue and pool of their runs."""
    return (
        select(
            deployments,
            work_queues.c.name.label("work_queue_name"),
            work_pools.c.name.label("work_pool_name"),
            work_pools.c.id.label("work_pool_id"),
            work_pools.c.base_job_template,
        )
        .select_from(deployments)
        .join(flows, flows.c.id == deployments.c.flow_id)
        .outerjoin(work_queues, work_queues.c.id == deployments.c.work_queue_id)
        .outerjoin(work_pools, work_pools.c.id == work_queues.c.work_pool_id)
    )


async def read(db: Transaction, id: UUID) -> Row[Any]:
    """A deployment with its queue and pool. Raises `NotFound`."""
    return _found(await db.row(_placed().where(deployments.c.id == id)))


async def read_by_name(db: Transaction, flow_name: str, name: str) -> Row[Any]:
    """The flow's deployment of that name. Raises `NotFound`."""
    is_meant = (flows.c.name == flow_name, deployments.c.name == name)
    return _found(await db.row(_placed().where(*is_meant)))


def _found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise NotFound("Deployment not found")
    return row


async def create_once(db: Transaction, row: DeploymentRow) -> bool:
    """Store a deployment; False when its flow has one of that name."""
    return await insert_new(db, deployments, row.model_dump()) == 1


async def find_in_flow(db: Transaction, flow_id: UUID, name: str) -> Row[Any] | None:
    """The flow's deployment of that name, with its queue and pool, if there is one."""
    is_meant = (deployments.c.flow_id == flow_id, deployments.c.name == name)
    return await db.row(_placed().where(*is_meant))


async def lock(db: Transaction, id: UUID) -> None:
    """Keep others from changing the deployment until the transaction ends. Raises `NotFound`."""
    statement = select(deployments.c.id).where(deployments.c.id == id).with_for_update()
    _found(await db.row(statement))


async def change(db: Transaction, id: UUID, values: Mapping[str, Any]) -> None:
    """Set columns of a deployment. Raises `NotFound`."""
    statement = sa.update(deployments).where(deployments.c.id == id)
    result = await db.execute(statement.values(**values, updated=await db.now()))
    if not result.rowcount:
        raise NotFound("Deployment not found")


async def delete(db: Transaction, id: UUID) -> None:
    """Delete a deployment with its schedules; its runs stay. Raises `NotFound`."""
    result = await db.execute(sa.delete(deployments).where(deployments.c.id == id))
    if not result.rowcount:
        raise NotFound("Deployment not found")


async def filter(
    db: Transaction, condition: Condition, sort: DeploymentSort, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Deployments that fulfil `condition`, with their queues and pools, in a total order."""
    statement = _placed().where(condition).order_by(*sort.columns())
    return await db.rows(statement.limit(limit).offset(offset))


async def count(db: Transaction, condition: Condition) -> int:
    """How many deployments fulfil `condition`."""
    statement = _placed().with_only_columns(func.count()).where(condition)
    return int(await db.scalar(statement))


async def to_wire(db: Transaction, rows: Iterable[Row[Any]]) -> list[Deployment]:
    """Deployments as the API answers them; one statement for the schedules of all, and limits."""
    found = list(rows)
    if not found:
        return []
    of = deployment_schedules.c.deployment_id
    newest_first = (deployment_schedules.c.created.desc(), deployment_schedules.c.id.desc())
    statement = select(deployment_schedules).where(of.in_([row.id for row in found]))
    schedules: dict[UUID, list[DeploymentSchedule]] = {row.id: [] for row in found}
    for schedule in await db.rows(statement.order_by(*newest_first)):
        schedules[schedule.deployment_id].append(DeploymentSchedule.model_validate(schedule))
    limits_by_id = await limits.read_all(db, found)
    return [
        _to_wire(row, schedules[row.id], limits_by_id.get(row.global_concurrency_limit_id))
        for row in found
    ]


def _to_wire(
    row: Row[Any], schedules: list[DeploymentSchedule], limit: GlobalConcurrencyLimit | None
) -> Deployment:
    computed = {"schedules": schedules, "global_concurrency_limit": limit}
    return Deployment.model_validate({**row._mapping, **computed})
