"""Every statement about workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    literal,
    literal_column,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from forebay.wire.work_pools import Worker, WorkerHeartbeat, WorkerStatus, WorkPoolStatus
from forebay_server.claims.rules import lease_seconds
from forebay_server.claims.tables import claims
from forebay_server.db.bulk import given_rows, stored_id
from forebay_server.db.columns import UtcDateTime, new_id, text_type
from forebay_server.db.engine import Transaction
from forebay_server.db.prepared import Prepared
from forebay_server.errors import Conflict, NotFound
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.tables import work_pools
from forebay_server.workers.filters import WorkerFilter
from forebay_server.workers.tables import DRAINING, workers

IN_SERVICE = (WorkerStatus.ONLINE.value, DRAINING)  # whose heartbeats arrive
DEFAULT_INTERVAL_SECONDS = 30  # of heartbeats, for a worker that announces none
MISSED_HEARTBEATS = 3  # after which a worker is taken for dead


Heartbeats = Mapping[tuple[str, str], WorkerHeartbeat]  # by the names of pool and worker


@dataclass(frozen=True)
class LiveWorker:
    """Whose heartbeat arrived, and how long the leases of its claims last from now on."""

    work_pool_id: UUID
    name: str
    heard_at: datetime  # by the database's clock
    lease_seconds: float
    is_draining: bool  # asked to take no more runs
    has_claims: bool


async def record_heartbeats(
    db: Transaction, heartbeats: Heartbeats
) -> dict[tuple[str, str], LiveWorker]:
    """Make workers known or their last heartbeats now; a pool that was NOT_READY becomes READY.

    One statement for them all, one more for those that are new processes, and one for each pool
    whose status changes. Without an interval the one announced before stays; a worker that drains
    does so until it is a new process. A worker of a pool that does not exist is left out.
    """
    found: list[Row[Any]] = []
    for is_new in (False, True):
        rows = [
            {
                "id": stored_id(db.dialect, new_id()),
                "pool": pool,
                "name": heartbeat.name,
                "interval": heartbeat.heartbeat_interval_seconds,
            }
            for (pool, _), heartbeat in heartbeats.items()
            if heartbeat.is_new is is_new
        ]
        if rows:
            values: dict[str, Any] = {"beats": rows}
            if db.dialect == "sqlite":
                values["at"] = await db.now()
            found += await db.run(_record(db.dialect, is_new), values)
    unready = {row.work_pool_id for row in found if row.pool_status == WorkPoolStatus.NOT_READY}
    for pool_id in sorted(unready):
        await pools.mark_ready(db, pool_id)
    return {(row.pool_name, row.name): _live(row) for row in found}


def _live(row: Row[Any]) -> LiveWorker:
    lease = lease_seconds(row.heartbeat_interval_seconds)
    is_draining = row.status == DRAINING
    return LiveWorker(
        row.work_pool_id,
        row.name,
        row.last_heartbeat_time,
        lease,
        is_draining,
        bool(row.has_claims),
    )


@cache
def _record(dialect: str, is_new: bool) -> Prepared:
    kinds = {"id": workers.c.id.type, "interval": workers.c.heartbeat_interval_seconds.type}
    beats = given_rows(dialect, "beats", pool=text_type(), name=text_type(), **kinds)
    at: ColumnElement[Any] = func.clock_timestamp()
    if dialect == "sqlite":
        at = bindparam("at", type_=UtcDateTime)
    values: dict[str, ColumnElement[Any]] = {
        "id": beats.c.id,
        "created": at,
        "updated": at,
        "work_pool_id": work_pools.c.id,
        "name": beats.c.name,
        "last_heartbeat_time": at,
        "heartbeat_interval_seconds": beats.c.interval,
        "status": literal_column(f"'{WorkerStatus.ONLINE.value}'"),
    }
    told = select(*values.values()).join(beats, beats.c.pool == work_pools.c.name)
    # In one order, so that of two statements neither waits for the other.
    told = told.order_by(work_pools.c.id, beats.c.name)
    insert = (sqlite if dialect == "sqlite" else postgresql).insert
    statement = insert(workers).from_select(list(values), told)
    sent = statement.excluded
    stays_draining = and_(workers.c.status == DRAINING, literal(not is_new))
    # As text: the columns of what RETURNING tells stand there without their table.
    pool_id = literal_column("worker.work_pool_id", workers.c.work_pool_id.type)
    its = work_pools.alias("its")
    its_pool = its.c.id == pool_id
    has_claims = exists().where(
        claims.c.work_pool_id == pool_id,
        claims.c.worker_name == literal_column("worker.name"),
        claims.c.ended_at.is_(None),
    )
    return Prepared(
        statement.on_conflict_do_update(
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
            workers.c.name,
            workers.c.last_heartbeat_time,
            workers.c.heartbeat_interval_seconds,
            workers.c.status,
            select(its.c.name).where(its_pool).scalar_subquery().label("pool_name"),
            select(its.c.status).where(its_pool).scalar_subquery().label("pool_status"),
            has_claims.label("has_claims"),
        )
    )


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
