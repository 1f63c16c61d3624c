"""Statements that show live claims beside their runs. They change nothing."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, func, select

from forebay.wire.slots import SlotHolder
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Transaction
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_queues.tables import work_queues

_is_live = claims.c.ended_at.is_(None)
_held_in_queue = (
    select(func.count())
    .where(claims.c.work_queue_id == work_queues.c.id, _is_live)
    .scalar_subquery()
)
_shown = (
    flow_runs.c.id,
    flow_runs.c.name,
    flow_runs.c.state_type,
    flow_runs.c.state_name,
    flow_runs.c.start_time,
    flow_runs.c.state_timestamp,
)


async def count_held_in_pool(db: Transaction, pool_id: UUID) -> int:
    """Slots of the pool that are taken, in whichever queue."""
    statement = select(func.count()).where(claims.c.work_pool_id == pool_id, _is_live)
    return int(await db.scalar(statement))


async def count_held_in_queue(db: Transaction, queue_id: UUID) -> int:
    """Slots of the queue that are taken."""
    statement = select(func.count()).where(claims.c.work_queue_id == queue_id, _is_live)
    return int(await db.scalar(statement))


async def count_queues(db: Transaction, pool_id: UUID) -> int:
    """How many queues the pool has."""
    statement = select(func.count()).where(work_queues.c.work_pool_id == pool_id)
    return int(await db.scalar(statement))


async def queues(
    db: Transaction, pool_id: UUID, limit: int, offset: int
) -> Sequence[Row[tuple[object, ...]]]:
    """A pool's queues by priority, with how many of their slots are taken."""
    columns = (work_queues.c.id, work_queues.c.name, work_queues.c.concurrency_limit)
    statement = (
        select(*columns, _held_in_queue.label("active_slots"))
        .where(work_queues.c.work_pool_id == pool_id)
        .order_by(work_queues.c.priority, work_queues.c.id)
    )
    return await db.rows(statement.limit(limit).offset(offset))


async def holders_by_queue(
    db: Transaction, queue_ids: Sequence[UUID], limit: int
) -> dict[UUID, list[SlotHolder]]:
    """The runs that hold slots of each queue, the oldest claims first, at most `limit` each."""
    rank = func.row_number().over(
        partition_by=claims.c.work_queue_id, order_by=(claims.c.created, claims.c.id)
    )
    ranked = (
        select(*_shown, claims.c.work_queue_id, rank.label("rank"))
        .join(claims, claims.c.flow_run_id == flow_runs.c.id)
        .where(claims.c.work_queue_id.in_(queue_ids), _is_live)
        .subquery()
    )
    statement = select(ranked).where(ranked.c.rank <= limit).order_by(ranked.c.rank)
    at = await db.now()
    found: dict[UUID, list[SlotHolder]] = {}
    for row in await db.rows(statement):
        found.setdefault(row.work_queue_id, []).append(_holder(row, at))
    return found


async def holders(db: Transaction, queue_id: UUID, limit: int, offset: int) -> list[SlotHolder]:
    """The runs that hold slots of the queue, the oldest claims first."""
    statement = (
        select(*_shown)
        .join(claims, claims.c.flow_run_id == flow_runs.c.id)
        .where(claims.c.work_queue_id == queue_id, _is_live)
        .order_by(claims.c.created, claims.c.id)
    )
    at = await db.now()
    return [_holder(row, at) for row in await db.rows(statement.limit(limit).offset(offset))]


def _holder(row: Row[Any], at: datetime) -> SlotHolder:
    holder = SlotHolder.model_validate(row)
    if holder.state_timestamp is not None:
        # A state may carry a time that lies a little ahead, so that states keep their order.
        seconds = (at - holder.state_timestamp).total_seconds()
        holder.time_in_current_state = max(0.0, seconds)
    return holder
