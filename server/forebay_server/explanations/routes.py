"""HTTP of explanations: parse, call, return."""

from uuid import UUID

from forebay.wire.explanations import Explanation
from forebay_server.explanations import queries, rules
from forebay_server.protocol import PathName, Read, api_router

router = api_router("Explanations")


@router.get("/flow_runs/{id:uuid}/explain")
async def explain_flow_run(id: UUID, db: Read) -> Explanation:
    """Why a run has not begun: every condition, with the numbers and who holds what it needs.

    A Forebay extension.
    """
    run, pool, queue = await queries.read_run(db, id)
    return rules.explain_run(run, pool, queue, await db.now())


@router.get("/work_pools/{name}/explain")
async def explain_work_pool(name: PathName, db: Read) -> Explanation:
    """Why a pool gives no run now. A Forebay extension."""
    pool, first_due = await queries.read_pool(db, name)
    return rules.explain_pool(pool, first_due, await db.now())


@router.get("/work_queues/{id:uuid}/explain")
async def explain_work_queue(id: UUID, db: Read) -> Explanation:
    """Why a queue gives no run now. A Forebay extension."""
    queue, pool, first_due = await queries.read_queue(db, id)
    return rules.explain_queue(queue, pool, first_due, await db.now())
