"""HTTP of the slots of pools and queues: parse, call, return."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from forebay.wire.base import Lenient
from forebay.wire.slots import QueueSlots, WorkPoolSlots, WorkQueueSlots
from forebay_server.protocol import MAX_PAGE, PathName, Read, api_router, page_limit, page_number
from forebay_server.slots import queries
from forebay_server.work_pools import queries as pools
from forebay_server.work_queues import queries as work_queues

router = api_router("Slots")

SHOWN_RUNS = 10  # of each queue of a pool, unless asked for more


class SlotsQuery(Lenient):
    """Which page, counted from 1."""

    page: int | None = None
    limit: int | None = None


class PoolSlotsQuery(SlotsQuery):
    """Which page of a pool's queues, and how many runs of each."""

    flow_run_limit: Annotated[int, Field(ge=0, le=MAX_PAGE)] | None = None


@router.post("/work_pools/{name}/concurrency_status")
async def read_work_pool_slots(
    name: PathName, db: Read, body: PoolSlotsQuery | None = None
) -> WorkPoolSlots:
    """List a work pool's queues with the runs that hold their slots."""
    query = body or PoolSlotsQuery()
    limit = page_limit(query.limit)
    page, offset = page_number(query.page, limit)
    pool = await pools.read(db, name)
    queues = await queries.queues(db, pool.id, limit, offset)
    shown = SHOWN_RUNS if query.flow_run_limit is None else query.flow_run_limit
    holders = await queries.holders_by_queue(db, [queue.id for queue in queues], shown)
    count = await queries.count_queues(db, pool.id)
    return WorkPoolSlots(
        active_slots=await queries.count_held_in_pool(db, pool.id),
        concurrency_limit=pool.concurrency_limit,
        queues=[
            QueueSlots(
                queue_id=queue.id,
                queue_name=queue.name,
                active_slots=queue.active_slots,
                concurrency_limit=queue.concurrency_limit,
                flow_runs=holders.get(queue.id, []),
                flow_run_count=queue.active_slots,
            )
            for queue in queues
        ],
        count=count,
        limit=limit,
        pages=_pages(count, limit),
        page=page,
    )


@router.post("/work_queues/{id:uuid}/concurrency_status")
async def read_work_queue_slots(
    id: UUID, db: Read, body: SlotsQuery | None = None
) -> WorkQueueSlots:
    """List the runs that hold slots of a queue, the oldest claims first."""
    query = body or SlotsQuery()
    limit = page_limit(query.limit)
    page, offset = page_number(query.page, limit)
    queue = await work_queues.read_by_id(db, id)
    count = await queries.count_held_in_queue(db, id)
    return WorkQueueSlots(
        active_slots=count,
        concurrency_limit=queue.concurrency_limit,
        flow_runs=await queries.holders(db, id, limit, offset),
        count=count,
        limit=limit,
        pages=_pages(count, limit),
        page=page,
    )


def _pages(count: int, limit: int) -> int:
    return -(-count // limit) if limit else 0
