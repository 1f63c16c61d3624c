"""Creates runs that come without a deployment's say, on a queue or on none."""

from sqlalchemy import Row

from forebay.wire.flow_runs import FlowRun, FlowRunCreate
from forebay.wire.states import StateCreate, StateType
from forebay_server.db.engine import Transaction
from forebay_server.errors import Invalid, NotFound
from forebay_server.flow_runs import queries
from forebay_server.flow_runs.bookkeeping import request_digest, stored_policy
from forebay_server.flow_runs.tables import FlowRunRow
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.job_variables import check_known
from forebay_server.work_queues import queries as queues


async def create(
    db: Transaction,
    body: FlowRunCreate,
    *,
    refuses_unknown: bool = False,
    refuses_reused: bool = False,
) -> tuple[FlowRun, bool]:
    """The run and whether it is new: a known idempotency key gives back the known run.

    Raises `NotFound` for a pool or a queue that does not exist; with `refuses_unknown`, `Invalid`
    for job variables that the pool's template does not declare; with `refuses_reused`, `Conflict`
    for a key that was given to another run.
    """
    if refuses_unknown and body.job_variables and body.work_pool_name is not None:
        pool = await pools.read(db, body.work_pool_name)
        check_known(pool.base_job_template, body.job_variables)
    queue = await _queue(db, body)
    row = FlowRunRow(
        name=body.name or "",
        flow_id=body.flow_id,
        flow_version=body.flow_version,
        deployment_id=body.deployment_id,
        work_queue_id=None if queue is None else queue.id,
        work_queue_name=None if queue is None else queue.name,
        parameters=body.parameters,
        context=body.context,
        empirical_policy=stored_policy(body.empirical_policy),
        tags=body.tags,
        labels=body.labels or {},
        job_variables=body.job_variables or {},
        idempotency_key=body.idempotency_key,
        parent_task_run_id=body.parent_task_run_id,
        infrastructure_document_id=body.infrastructure_document_id,
    )
    state = body.state or StateCreate(type=StateType.PENDING)
    if body.idempotency_key is None:
        run, is_new = await queries.create(db, row, state), True
    else:
        row.request_digest = request_digest(body, body.deployment_id)
        run, is_new = await queries.create_once(db, row, state, refuses_reused=refuses_reused)
    if not is_new or queue is None:
        return await queries.read(db, run.id), is_new
    answer = queries.to_wire(
        run,
        work_pool_id=queue.work_pool_id,
        work_pool_name=body.work_pool_name,
        work_queue_name=queue.name,
    )
    return answer, True


async def _queue(db: Transaction, body: FlowRunCreate) -> Row[tuple[object, ...]] | None:
    if body.work_pool_name is None:
        if body.work_queue_name is not None:
            raise Invalid("work_queue_name needs work_pool_name.")
        return None
    pool = await pools.read(db, body.work_pool_name)
    if body.work_queue_name is None:
        return await queues.read_by_id(db, pool.default_queue_id)
    try:
        return await queues.read(db, body.work_pool_name, body.work_queue_name)
    except NotFound:
        name = f"{body.work_pool_name}/{body.work_queue_name}"
        raise NotFound(f"Work pool queue '{name}' not found.") from None
