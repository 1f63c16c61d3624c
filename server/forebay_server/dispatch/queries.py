"""The statements of a claim of many runs. They are built once for every shape.

Locks are taken in the one order pool, queue, run. What is counted is read by the statement after
the one that locks the pool: one that waited still sees the claims as they were when it began.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Interval,
    Row,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    literal,
    literal_column,
    null,
    select,
)

from forebay.wire.states import StateType
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.tables import claims
from forebay_server.db.columns import UtcDateTime
from forebay_server.db.engine import Transaction
from forebay_server.db.prepared import Prepared
from forebay_server.deployments.tables import deployments
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues
from forebay_server.workers.tables import workers


@dataclass(frozen=True)
class Asked:
    """Which runs are asked for, by whom."""

    pool_name: str
    queue_names: tuple[str, ...]  # none: all queues
    limit: int
    worker_name: str
    holder: str
    prefetch: timedelta = timedelta(0)
    attempt: UUID | None = None


async def lock_pool(db: Transaction, asked: Asked) -> Sequence[Row[Any]]:
    """The pool, locked, with each queue that is asked for; a row without one if it has none.

    A queue has its next time (`next_due`) after those that may be claimed now (`has_due`).
    """
    values = {
        "pool_name": asked.pool_name,
        "worker_name": asked.worker_name,
        "holder": asked.holder,
        "attempt": str(asked.attempt),
        **await _time(db, asked),
    }
    if asked.queue_names:
        values["queue_names"] = list(asked.queue_names)
    statement = _pool(db.dialect, bool(asked.queue_names), asked.attempt is not None)
    return await db.run(statement, values)


async def lock_runs(
    db: Transaction, asked: Asked, queues: Sequence[Row[Any]], room: int
) -> Sequence[Row[Any]]:
    """The first claimable runs of `queues`, locked, by priority, time and id; at most `room`.

    Each comes with its queue's limit, what is held of queue and pool (0 where nothing is
    limited), and what of its deployment a worker needs.
    """
    pool = queues[0]
    is_limited = pool.pool_limit is not None or any(q.queue_limit is not None for q in queues)
    values: dict[str, Any] = {"room": room, "pool_id": pool.pool_id, **await _time(db, asked)}
    if is_limited:
        values["pool_limit"] = pool.pool_limit
    for number, queue in enumerate(queues):
        values[f"queue_id_{number}"] = queue.id
        values[f"priority_{number}"] = queue.priority
        if is_limited:
            values[f"limit_{number}"] = queue.queue_limit
    rows = await db.run(_runs(db.dialect, len(queues), is_limited), values)
    # A limit that was set since the pool was read was not counted for.
    return [row for row in rows if is_limited or row.queue_limit is None]


async def attempted_runs(db: Transaction, asked: Asked, pool_id: UUID) -> Sequence[Row[Any]]:
    """Runs that the same attempt has claimed and nobody has begun, in the order of its answer."""
    statement = (
        _with_deployment(work_queues.c.priority)
        .join(claims, and_(claims.c.flow_run_id == flow_runs.c.id, claim_queries.is_live()))
        .where(
            claims.c.work_pool_id == pool_id,
            claims.c.worker_name == asked.worker_name,
            claims.c.holder == asked.holder,
            _is_of_attempt(literal(str(asked.attempt))),
        )
        .order_by(work_queues.c.priority, flow_runs.c.expected_start_time, flow_runs.c.id)
    )
    return await db.rows(statement)


async def read_pool(db: Transaction, id: UUID) -> Row[Any] | None:
    """What of a pool a worker needs to start its runs."""
    columns = ("id", "updated", "name", "type", "base_job_template", "on_lost")
    statement = select(*(work_pools.c[name] for name in columns))
    return await db.row(statement.where(work_pools.c.id == id))


async def _time(db: Transaction, asked: Asked) -> dict[str, Any]:
    if db.dialect == "sqlite":
        at = await db.now()
        return {"at": at, "horizon": at + asked.prefetch}
    return {"prefetch": asked.prefetch}


def _now(dialect: str) -> ColumnElement[datetime]:
    return bindparam("at", type_=UtcDateTime) if dialect == "sqlite" else func.clock_timestamp()


def _horizon(dialect: str) -> ColumnElement[Any]:
    """Until when runs may be claimed; on PostgreSQL a stable time, as an index needs it."""
    if dialect == "sqlite":
        return bindparam("horizon", type_=UtcDateTime)
    return func.now() + bindparam("prefetch", type_=Interval)


def _is_waiting() -> ColumnElement[bool]:
    retry_type = flow_runs.c.empirical_policy["retry_type"].as_string()
    return and_(
        # As text, so that the partial index is seen to cover it.
        flow_runs.c.state_type == literal_column("'SCHEDULED'"),
        retry_type.is_distinct_from("in_process"),  # its own process will go on with it
    )


def _is_of_attempt(attempt: ColumnElement[str]) -> ColumnElement[bool]:
    is_unbegun = flow_runs.c.state_type == StateType.PENDING.value
    return and_(is_unbegun, flow_runs.c.state_details["transition_id"].as_string() == attempt)


@cache
def _pool(dialect: str, has_names: bool, has_attempt: bool) -> Prepared:
    queue, pool, due = work_queues.c, work_pools.c, flow_runs.c.next_scheduled_start_time
    is_asked = queue.work_pool_id == pool.id
    if has_names:
        is_asked &= queue.name.in_(bindparam("queue_names", expanding=True))
    # The first by time, not just any: that is what the index on times is sure to be used for.
    of_queue = (
        select(due)
        .where(flow_runs.c.work_queue_id == queue.id, _is_waiting())
        .order_by(due, flow_runs.c.id)
        .limit(1)
    )
    is_paused = pool.is_paused | queue.is_paused
    first_due = of_queue.where(due <= _horizon(dialect)).scalar_subquery()
    next_due = of_queue.where(due > _horizon(dialect)).scalar_subquery()
    # Evaluated once and not for every queue, hence by name.
    this = work_pools.alias("this")
    pool_id = select(this.c.id).where(this.c.name == bindparam("pool_name")).scalar_subquery()
    interval = select(workers.c.heartbeat_interval_seconds).where(
        workers.c.work_pool_id == pool_id, workers.c.name == bindparam("worker_name")
    )
    is_repeat: ColumnElement[Any] = null()
    if has_attempt:
        is_repeat = exists().where(
            claims.c.work_pool_id == pool_id,
            claims.c.worker_name == bindparam("worker_name"),
            claims.c.holder == bindparam("holder"),
            claim_queries.is_live(),
            claims.c.flow_run_id == flow_runs.c.id,
            _is_of_attempt(bindparam("attempt")),
        )
    statement = (
        select(
            pool.id.label("pool_id"),
            pool.updated.label("pool_updated"),
            pool.is_paused.label("pool_is_paused"),
            pool.concurrency_limit.label("pool_limit"),
            queue.id,
            queue.name,
            queue.priority,
            queue.concurrency_limit.label("queue_limit"),
            queue.status,
            queue.last_polled,
            case((is_paused, null()), else_=first_due).is_not(None).label("has_due"),
            case((is_paused, null()), else_=next_due).label("next_due"),
            interval.scalar_subquery().label("heartbeat_interval_seconds"),
            is_repeat.label("is_repeat"),
            _now(dialect).label("now"),
        )
        .outerjoin(work_queues, is_asked)
        .where(pool.name == bindparam("pool_name"))
        .order_by(queue.priority, queue.id)
    )
    return Prepared(statement.with_for_update(key_share=True, of=work_pools))


@lru_cache(maxsize=400)
def _runs(dialect: str, queues: int, is_limited: bool) -> Prepared:
    due, id = flow_runs.c.next_scheduled_start_time, flow_runs.c.id
    room = bindparam("room", type_=Integer)
    counted = (
        select(claims.c.work_queue_id, func.count().label("held"))
        .where(claims.c.work_pool_id == bindparam("pool_id"), claim_queries.is_live())
        .group_by(claims.c.work_queue_id)
        .cte("held")
    )
    total = select(func.coalesce(func.sum(counted.c.held), 0))
    zero: ColumnElement[Any] = literal_column("0", Integer)
    is_claimable = and_(_is_waiting(), due <= _horizon(dialect))
    parts = []
    for number in range(queues):
        queue_id = bindparam(f"queue_id_{number}", type_=work_queues.c.id.type)
        limit: ColumnElement[Any] = room
        if is_limited:
            held = total.where(counted.c.work_queue_id == queue_id).scalar_subquery()
            limit = _at_most(room, bindparam(f"limit_{number}", type_=Integer), held)
        priority = bindparam(f"priority_{number}", type_=Integer)
        first = select(id, priority.label("priority"))
        first = first.where(flow_runs.c.work_queue_id == queue_id, is_claimable)
        parts.append(select(first.order_by(due, id).limit(limit).subquery()))
    found = parts[0].union_all(*parts[1:]).subquery("found")
    most: ColumnElement[Any] = room
    pool_held = queue_held = zero
    if is_limited:
        pool_held = total.scalar_subquery()
        queue_held = total.where(counted.c.work_queue_id == work_queues.c.id).scalar_subquery()
        most = _at_most(room, bindparam("pool_limit", type_=Integer), pool_held)
    is_claimed = exists().where(claims.c.flow_run_id == id, claim_queries.is_live())
    statement = (
        _with_deployment(found.c.priority)
        .add_columns(
            work_queues.c.concurrency_limit.label("queue_limit"),
            queue_held.label("queue_held"),
            pool_held.label("pool_held"),
            _now(dialect).label("now"),
        )
        .join(found, found.c.id == id)
        # Again, because a row that this waited for may be another now.
        .where(is_claimable, work_queues.c.is_paused.is_(False), ~is_claimed)
        .order_by(found.c.priority, due, id)
        .limit(most)
    )
    return Prepared(statement.with_for_update(key_share=True, of=[work_queues, flow_runs]))


def _with_deployment(priority: ColumnElement[Any]) -> Select[Any]:
    """Runs on queues, with what of their deployments a worker needs."""
    shown = (
        "id",
        "name",
        "job_variables",
        "path",
        "entrypoint",
        "pull_steps",
        "global_concurrency_limit_id",
    )
    return (
        select(
            flow_runs,
            work_queues.c.name.label("queue_name"),
            work_queues.c.work_pool_id.label("pool_id"),
            priority.label("priority"),
            *(deployments.c[name].label(f"deployment_{name}_") for name in shown),
        )
        .select_from(flow_runs)
        .join(work_queues, work_queues.c.id == flow_runs.c.work_queue_id)
        .outerjoin(deployments, deployments.c.id == flow_runs.c.deployment_id)
    )


def _at_most(
    room: ColumnElement[Any], limit: ColumnElement[Any], held: ColumnElement[Any]
) -> ColumnElement[Any]:
    """`room`, or what a limit leaves of it; never below 0, which SQLite takes for no bound."""
    free = limit - held
    return case((free < 0, 0), (free < room, free), else_=room)
