"""Every statement about work pools. Making one makes a queue too: see `work_queues`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, Uuid, and_, case, column, delete, exists, func, null, select
from sqlalchemy import table as named_table
from sqlalchemy import update as update_statement

from forebay.wire.work_pools import AGENT_TYPE, WorkerStatus, WorkPoolCreate, WorkPoolStatus
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, NotFound
from forebay_server.work_pools.filters import WorkPoolFilter
from forebay_server.work_pools.notices import pool_changed
from forebay_server.work_pools.tables import WorkPoolRow, work_pools

Found = Row[tuple[object, ...]]
NOT_NULLABLE = (
    "is_paused",
    "base_job_template",
    "storage_configuration",
    "on_lost",
    "max_rescues",
)

# Named as text, as foreign keys are: these domains build on pools, not the other way.
_claims = named_table("claim", column("work_pool_id"), column("ended_at"))
_workers = named_table("worker", column("work_pool_id"), column("status"))
_queues = named_table("work_queue", column("id", Uuid()), column("work_pool_id", Uuid()))

_held = (
    select(func.count())
    .select_from(_claims)
    .where(_claims.c.work_pool_id == work_pools.c.id, _claims.c.ended_at.is_(None))
    .scalar_subquery()
)
_has_online_worker = exists().where(
    _workers.c.work_pool_id == work_pools.c.id, _workers.c.status == WorkerStatus.ONLINE.value
)


def _pools() -> Select[Any]:
    """Pools as the API shows them: slots only beside a limit, no status without workers."""
    shown = [c for c in work_pools.c if c.name != "status"]
    slots = case((work_pools.c.concurrency_limit.is_not(None), _held)).label("active_slots")
    status = case((work_pools.c.type == AGENT_TYPE, null()), else_=work_pools.c.status)
    return select(*shown, status.label("status"), slots)


async def insert(db: Transaction, body: WorkPoolCreate, default_queue_id: UUID) -> WorkPoolRow:
    """Store a pool whose default queue will have that id. Raises `Conflict` on a taken name."""
    at = await db.now()
    row = WorkPoolRow(
        **body.model_dump(exclude={"storage_configuration"}),
        storage_configuration=body.storage_configuration.model_dump(mode="json"),
        status=WorkPoolStatus.PAUSED if body.is_paused else WorkPoolStatus.NOT_READY,
        default_queue_id=default_queue_id,
        created=at,
        updated=at,
    )
    if not await insert_new(db, work_pools, row.model_dump()):
        existing = await db.scalar(select(work_pools.c.id).where(work_pools.c.name == body.name))
        raise Conflict(
            f'A work pool named "{body.name}" exists already; choose another name, or change the '
            "existing one.",
            existing_id=str(existing),
        )
    return row


async def read(db: Transaction, name: str) -> Found:
    """One pool as the API shows it. Raises `NotFound`."""
    return _found(await db.row(_pools().where(work_pools.c.name == name)), name)


async def lock(db: Transaction, name: str) -> Found:
    """One pool's row, locked until the transaction ends; pools are locked before queues."""
    statement = select(work_pools).where(work_pools.c.name == name).with_for_update()
    return _found(await db.row(statement), name)


def _found(row: Found | None, name: str) -> Found:
    if row is None:
        raise NotFound(f'Work pool "{name}" not found.')
    return row


def queue_ids(name: str) -> Select[tuple[UUID]]:
    """The statement that reads the ids of a pool's queues."""
    of_pool = _queues.join(work_pools, work_pools.c.id == _queues.c.work_pool_id)
    return select(_queues.c.id).select_from(of_pool).where(work_pools.c.name == name)


async def filter(
    db: Transaction, criteria: WorkPoolFilter, limit: int, offset: int
) -> Sequence[Found]:
    """Pools by name, which is unique."""
    statement = _seen(db, _pools().where(criteria.condition())).order_by(work_pools.c.name)
    return await db.rows(statement.limit(limit).offset(offset))


async def count(db: Transaction, criteria: WorkPoolFilter) -> int:
    """How many pools there are."""
    statement = select(func.count()).select_from(work_pools).where(criteria.condition())
    found = await db.scalar(_seen(db, statement))
    assert isinstance(found, int)
    return found


def _seen(db: Transaction, statement: Select[Any]) -> Select[Any]:
    """`statement`, narrowed to the one pool that its caller may see, if so."""
    return statement if db.pool_id is None else statement.where(work_pools.c.id == db.pool_id)


async def update(db: Transaction, name: str, changes: dict[str, Any]) -> None:
    """Change the columns named in `changes`; pausing and resuming change the status too.

    Raises `NotFound`, and `Conflict` for a null where there must be a value.
    """
    for key in NOT_NULLABLE:
        if changes.get(key, ...) is None:
            raise Conflict(f"{key} must not be null; leave it out to keep what it is.")
    values = {**changes, "updated": await db.now()}
    if changes.get("is_paused"):
        values["status"] = WorkPoolStatus.PAUSED
    elif "is_paused" in changes:
        values["status"] = case(
            (_has_online_worker, WorkPoolStatus.READY), else_=WorkPoolStatus.NOT_READY
        )
    statement = update_statement(work_pools).where(work_pools.c.name == name).values(values)
    id = await db.scalar(statement.returning(work_pools.c.id))
    if id is None:
        raise NotFound(f'Work pool "{name}" not found.')
    pool_changed(db, id)


async def delete_by_name(db: Transaction, name: str) -> None:
    """Delete a pool; its queues and workers go too, its runs and deployments stay without.

    Raises `NotFound`.
    """
    statement = delete(work_pools).where(work_pools.c.name == name)
    id = await db.scalar(statement.returning(work_pools.c.id))
    if id is None:
        raise NotFound(f'Work pool "{name}" not found.')
    pool_changed(db, id)


async def mark_ready(db: Transaction, id: UUID) -> None:
    """A worker's heartbeat arrived: NOT_READY becomes READY, PAUSED stays."""
    await db.execute(
        update_statement(work_pools)
        .where(work_pools.c.id == id, work_pools.c.status == WorkPoolStatus.NOT_READY)
        .values(status=WorkPoolStatus.READY, updated=await db.now())
    )


async def mark_unserved(db: Transaction, at: datetime) -> int:
    """Make READY pools without an online worker NOT_READY; how many."""
    is_unserved = and_(work_pools.c.status == WorkPoolStatus.READY, ~_has_online_worker)
    values = {"status": WorkPoolStatus.NOT_READY, "updated": at}
    return (
        await db.execute(update_statement(work_pools).where(is_unserved).values(values))
    ).rowcount
