"""HTTP of the runs of deployments: parse, call, return."""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import Body, Response
from pydantic import Field

from forebay.wire.base import Lenient, Timestamp
from forebay.wire.flow_runs import (
    DeploymentFlowRunCreate,
    FlowRun,
    NewRunResult,
    NewRunResults,
    NewRunStatus,
)
from forebay_server.deployments import new_runs, polls, queries, scheduled_runs
from forebay_server.deployments.recurrence import FIRST_YEAR, LAST_YEAR
from forebay_server.deployments.scheduled_runs import HORIZON, Horizon
from forebay_server.errors import Invalid, ServerError
from forebay_server.flow_runs import queries as runs
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import Write, api_router, page_limit
from forebay_server.strictness import RefusesReused, RefusesUnknown

router = api_router("Deployments", "/deployments")

MAX_NEW_RUNS = 200  # in one request
MAX_DEPLOYMENTS = 1000  # in one poll


class ScheduleRequest(Lenient):
    """How far ahead runs are to be made; null and absent mean as the scheduler does."""

    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    min_time: Annotated[timedelta, Field(ge=timedelta(0), le=HORIZON.max_time)] | None = None
    min_runs: Annotated[int, Field(ge=0, le=HORIZON.max_runs)] | None = None
    max_runs: Annotated[int, Field(ge=0, le=HORIZON.max_runs)] | None = None


class DueQuery(Lenient):
    """Whose scheduled runs, up to when."""

    deployment_ids: Annotated[list[UUID], Field(max_length=MAX_DEPLOYMENTS)]
    scheduled_before: Timestamp | None = None
    limit: int | None = None


@router.post(
    "/{id:uuid}/create_flow_run",
    status_code=201,
    dependencies=[CREATES],
    responses={200: {"model": FlowRun}},
)
async def create_flow_run(
    id: UUID,
    body: DeploymentFlowRunCreate,
    response: Response,
    db: Write,
    refuses_unknown: RefusesUnknown,
    refuses_reused: RefusesReused,
) -> FlowRun:
    """Create a run of a deployment; a known idempotency key answers the old one (200)."""
    deployment = await queries.read(db, id)
    run, is_new = await new_runs.create(
        db, deployment, body, refuses_unknown=refuses_unknown, refuses_reused=refuses_reused
    )
    response.status_code = 201 if is_new else 200
    return run


@router.post("/{id:uuid}/create_flow_run/bulk", dependencies=[CREATES])
async def create_flow_runs(
    id: UUID,
    body: Annotated[list[DeploymentFlowRunCreate], Body(max_length=MAX_NEW_RUNS)],
    db: Write,
    refuses_unknown: RefusesUnknown,
    refuses_reused: RefusesReused,
) -> NewRunResults:
    """Create several runs of a deployment; one that is refused leaves the others alone."""
    deployment = await queries.read(db, id)
    results = []
    for each in body:
        try:
            run, _ = await new_runs.create(
                db,
                deployment,
                each,
                refuses_unknown=refuses_unknown,
                refuses_reused=refuses_reused,
            )
        except ServerError as error:
            results.append(NewRunResult(status=NewRunStatus.FAILED, error=str(error)))
        else:
            results.append(NewRunResult(status=NewRunStatus.CREATED, flow_run_id=run.id))
    return NewRunResults(results=results)


@router.post("/{id:uuid}/schedule")
async def schedule_deployment(id: UUID, db: Write, body: ScheduleRequest | None = None) -> None:
    """Make the coming runs of a deployment's schedules now, as far as asked for."""
    asked = body or ScheduleRequest()
    await queries.read(db, id)
    start = asked.start_time or await db.now()
    if not FIRST_YEAR <= start.year < LAST_YEAR:
        raise Invalid(f"start_time must lie between the years {FIRST_YEAR} and {LAST_YEAR}.")
    max_time = HORIZON.max_time
    if asked.end_time is not None:
        max_time = min(max_time, max(timedelta(0), asked.end_time - start))
    horizon = Horizon(
        min_runs=HORIZON.min_runs if asked.min_runs is None else asked.min_runs,
        min_time=HORIZON.min_time if asked.min_time is None else asked.min_time,
        max_runs=HORIZON.max_runs if asked.max_runs is None else asked.max_runs,
        max_time=max_time,
    )
    await scheduled_runs.create(db, [id], start=start, horizon=horizon)


@router.post("/get_scheduled_flow_runs")
async def read_due_runs(db: Write, body: DueQuery) -> list[FlowRun]:
    """List the scheduled runs of deployments, the earliest first, and mark them as served."""
    limit = page_limit(body.limit)
    rows = await scheduled_runs.read_due(db, body.deployment_ids, body.scheduled_before, limit)
    await polls.mark_polled(db, body.deployment_ids)
    return [runs.placed_to_wire(row) for row in rows]
