"""Creating and changing deployments: what a caller's body means for rows, queues and runs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from forebay.templates import Template
from forebay.wire.deployments import DeploymentCreate, DeploymentUpdate
from forebay.wire.work_pools import AGENT_POOL
from forebay_server.db.engine import Transaction
from forebay_server.deployments import limits, queries, rules, scheduled_runs, schedules
from forebay_server.deployments.schedules import AnySchedule
from forebay_server.deployments.tables import DeploymentRow
from forebay_server.errors import BadRequest, Conflict, Invalid
from forebay_server.variables.hydration import BadReference, hydrate
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.job_variables import check_known
from forebay_server.work_queues import queries as queues

# Not columns, or not the caller's to set by name.
NOT_COLUMNS = {
    "schedules",
    "version_info",
    "work_pool_name",
    "work_queue_name",
    "labels",
    *limits.FIELDS,
}
# Null leaves these as they are; so does an empty `job_variables`, as in Prefect 3.8.4.
KEPT_ON_NULL = ("parameters", "enforce_parameter_schema", "pull_steps", "job_variables")


async def upsert(
    db: Transaction, body: DeploymentCreate, *, refuses_unknown: bool = False
) -> tuple[Row[Any], bool]:
    """Create a deployment, or change the flow's deployment of that name; and whether it is new.

    Its schedules become the given ones, and their next runs are made. Raises `NotFound` without
    the pool, `Invalid` for values that no run could use; with `refuses_unknown` also for job
    variables that its template does not declare.
    """
    await check_schedules(db, body.schedules)
    rules.check_parameter_schema(body.parameter_openapi_schema)
    # Only callers that ask for it: Prefect 3.8.4 looks at what was sent.
    if "enforce_parameter_schema" in body.model_fields_set and body.enforce_parameter_schema:
        await _check_parameters(db, body.parameters, body.parameter_openapi_schema)
    queue = await _find_queue(db, body, AGENT_POOL)
    existing = await queries.find_in_flow(db, body.flow_id, body.name)
    template = await _template(db, body, existing)
    if refuses_unknown:
        check_known(template, body.job_variables)
    if problem := rules.job_variable_problem(template, body.job_variables):
        raise Invalid(f"{rules.CREATING}: Validation failed. Failure reason: {problem}")
    if existing is None:
        existing = await _create(db, body, queue)
    is_new = existing is None
    if existing is not None:
        await queries.lock(db, existing.id)
        await queries.change(db, existing.id, _changes(body, existing, queue))
    row = await queries.find_in_flow(db, body.flow_id, body.name)
    assert row is not None  # in this transaction it was created or locked
    if limits.FIELDS & body.model_fields_set:
        await _settle_limit(db, row.id, body)
    await schedules.replace(db, row.id, body.schedules)
    if not is_new:
        await scheduled_runs.delete(db, row.id, from_now=not row.paused)
    await scheduled_runs.create(db, [row.id])
    return await queries.read(db, row.id), is_new


async def update(
    db: Transaction, id: UUID, body: DeploymentUpdate, *, refuses_unknown: bool = False
) -> None:
    """Change the fields that are set on `body` and make the coming runs anew.

    Raises `NotFound`; `Conflict` for job variables that the pool's template does not allow, as
    Prefect 3.8.4 does when the pool is named; here they are always looked at. With
    `refuses_unknown`, `Invalid` for those that it does not declare.
    """
    await queries.lock(db, id)
    existing = await queries.read(db, id)
    await check_schedules(db, body.schedules)
    schema = existing.parameter_openapi_schema
    if "parameter_openapi_schema" in body.model_fields_set:
        schema = body.parameter_openapi_schema
        rules.check_parameter_schema(schema)
    if body.enforce_parameter_schema and body.parameters is not None:
        await _check_parameters(db, body.parameters, schema)
    queue = await _find_queue(db, body, existing.work_pool_name or AGENT_POOL)
    template = await _template(db, body, existing)
    if refuses_unknown:
        check_known(template, body.job_variables)
    if problem := rules.job_variable_problem(template, body.job_variables or {}):
        raise Conflict(f"{rules.CREATING}: Validation failed. Failure reason: {problem}")
    await queries.change(db, id, _changes(body, existing, queue))
    if limits.FIELDS & body.model_fields_set:
        await _settle_limit(db, id, body)
    if "schedules" in body.model_fields_set:
        await schedules.merge(db, id, body.schedules)
    await scheduled_runs.delete(db, id, from_now=not body.paused)
    await scheduled_runs.create(db, [id])


async def _check_parameters(
    db: Transaction, parameters: dict[str, Any], schema: dict[str, Any] | None
) -> None:
    """Raise `BadRequest` or `Invalid` for default parameters that no run could use."""
    try:
        meant = await hydrate(db, parameters)
    except BadReference as error:
        raise BadRequest(f"Error hydrating deployment parameters: {error}") from None
    rules.check_default_parameters(meant, schema)


async def _settle_limit(
    db: Transaction, id: UUID, body: DeploymentCreate | DeploymentUpdate
) -> None:
    limit_id = await limits.settle(db, id, body)
    await queries.change(db, id, {"global_concurrency_limit_id": limit_id})


async def set_paused(db: Transaction, id: UUID, paused: bool) -> None:
    """Pause or resume a deployment's schedules: their runs go or come. Raises `NotFound`."""
    await queries.change(db, id, {"paused": paused})
    if paused:
        await scheduled_runs.delete(db, id)
    else:
        await scheduled_runs.create(db, [id])


