"""HTTP of workers: parse, call, return."""

from fastapi import Request, Response

from forebay.wire.base import Lenient
from forebay.wire.work_pools import DRAIN_HEADER, Worker, WorkerHeartbeat
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset
from forebay_server.workers import queries
from forebay_server.workers.filters import WorkerFilter
from forebay_server.workers.heartbeats import Intake

router = api_router("Workers", "/work_pools/{pool}/workers")


class WorkerQuery(Lenient):
    """Which workers."""

    workers: WorkerFilter | None = None
    limit: int | None = None
    offset: int | None = None


@router.post("/heartbeat", status_code=204)
async def record_heartbeat(
    pool: PathName, body: WorkerHeartbeat, request: Request, answer: Response
) -> None:
    """Tell that a worker is alive: it is known from now on, and keeps the runs that it holds.

    The answer's header `X-Forebay-Drain` asks the worker to take no more runs.
    """
    intake: Intake = request.app.state.heartbeats
    worker = await intake.record(pool, body)
    if worker.is_draining:
        answer.headers[DRAIN_HEADER] = "true"


@router.post("/{name}/drain", status_code=204)
async def drain_worker(pool: PathName, name: PathName, db: Write) -> None:
    """Ask a worker to take no more runs and to end once those that it has have ended.

    It learns this from its next heartbeat. Prefect's workers do not ask: they go on until they
    are stopped.
    """
    await queries.drain(db, pool, name)


@router.post("/filter")
async def filter_workers(
    pool: PathName, db: Read, body: WorkerQuery | None = None
) -> list[Worker]:
    """List the workers of a work pool, the latest heartbeat first."""
    query = body or WorkerQuery()
    criteria = query.workers or WorkerFilter()
    limit, offset = page_limit(query.limit), page_offset(query.offset)
    return await queries.filter(db, pool, criteria, limit, offset)


@router.delete("/{name}", status_code=204)
async def delete_worker(pool: PathName, name: PathName, db: Write) -> None:
    """Forget a worker; it comes back with its next heartbeat."""
    await queries.delete_by_name(db, pool, name)
