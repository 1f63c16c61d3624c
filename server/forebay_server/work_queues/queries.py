"""Every statement about work queues."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, case, column, delete, exists, func, or_, select, update
from sqlalchemy import table as named_table

from forebay.wire.states import StateType
from forebay.wire.work_pools import AGENT_POOL, AGENT_TYPE, DEFAULT_QUEUE, WorkPoolCreate
from forebay.wire.work_queues import WorkQueueCreate, WorkQueueStatus
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, NotFound
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.notices import queue_changed
from forebay_server.work_pools.tables import WorkPoolRow, work_pools
from forebay_server.work_queues.filters import WorkQueueFilter
from forebay_server.work_queues.rules import place
from forebay_server.work_queues.tables import WorkQueueRow, work_queues

Found = Row[tuple[object, ...]]
POLLED_WITHIN = timedelta(seconds=60)  # or nobody serves the queue
NOT_NULLABLE = ("name", "is_paused", "priority")

# Named as text, as foreign keys are: these domains build on queues, not the other way.
_claims = named_table("claim", column("work_queue_id"), column("ended_at"))
_runs = named_table(
    "flow_run", column("work_queue_id"), column("state_type"), column("state_name")
)

_held = (
    select(func.count())
    .select_from(_claims)
    .where(_claims.c.work_queue_id == work_queues.c.id, _claims.c.ended_at.is_(None))
    .scalar_subquery()
)
_is_default = exists().where(
    work_pools.c.id == work_queues.c.work_pool_id,
    work_pools.c.default_queue_id == work_queues.c.id,
)


def _queues() -> Select[Any]:
    """Queues as the API shows them: with their pool's name, slots only beside a limit."""
    slots = case((work_queues.c.concurrency_limit.is_not(None), _held)).label("active_slots")
    pool_name = work_pools.c.name.label("work_pool_name")
    return select(work_queues, pool_name, slots).join(
        work_pools, work_pools.c.id == work_queues.c.work_pool_id
    )


async def create_pool(db: Transaction, body: WorkPoolCreate) -> WorkPoolRow:
    """Make a pool together with its default queue. Raises `Conflict` on a taken name."""
    queue_id = new_id()
    pool = await pools.insert(db, body, queue_id)
    queue = WorkQueueRow(
        id=queue_id,
        work_pool_id=pool.id,
        name=DEFAULT_QUEUE,
        description="Made with its pool; takes the runs that name no queue.",
        created=pool.created,
        updated=pool.updated,
    )
    await insert_new(db, work_queues, queue.model_dump())
    return pool


async def create(db: Transaction, pool_name: str, body: WorkQueueCreate) -> Found:
    """Make a queue in a pool; whoever has its priority makes room.

    Raises `NotFound` without the pool, `Conflict` with `existing_id` on a taken name.
    """
    pool = await pools.lock(db, pool_name)
    at = await db.now()
    row = WorkQueueRow(
        **body.model_dump(exclude={"filter", "priority", "description"}),
        description=body.description or "",
        priority=await _make_room(db, pool.id, body.priority),
        work_pool_id=pool.id,
        created=at,
        updated=at,
    )
    if not await insert_new(db, work_queues, row.model_dump()):
        existing = await read(db, pool_name, body.name)
        raise Conflict(
            f'A work queue named "{body.name}" exists already in work pool "{pool_name}".',
            existing_id=str(existing.id),
        )
    queue_changed(db, row.id, pool.id)
    return await read(db, pool_name, body.name)


async def find_or_create(db: Transaction, pool_name: str, name: str | None) -> Found:
    """The queue of that name, made if need be; without a name the pool's default queue.

    Raises `NotFound` without the pool. Source: Prefect 3.8.4, queues named by deployments.
    """
    is_default = work_queues.c.id == work_pools.c.default_queue_id
    is_meant = work_queues.c.name == name if name is not None else is_default
    statement = _queues().where(work_pools.c.name == pool_name, is_meant)
    found = await db.row(statement)
    if found is None and name is not None:
        try:
            return await create(db, pool_name, WorkQueueCreate(name=name))
        except Conflict:  # made by somebody else while this waited for the pool
            found = await db.row(statement)
    if found is None:
        raise NotFound(f'Work pool "{pool_name}" not found.')
    return found


async def ensure_agent_pool(db: Transaction) -> None:
    """Make the pool that holds queues made without naming one, unless it exists."""
    if await db.row(select(work_pools.c.id).where(work_pools.c.name == AGENT_POOL)) is None:
        try:
            await create_pool(db, WorkPoolCreate(name=AGENT_POOL, type=AGENT_TYPE))
        except Conflict:
            return  # made by somebody else just now


async def read(db: Transaction, pool_name: str, name: str) -> Found:
    """One queue of a pool. Raises `NotFound`."""
    is_meant = (work_pools.c.name == pool_name, work_queues.c.name == name)
    row = await db.row(_queues().where(*is_meant))
    if row is None:
        raise NotFound(f'Work queue "{name}" not found in work pool "{pool_name}".')
    return row


async def read_by_id(db: Transaction, id: UUID) -> Found:
    """One queue by id. Raises `NotFound`."""
    return _found(await db.row(_queues().where(work_queues.c.id == id)), id)


def _found(row: Found | None, id: UUID) -> Found:
    if row is None:
        raise NotFound(f"Work queue {id} not found.")
    return row


async def filter(
    db: Transaction, criteria: WorkQueueFilter, limit: int, offset: int
) -> Sequence[Found]:
    """Queues of all pools, by name."""
    order = (work_queues.c.name, work_queues.c.id)
    statement = _queues().where(criteria.condition()).order_by(*order)
    if db.pool_id is not None:
        statement = statement.where(work_queues.c.work_pool_id == db.pool_id)
    return await _page(db, statement, limit, offset)


