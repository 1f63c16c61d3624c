"""Every statement about workers."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    case,
    delete,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from forebay.wire.work_pools import Worker, WorkerHeartbeat, WorkerStatus, WorkPoolStatus
from forebay_server.claims.rules import lease_seconds
from forebay_server.db.columns import UtcDateTime, new_id
from forebay_server.db.engine import Transaction
from forebay_server.errors import Conflict, NotFound
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.tables import work_pools
from forebay_server.workers.filters import WorkerFilter
from forebay_server.workers.tables import DRAINING, workers

IN_SERVICE = (WorkerStatus.ONLINE.value, DRAINING)  # whose heartbeats arrive
DEFAULT_INTERVAL_SECONDS = 30  # of heartbeats, for a worker that announces none
MISSED_HEARTBEATS = 3  # after which a worker is taken for dead


@dataclass(frozen=True)
class LiveWorker:
    """Whose heartbeat arrived, and how long the leases of its claims last from now on."""

    work_pool_id: UUID
    name: str
    lease_seconds: float
    is_draining: bool  # asked to take no more runs


async def record_heartbeat(
    db: Transaction, pool_name: str, heartbeat: WorkerHeartbeat
) -> LiveWorker:
    """Make the worker known or its last heartbeat now; a pool that was NOT_READY becomes READY.

    One statement, and a second one only when the pool's status changes. Without an interval the
    one announced before stays; a worker that drains does so until it is a new process. Raises
    `NotFound` without the pool.
    """
    dialect = sqlite if db.dialect == "sqlite" else postgresql
    at = await db.now()
    interval = heartbeat.heartbeat_interval_seconds
    values: dict[str, ColumnElement[Any]] = {
        "id": literal(new_id(), workers.c.id.type),
        "created": literal(at, UtcDateTime),
        "updated": literal(at, UtcDateTime),
        "work_pool_id": work_pools.c.id,
        "name": literal(heartbeat.name),
        "last_heartbeat_time": literal(at, UtcDateTime),
        "heartbeat_interval_seconds": literal(interval, workers.c.heartbeat_interval_seconds.type),
        "status": literal(WorkerStatus.ONLINE.value),
    }
    pool = select(*values.values()).where(work_pools.c.name == pool_name)
    statement = dialect.insert(workers).from_select(list(values), pool)
    sent = statement.excluded
    pool_status = select(work_pools.c.status).where(work_pools.c.name == pool_name)
    stays_draining = and_(workers.c.status == DRAINING, literal(not heartbeat.is_new))
    upsert = statement.on_conflict_do_update(
        index_elements=["work_pool_id", "name"],
        set_={
            "updated": sent.updated,
            "last_heartbeat_time": sent.last_heartbeat_time,
            "heartbeat_interval_seconds": func.coalesce(
                sent.heartbeat_interval_seconds, workers.c.heartbeat_interval_seconds
            ),
            "status": case((stays_draining, workers.c.status), else_=sent.status),
        },
    ).returning(
        workers.c.work_pool_id,
        workers.c.heartbeat_interval_seconds,
        workers.c.status,
        pool_status.scalar_subquery().label("pool_status"),
    )
    found = await db.row(upsert)
    if found is None:
        raise NotFound(f'Work pool "{pool_name}" not found.')
    if found.pool_status == WorkPoolStatus.NOT_READY:
        await pools.mark_ready(db, found.work_pool_id)
    lease = lease_seconds(found.heartbeat_interval_seconds)
    return LiveWorker(found.work_pool_id, heartbeat.name, lease, found.status == DRAINING)


async def drain(db: Transaction, pool_name: str, name: str) -> None:
    """Mark a worker, which learns it from its next heartbeat. Raises `NotFound` and `Conflict`."""
    is_it = _named(pool_name, name)
    mark = update(workers).where(is_it, workers.c.status.in_(IN_SERVICE)).values(status=DRAINING)
    if (await db.execute(mark)).rowcount:
        return
    if await db.row(select(workers.c.id).where(is_it)) is None:
        raise _not_found(pool_name, name)
    raise Conflict(f'Worker "{name}" is offline: it takes no runs.')


async def filter(
    db: Transaction, pool_name: str, criteria: WorkerFilter, limit: int, offset: int
) -> list[Worker]:
    """Workers of a pool, the latest heartbeat first. Raises `NotFound` without the pool."""
    statement = (
        select(workers)
        .join(work_pools, work_pools.c.id == workers.c.work_pool_id)
        .where(work_pools.c.name == pool_name, criteria.condition())
        .order_by(workers.c.last_heartbeat_time.desc(), workers.c.id)
    )
    found = await db.rows(statement.limit(limit).offset(offset))
    if not found:
        await pools.read(db, pool_name)  # a pool without such workers, or no pool
    return [_to_wire(row) for row in found]


async def delete_by_name(db: Transaction, pool_name: str, name: str) -> None:
    """Forget a worker; it comes back with its next heartbeat. Raises `NotFound`."""
    if not (await db.execute(delete(workers).where(_named(pool_name, name)))).rowcount:
        raise _not_found(pool_name, name)


async def mark_silent(db: Transaction, at: datetime) -> int:
    """Make workers OFFLINE whose heartbeats stopped; how many."""
    statement = (
        update(workers)
        .where(workers.c.status.in_(IN_SERVICE), is_silent(db, at))
        .values(status=WorkerStatus.OFFLINE, updated=at)
    )
    return (await db.execute(statement)).rowcount


def _named(pool_name: str, name: str) -> ColumnElement[bool]:
    pool_id = select(work_pools.c.id).where(work_pools.c.name == pool_name).scalar_subquery()
    return and_(workers.c.work_pool_id == pool_id, workers.c.name == name)


def _not_found(pool_name: str, name: str) -> NotFound:
    return NotFound(f'Worker "{name}" not found in work pool "{pool_name}".')


def _to_wire(row: Row[Any]) -> Worker:
    if row.status != DRAINING:
        return Worker.model_validate(row)
    told = {**row._mapping, "status": WorkerStatus.ONLINE, "is_draining": True}
    return Worker.model_validate(told)


def is_silent(db: Transaction, at: datetime) -> ColumnElement[bool]:
    """Whether so many of a worker's heartbeats are missing that it is taken for dead."""
    announced = func.nullif(workers.c.heartbeat_interval_seconds, 0)
    allowed = func.coalesce(announced, DEFAULT_INTERVAL_SECONDS) * MISSED_HEARTBEATS
    return _seconds_since(db, workers.c.last_heartbeat_time, at) > allowed


def _seconds_since(db: Transaction, then: ColumnElement[Any], at: datetime) -> ColumnElement[Any]:
    now = literal(at, UtcDateTime)
    if db.dialect == "sqlite":
        return (func.julianday(now) - func.julianday(then)) * 86400
    return func.extract("epoch", now) - func.extract("epoch", then)