async def delete(db: Transaction, id: UUID) -> None:
    """Delete a deployment and the runs that its schedules made; others stay."""
    await scheduled_runs.delete(db, id)
    await queries.delete(db, id)
    await limits.delete_own(db, id)


async def check_schedules(
    db: Transaction, given: Sequence[AnySchedule], *location: str | int
) -> None:
    """Raise `Invalid`, naming the field, when one of the schedules cannot be followed."""
    now = await db.now()
    for index, item in enumerate(given):
        if item.schedule is not None:
            path = [*(location or ("schedules",)), index, "schedule"]
            rules.check_schedule(item.schedule, now, path)


async def _find_queue(
    db: Transaction, body: DeploymentCreate | DeploymentUpdate, pool_name: str
) -> Row[Any] | None:
    """The queue that the body names, made if need be; None when it names none."""
    if body.work_pool_name is not None:
        return await queues.find_or_create(db, body.work_pool_name, body.work_queue_name)
    if body.work_queue_name is None:
        return None
    if pool_name == AGENT_POOL:
        await queues.ensure_agent_pool(db)
    return await queues.find_or_create(db, pool_name, body.work_queue_name)


async def _template(
    db: Transaction, body: DeploymentCreate | DeploymentUpdate, existing: Row[Any] | None
) -> Template:
    """The base job template that the body's job variables are for."""
    if not body.job_variables:
        return {}
    if body.work_pool_name is not None:
        return (await pools.read(db, body.work_pool_name)).base_job_template or {}
    return existing.base_job_template or {} if existing is not None else {}


async def _create(
    db: Transaction, body: DeploymentCreate, queue: Row[Any] | None
) -> Row[Any] | None:
    """Store a new deployment; what is there instead when somebody else just made it."""
    at = await db.now()
    values = body.model_dump(mode="python", exclude=NOT_COLUMNS)
    row = DeploymentRow(
        **{**values, "pull_steps": body.pull_steps or []},
        labels={**(body.labels or {}), "prefect.flow.id": str(body.flow_id)},
        work_queue_id=queue.id if queue is not None else None,
        created=at,
        updated=at,
    )
    if await queries.create_once(db, row):
        return None
    return await queries.find_in_flow(db, body.flow_id, body.name)


def _changes(
    body: DeploymentCreate | DeploymentUpdate, existing: Row[Any], queue: Row[Any] | None
) -> dict[str, Any]:
    """The columns that `body` sets on a deployment."""
    values = body.model_dump(exclude_unset=True, exclude=NOT_COLUMNS)
    for name in KEPT_ON_NULL:
        if values.get(name, ...) is None:
            del values[name]
    if not values.get("job_variables", True):
        del values["job_variables"]
    if isinstance(body, DeploymentCreate) and body.labels:
        values["labels"] = {**existing.labels, **body.labels}
    if queue is not None:
        values["work_queue_id"] = queue.id
    elif "work_pool_name" in body.model_fields_set and body.work_pool_name is None:
        values["work_queue_id"] = None
    return values