async def filter_in_pool(
    db: Transaction, pool_name: str, criteria: WorkQueueFilter, limit: int, offset: int
) -> Sequence[Found]:
    """Queues of one pool, by priority. Raises `NotFound` without the pool."""
    is_meant = (work_pools.c.name == pool_name, criteria.condition())
    statement = _queues().where(*is_meant).order_by(work_queues.c.priority, work_queues.c.id)
    found = await _page(db, statement, limit, offset)
    if not found:
        await pools.read(db, pool_name)  # a pool without such queues, or no pool
    return found


async def _page(
    db: Transaction, statement: Select[Any], limit: int, offset: int
) -> Sequence[Found]:
    return await db.rows(statement.limit(limit).offset(offset))


async def change(db: Transaction, id: UUID, changes: dict[str, Any]) -> None:
    """Change the columns named in `changes`; a new priority makes others move.

    So it does on every path: Prefect 3.8.4 re-ranks only where the pool is named, and two queues
    of one priority are what comes of that. Raises `NotFound`, and `Conflict` for a null where
    there must be a value.
    """
    for key in NOT_NULLABLE:
        if changes.get(key, ...) is None:
            raise Conflict(f"{key} must not be null; leave it out to keep what it is.")
    values = {**changes, "updated": await db.now()}
    values.pop("filter", None)
    if "priority" in changes:
        pool_id = _found(await _lock_pool_of(db, id), id).id
        values["priority"] = await _make_room(db, pool_id, changes["priority"], moved=id)
    if changes.get("is_paused"):
        values["status"] = WorkQueueStatus.PAUSED
    elif "is_paused" in changes:
        values["status"] = _resumed_status(await db.now())
    statement = update(work_queues).where(work_queues.c.id == id).values(values)
    if not (await db.execute(statement)).rowcount:
        raise NotFound(f"Work queue {id} not found.")
    queue_changed(db, id)


def _resumed_status(at: datetime) -> Any:
    """The status after `is_paused: false`, which says nothing to a queue that was not paused."""
    status, last_polled = work_queues.c.status, work_queues.c.last_polled
    return case(
        (status != WorkQueueStatus.PAUSED, status),
        (last_polled >= at - POLLED_WITHIN, WorkQueueStatus.READY),
        else_=WorkQueueStatus.NOT_READY,
    )


async def lock(db: Transaction, id: UUID) -> None:
    """Keep others from changing a queue until the transaction ends: its pool first, then it."""
    await _lock_pool_of(db, id)
    await db.row(select(work_queues.c.id).where(work_queues.c.id == id).with_for_update())


async def _lock_pool_of(db: Transaction, id: UUID) -> Found | None:
    pool_id = select(work_queues.c.work_pool_id).where(work_queues.c.id == id).scalar_subquery()
    return await db.row(
        select(work_pools.c.id).where(work_pools.c.id == pool_id).with_for_update()
    )


async def _make_room(
    db: Transaction, pool_id: UUID, wanted: int | None, *, moved: UUID | None = None
) -> int:
    """The priority that a queue gets; two statements however many queues move.

    The pool must be locked. `moved` is the queue itself, when it is in the pool already.
    """
    others = [work_queues.c.work_pool_id == pool_id]
    if moved is not None:
        others.append(work_queues.c.id != moved)
    priority = work_queues.c.priority
    taken = [row.priority for row in await db.rows(select(priority).where(*others))]
    found = place(taken, wanted)
    if found.moved_below > found.priority:
        await db.execute(
            update(work_queues)
            .where(*others, priority >= found.priority, priority < found.moved_below)
            .values(priority=priority + 1, updated=await db.now())
        )
    return found.priority


async def delete_by_id(db: Transaction, id: UUID) -> None:
    """Delete a queue; its runs and deployments stay, without a queue.

    Raises `NotFound`, and `Conflict` for the default queue of a pool.
    """
    statement = delete(work_queues).where(work_queues.c.id == id, ~_is_default)
    if not (await db.execute(statement)).rowcount:
        raise _undeletable(await read_by_id(db, id))
    queue_changed(db, id)


async def check_deletable(db: Transaction, id: UUID) -> None:
    """Raise what `delete_by_id` would."""
    queue = await read_by_id(db, id)
    if await db.row(select(work_queues.c.id).where(work_queues.c.id == id, _is_default)):
        raise _undeletable(queue)


def _undeletable(queue: Found) -> Conflict:
    return Conflict(
        f'"{queue.name}" is the default queue of work pool "{queue.work_pool_name}" and is '
        "deleted with the pool only."
    )


async def count_late_runs(db: Transaction, id: UUID) -> int:
    """Runs of the queue that nobody started in time."""
    is_late = (_runs.c.state_type == StateType.SCHEDULED.value, _runs.c.state_name == "Late")
    # The queue's id goes through its own table, whose column knows how ids are stored.
    statement = (
        select(func.count())
        .select_from(_runs)
        .join(work_queues, work_queues.c.id == _runs.c.work_queue_id)
        .where(work_queues.c.id == id, *is_late)
    )
    found = await db.scalar(statement)
    assert isinstance(found, int)
    return found


async def mark_unpolled(db: Transaction, at: datetime) -> int:
    """Make READY queues that were not polled lately NOT_READY; how many."""
    last_polled = work_queues.c.last_polled
    is_unpolled = or_(last_polled.is_(None), last_polled < at - POLLED_WITHIN)
    statement = (
        update(work_queues)
        .where(work_queues.c.status == WorkQueueStatus.READY, is_unpolled)
        .values(status=WorkQueueStatus.NOT_READY, updated=at)
    )
    return (await db.execute(statement)).rowcount
