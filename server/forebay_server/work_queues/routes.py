"""HTTP of work queues, and of making a pool, since that makes its default queue too."""

from uuid import UUID

from fastapi import Depends, Request

from forebay.wire.base import Lenient
from forebay.wire.work_pools import AGENT_POOL, WorkPool, WorkPoolCreate
from forebay.wire.work_queues import (
    WorkQueue,
    WorkQueueCreate,
    WorkQueueHealthPolicy,
    WorkQueueStatusDetail,
    WorkQueueUpdate,
)
from forebay_server.blocks import documents as blocks
from forebay_server.db.engine import Transaction
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset
from forebay_server.versions import STALE, Guard, Guards, Tells
from forebay_server.work_pools import parting
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.rules import (
    check_template,
    referred_blocks,
    refuse_reserved,
)
from forebay_server.work_queues import queries
from forebay_server.work_queues.filters import WorkQueueFilter

router = api_router("Work queues")


async def _part_named(pool: PathName, name: PathName, request: Request, version: Guards) -> None:
    async with request.app.state.database.read() as db:
        queue = await queries.read(db, pool, name)
    await _part(queue.id, request, version)


async def _part(id: UUID, request: Request, version: Guards) -> None:
    """Before a queue is deleted: take the runs that ended off it."""

    async def check(db: Transaction) -> None:
        await version.check(queries.lock, _shown, db, id)
        await queries.check_deletable(db, id)

    await parting.part(request.app.state.database, parting.OF_QUEUE, [id], check)


class QueueQuery(Lenient):
    """Which queues."""

    work_queues: WorkQueueFilter | None = None
    limit: int | None = None
    offset: int | None = None


@router.post("/work_pools/", status_code=201, dependencies=[CREATES], tags=["Work pools"])
async def create_work_pool(body: WorkPoolCreate, db: Write, tell: Tells) -> WorkPool:
    """Create a work pool with its default queue."""
    refuse_reserved(body.name)
    template = body.base_job_template
    check_template(template, await blocks.existing(db, referred_blocks(template)))
    await queries.create_pool(db, body)
    return tell(WorkPool.model_validate(await pools.read(db, body.name)))


@router.post("/work_pools/{pool}/queues", status_code=201, dependencies=[CREATES])
async def create_work_queue(
    pool: PathName, body: WorkQueueCreate, db: Write, tell: Tells
) -> WorkQueue:
    """Create a queue in a work pool; whoever has its priority moves down."""
    return tell(WorkQueue.model_validate(await queries.create(db, pool, body)))


@router.post("/work_pools/{pool}/queues/filter")
async def filter_work_queues_of_pool(
    pool: PathName, db: Read, body: QueueQuery | None = None
) -> list[WorkQueue]:
    """List the queues of a work pool, by priority."""
    query = body or QueueQuery()
    criteria = query.work_queues or WorkQueueFilter()
    limit, offset = page_limit(query.limit), page_offset(query.offset)
    rows = await queries.filter_in_pool(db, pool, criteria, limit, offset)
    return [WorkQueue.model_validate(row) for row in rows]


@router.get("/work_pools/{pool}/queues/{name}")
async def read_work_queue_of_pool(
    pool: PathName, name: PathName, db: Read, tell: Tells
) -> WorkQueue:
    """Read a queue by its name in a work pool."""
    return tell(WorkQueue.model_validate(await queries.read(db, pool, name)))


@router.patch("/work_pools/{pool}/queues/{name}", status_code=204, responses=STALE)
async def update_work_queue_of_pool(
    pool: PathName, name: PathName, body: WorkQueueUpdate, db: Write, version: Guards
) -> None:
    """Change the fields that are present; a priority makes other queues move."""
    await _change(db, (await queries.read(db, pool, name)).id, body, version)


@router.delete(
    "/work_pools/{pool}/queues/{name}",
    status_code=204,
    responses=STALE,
    dependencies=[Depends(_part_named)],
)
async def delete_work_queue_of_pool(
    pool: PathName, name: PathName, db: Write, version: Guards
) -> None:
    """Delete a queue; its runs stay without one. The default queue goes with its pool only."""
    await _delete(db, (await queries.read(db, pool, name)).id, version)


@router.post("/work_queues/", status_code=201, dependencies=[CREATES])
async def create_work_queue_without_pool(
    body: WorkQueueCreate, db: Write, tell: Tells
) -> WorkQueue:
    """Create a queue in the pool for queues that name none."""
    await queries.ensure_agent_pool(db)
    return tell(WorkQueue.model_validate(await queries.create(db, AGENT_POOL, body)))


@router.post("/work_queues/filter")
async def filter_work_queues(db: Read, body: QueueQuery | None = None) -> list[WorkQueue]:
    """List the queues of all work pools, by name."""
    query = body or QueueQuery()
    criteria = query.work_queues or WorkQueueFilter()
    limit, offset = page_limit(query.limit), page_offset(query.offset)
    rows = await queries.filter(db, criteria, limit, offset)
    return [WorkQueue.model_validate(row) for row in rows]


@router.get("/work_queues/name/{name}")
async def read_work_queue_by_name(name: PathName, db: Read, tell: Tells) -> WorkQueue:
    """Read a queue of the pool for queues that name none."""
    return tell(WorkQueue.model_validate(await queries.read(db, AGENT_POOL, name)))


@router.get("/work_queues/{id:uuid}")
async def read_work_queue(id: UUID, db: Read, tell: Tells) -> WorkQueue:
    """Read a queue by id."""
    return tell(await _shown(db, id))


@router.get("/work_queues/{id:uuid}/status")
async def read_work_queue_status(id: UUID, db: Read) -> WorkQueueStatusDetail:
    """Tell whether a queue is polled and none of its runs is late."""
    last_polled = (await queries.read_by_id(db, id)).last_polled
    late_runs_count = await queries.count_late_runs(db, id)
    is_polled = last_polled is not None and await db.now() - last_polled <= queries.POLLED_WITHIN
    return WorkQueueStatusDetail(
        healthy=is_polled and not late_runs_count,
        late_runs_count=late_runs_count,
        last_polled=last_polled,
        health_check_policy=WorkQueueHealthPolicy(),
    )


@router.patch("/work_queues/{id:uuid}", status_code=204, responses=STALE)
async def update_work_queue(id: UUID, body: WorkQueueUpdate, db: Write, version: Guards) -> None:
    """Change the fields that are present; a priority makes other queues move."""
    await _change(db, id, body, version)


@router.delete(
    "/work_queues/{id:uuid}", status_code=204, responses=STALE, dependencies=[Depends(_part)]
)
async def delete_work_queue(id: UUID, db: Write, version: Guards) -> None:
    """Delete a queue; its runs stay without one. The default queue goes with its pool only."""
    await _delete(db, id, version)


async def _shown(db: Transaction, id: UUID) -> WorkQueue:
    return WorkQueue.model_validate(await queries.read_by_id(db, id))


async def _change(db: Transaction, id: UUID, body: WorkQueueUpdate, version: Guard) -> None:
    await version.check(queries.lock, _shown, db, id)
    await queries.change(db, id, body.model_dump(exclude_unset=True))
    version(await _shown(db, id))


async def _delete(db: Transaction, id: UUID, version: Guard) -> None:
    await version.check(queries.lock, _shown, db, id)
    await queries.delete_by_id(db, id)
