"""Every statement about workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, delete, func, literal, select, update
from sqlalchemy.dialects import postgresql, sqlite

from forebay.wire.work_pools import WorkerHeartbeat, WorkerStatus, WorkPoolStatus
from forebay_server.claims.rules import lease_seconds
from forebay_server.db.columns import UtcDateTime, new_id
from forebay_server.db.engine import Transaction
from forebay_server.errors import NotFound
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.tables import work_pools
from forebay_server.workers.filters import WorkerFilter
from forebay_server.workers.tables import workers

Found = Row[tuple[object, ...]]
DEFAULT_INTERVAL_SECONDS = 30  # of heartbeats, for a worker that announces none
MISSED_HEARTBEATS = 3  # after which a worker is taken for dead


@dataclass(frozen=True)
class LiveWorker:
    """Whose heartbeat arrived, and how long the leases of its claims last from now on."""

    work_pool_id: UUID
    name: str
    lease_seconds: float


async def record_heartbeat(
    db: Transaction, pool_name: str, heartbeat: WorkerHeartbeat
) -> LiveWorker:
    """Make the worker known or its last heartbeat now; a pool that was NOT_READY becomes READY.

    One statement, and a second one only when the pool's status changes. Without an interval the
    one announced before stays. Raises `NotFound` without the pool.
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
    upsert = statement.on_conflict_do_update(
        index_elements=["work_pool_id", "name"],
        set_={
            "updated": sent.updated,
            "last_heartbeat_time": sent.last_heartbeat_time,
            "heartbeat_interval_seconds": func.coalesce(
                sent.heartbeat_interval_seconds, workers.c.heartbeat_interval_seconds
            ),
            "status": sent.status,
        },
    ).returning(
        workers.c.work_pool_id,
        workers.c.heartbeat_interval_seconds,
        pool_status.scalar_subquery().label("pool_status"),
    )
    found = await db.row(upsert)
    if found is None:
        raise NotFound(f'Work pool "{pool_name}" not found.')
    if found.pool_status == WorkPoolStatus.NOT_READY:
        await pools.mark_ready(db, found.work_pool_id)
    lease = lease_seconds(found.heartbeat_interval_seconds)
    return LiveWorker(found.work_pool_id, heartbeat.name, lease)


async def filter(
    db: Transaction, pool_name: str, criteria: WorkerFilter, limit: int, offset: int
) -> Sequence[Found]:
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
    return found


async def delete_by_name(db: Transaction, pool_name: str, name: str) -> None:
    """Forget a worker; it comes back with its next heartbeat. Raises `NotFound`."""
    pool_id = select(work_pools.c.id).where(work_pools.c.name == pool_name).scalar_subquery()
    statement = delete(workers).where(workers.c.work_pool_id == pool_id, workers.c.name == name)
    if not (await db.execute(statement)).rowcount:
        raise NotFound(f'Worker "{name}" not found in work pool "{pool_name}".')


async def mark_silent(db: Transaction, at: datetime) -> int:
    """Make workers OFFLINE whose heartbeats stopped; how many."""
    announced = func.nullif(workers.c.heartbeat_interval_seconds, 0)
    allowed = func.coalesce(announced, DEFAULT_INTERVAL_SECONDS) * MISSED_HEARTBEATS
    is_silent = _seconds_since(db, workers.c.last_heartbeat_time, at) > allowed
    statement = (
        update(workers)
        .where(workers.c.status == WorkerStatus.ONLINE, is_silent)
        .values(status=WorkerStatus.OFFLINE, updated=at)
    )
    return (await db.execute(statement)).rowcount


def _seconds_since(db: Transaction, then: ColumnElement[Any], at: datetime) -> ColumnElement[Any]:
    now = literal(at, UtcDateTime)
    if db.dialect == "sqlite":
        return (func.julianday(now) - func.julianday(then)) * 86400
    return func.extract("epoch", now) - func.extract("epoch", then)
