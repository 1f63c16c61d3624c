"""Making runs of deployments by request: what the deployment gives and what the caller adds."""

from typing import Any

from sqlalchemy import Row

from forebay.wire.flow_runs import DeploymentFlowRunCreate, FlowRun
from forebay.wire.work_pools import AGENT_POOL
from forebay_server.db.engine import Transaction
from forebay_server.deployments import rules
from forebay_server.errors import BadRequest
from forebay_server.flow_runs import queries as runs
from forebay_server.flow_runs.bookkeeping import request_digest, stored_policy
from forebay_server.flow_runs.tables import FlowRunRow
from forebay_server.variables.hydration import BadReference, hydrate
from forebay_server.work_pools.job_variables import check_known
from forebay_server.work_queues import queries as queues


async def create(
    db: Transaction,
    deployment: Row[Any],
    body: DeploymentFlowRunCreate,
    *,
    refuses_unknown: bool = False,
    refuses_reused: bool = False,
) -> tuple[FlowRun, bool]:
    """A run of `deployment` and whether it is new; a known idempotency key means the old one.

    Raises `BadRequest` for parameters that refer to nothing, `Conflict` for those that the
    deployment's schema does not allow, `Invalid` for job variables that do not fill the pool's
    template; with `refuses_unknown` also for those of the run that it does not declare. With
    `refuses_reused`, `Conflict` for a key that was given to another run.
    """
    try:
        parameters = await hydrate(db, {**deployment.parameters, **body.parameters})
    except BadReference as error:
        raise BadRequest(f"Error hydrating flow run parameters: {error}") from None
    is_enforced = body.enforce_parameter_schema
    if deployment.enforce_parameter_schema if is_enforced is None else is_enforced:
        rules.check_run_parameters(parameters, deployment.parameter_openapi_schema)
    template = deployment.base_job_template or {}
    if refuses_unknown:
        check_known(template, body.job_variables)
    rules.check_run_variables(template, deployment.job_variables, body.job_variables)
    queue_id, queue_name = deployment.work_queue_id, deployment.work_queue_name
    pool_id, pool_name = deployment.work_pool_id, deployment.work_pool_name
    if body.work_queue_name is not None and body.work_queue_name != queue_name:
        if pool_name is None:
            await queues.ensure_agent_pool(db)
        queue = await queues.find_or_create(db, pool_name or AGENT_POOL, body.work_queue_name)
        queue_id, queue_name = queue.id, queue.name
        pool_id, pool_name = queue.work_pool_id, queue.work_pool_name
    run = FlowRunRow(
        name=body.name or "",
        flow_id=deployment.flow_id,
        deployment_id=deployment.id,
        deployment_version=deployment.version,
        work_queue_id=queue_id,
        work_queue_name=queue_name,
        parameters=parameters,
        context=body.context,
        empirical_policy=stored_policy(body.empirical_policy),
        tags=rules.united(deployment.tags, body.tags),
        labels={**deployment.labels, **(body.labels or {})},
        job_variables=body.job_variables or {},
        idempotency_key=body.idempotency_key,
        parent_task_run_id=body.parent_task_run_id,
        infrastructure_document_id=body.infrastructure_document_id
        or deployment.infrastructure_document_id,
    )
    if body.idempotency_key is None:
        run = await runs.create(db, run, body.state)
    else:
        run.request_digest = request_digest(body, deployment.id)
        run, is_new = await runs.create_once(db, run, body.state, refuses_reused=refuses_reused)
        if not is_new:
            return await runs.read(db, run.id), False
    placed = runs.to_wire(
        run, work_pool_id=pool_id, work_pool_name=pool_name, work_queue_name=queue_name
    )
    return placed, True
