"""Statements that read what keeps runs from starting. They change and lock nothing."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, ScalarSelect, Select, and_, case, func, select

from forebay.wire.explanations import LimitHolder
from forebay.wire.states import StateType
from forebay.wire.work_pools import WorkerStatus
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.tables import claims
from forebay_server.concurrency_limits import queries as limit_queries
from forebay_server.concurrency_limits.rules import shown
from forebay_server.concurrency_limits.tables import (
    concurrency_leases,
    concurrency_limits,
    concurrency_slots,
)
from forebay_server.db.engine import Transaction
from forebay_server.deployments.tables import deployments
from forebay_server.errors import NotFound
from forebay_server.explanations.rules import Limit, Pool, Queue, Run
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues
from forebay_server.workers.tables import workers

SHOWN_HOLDERS = 10

_of_pool = workers.c.work_pool_id == work_pools.c.id
_pool_columns = (
    work_pools.c.id.label("pool_id"),
    work_pools.c.name.label("pool_name"),
    work_pools.c.is_paused.label("pool_is_paused"),
    work_pools.c.concurrency_limit.label("pool_limit"),
    work_pools.c.base_job_template,
    case(
        (
            work_pools.c.concurrency_limit.is_not(None),
            claim_queries.held_in_pool(work_pools.c.id),
        ),
        else_=0,
    ).label("pool_held"),
    select(func.count())
    .select_from(workers)
    .where(_of_pool, workers.c.status == WorkerStatus.ONLINE.value)
    .scalar_subquery()
    .label("online_workers"),
    select(func.max(workers.c.last_heartbeat_time))
    .where(_of_pool)
    .scalar_subquery()
    .label("last_heartbeat"),
)
_queue_columns = (
    work_queues.c.id.label("queue_id"),
    work_queues.c.name.label("queue_name"),
    work_queues.c.is_paused.label("queue_is_paused"),
    work_queues.c.concurrency_limit.label("queue_limit"),
    work_queues.c.last_polled,
    case(
        (
            work_queues.c.concurrency_limit.is_not(None),
            claim_queries.held_in_queue(work_queues.c.id),
        ),
        else_=0,
    ).label("queue_held"),
)


async def read_run(db: Transaction, id: UUID) -> tuple[Run, Pool | None, Queue | None]:
    """A run, and where it is placed. Raises `NotFound`."""
    statement = (
        select(
            flow_runs.c.state_type,
            flow_runs.c.state_name,
            flow_runs.c.next_scheduled_start_time,
            flow_runs.c.empirical_policy,
            flow_runs.c.job_variables,
            deployments.c.job_variables.label("deployment_job_variables"),
            deployments.c.global_concurrency_limit_id.label("limit_id"),
            *_pool_columns,
            *_queue_columns,
        )
        .select_from(flow_runs)
        .outerjoin(work_queues, work_queues.c.id == flow_runs.c.work_queue_id)
        .outerjoin(work_pools, work_pools.c.id == work_queues.c.work_pool_id)
        .outerjoin(deployments, deployments.c.id == flow_runs.c.deployment_id)
        .where(flow_runs.c.id == id)
    )
    row = await db.row(statement)
    if row is None:
        raise NotFound(f"Flow run {id} not found.")
    run = Run(
        state_type=StateType(row.state_type),
        state_name=row.state_name,
        due=row.next_scheduled_start_time,
        retries_itself=(
            row.state_type == StateType.SCHEDULED
            and row.empirical_policy.get("retry_type") == "in_process"
        ),
        deployment_limit=await _deployment_limit(db, row.limit_id),
        job_variables=(row.deployment_job_variables, row.job_variables),
    )
    if row.pool_id is None:
        return run, None, None
    return run, await _pool(db, row), await _queue(db, row)


async def read_queue(db: Transaction, id: UUID) -> tuple[Queue, Pool, datetime | None]:
    """A queue, its pool, and the time of its first scheduled run. Raises `NotFound`."""
    statement = (
        select(*_pool_columns, *_queue_columns, _first_due().label("first_due"))
        .select_from(work_queues)
        .join(work_pools, work_pools.c.id == work_queues.c.work_pool_id)
        .where(work_queues.c.id == id)
    )
    row = await db.row(statement)
    if row is None:
        raise NotFound(f"Work queue {id} not found.")
    return await _queue(db, row), await _pool(db, row), row.first_due


async def read_pool(db: Transaction, name: str) -> tuple[Pool, datetime | None]:
    """A pool, and the time of the first scheduled run of its queues. Raises `NotFound`."""
    of_queues = (
        select(_first_due().label("due"))
        .where(work_queues.c.work_pool_id == work_pools.c.id, work_queues.c.is_paused.is_(False))
        .correlate(work_pools)
        .subquery()
    )
    first_due = select(func.min(of_queues.c.due)).scalar_subquery().label("first_due")
    row = await db.row(select(*_pool_columns, first_due).where(work_pools.c.name == name))
    if row is None:
        raise NotFound(f'Work pool "{name}" not found.')
    return await _pool(db, row), row.first_due


def _first_due() -> ScalarSelect[Any]:
    """The time of the first run of a queue that a worker may be given."""
    due = flow_runs.c.next_scheduled_start_time
    retry_type = flow_runs.c.empirical_policy["retry_type"].as_string()
    first = select(due).where(
        flow_runs.c.work_queue_id == work_queues.c.id,
        flow_runs.c.state_type == StateType.SCHEDULED.value,
        retry_type.is_distinct_from("in_process"),
    )
    return first.order_by(due, flow_runs.c.id).limit(1).correlate(work_queues).scalar_subquery()


async def _pool(db: Transaction, row: Row[Any]) -> Pool:
    limit = Limit(row.pool_limit, row.pool_held)
    return Pool(
        name=row.pool_name,
        is_paused=row.pool_is_paused,
        limit=await _with_holders(db, limit, claims.c.work_pool_id == row.pool_id),
        online_workers=row.online_workers,
        last_heartbeat=row.last_heartbeat,
        template=row.base_job_template or {},
    )


async def _queue(db: Transaction, row: Row[Any]) -> Queue:
    limit = Limit(row.queue_limit, row.queue_held)
    return Queue(
        name=row.queue_name,
        is_paused=row.queue_is_paused,
        limit=await _with_holders(db, limit, claims.c.work_queue_id == row.queue_id),
        last_polled=row.last_polled,
    )


async def _with_holders(db: Transaction, limit: Limit, is_there: ColumnElement[bool]) -> Limit:
    if not limit.is_reached:
        return limit
    statement = (
        _holders()
        .add_columns(claims.c.created.label("since"), claims.c.expires_at)
        .select_from(claims)
        .join(flow_runs, flow_runs.c.id == claims.c.flow_run_id)
        .where(is_there, claim_queries.is_live())
        .order_by(claims.c.created, claims.c.id)
    )
    return Limit(limit.limit, limit.held, await _read_holders(db, statement))


async def _deployment_limit(db: Transaction, id: UUID | None) -> Limit:
    if id is None:
        return Limit(None)
    at = await db.now()
    row = await db.row(limit_queries.with_slots(at).where(concurrency_limits.c.id == id))
    if row is None or not row.active:
        return Limit(None)
    limit = Limit(row.limit, shown(limit_queries.taken(row, row.held, at)))
    if not limit.is_reached:
        return limit
    statement = (
        _holders()
        .add_columns(
            concurrency_slots.c.created.label("since"),
            # The worker of a claimed run answers for its lease too.
            func.coalesce(claims.c.expires_at, concurrency_leases.c.expires_at).label(
                "expires_at"
            ),
        )
        .select_from(concurrency_slots)
        .join(concurrency_leases, concurrency_leases.c.id == concurrency_slots.c.lease_id)
        .join(flow_runs, flow_runs.c.id == concurrency_leases.c.flow_run_id)
        .outerjoin(claims, and_(claims.c.flow_run_id == flow_runs.c.id, claim_queries.is_live()))
        .where(concurrency_slots.c.limit_id == id, limit_queries.is_live(at))
        .order_by(concurrency_slots.c.created, concurrency_slots.c.id)
    )
    return Limit(limit.limit, limit.held, await _read_holders(db, statement))


def _holders() -> Select[Any]:
    return select(flow_runs.c.id, flow_runs.c.name, claims.c.worker_name)


async def _read_holders(db: Transaction, statement: Select[Any]) -> tuple[LimitHolder, ...]:
    return tuple(
        LimitHolder(
            flow_run_id=row.id,
            name=row.name,
            worker=row.worker_name,
            since=row.since,
            lease_expires_at=row.expires_at,
        )
        for row in await db.rows(statement.limit(SHOWN_HOLDERS))
    )
