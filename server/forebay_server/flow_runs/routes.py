"""HTTP of flow runs: parse, call, return."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Body, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, TypeAdapter

from forebay.wire.base import Name, Page, Timestamp
from forebay.wire.flow_runs import (
    FlowRun,
    FlowRunCreate,
    FlowRunUpdate,
    Labels,
    ScheduledFlowRun,
)
from forebay.wire.states import (
    AbortDetails,
    State,
    StateCreate,
    StateType,
    Verdict,
    VerdictStatus,
)
from forebay_server.db.criteria import MAX_VALUES
from forebay_server.errors import NotFound
from forebay_server.flow_runs import placing, polling, queries, transitions
from forebay_server.flow_runs.callers import CLAIM_HEADER, caller, claim_value, worker_name
from forebay_server.flow_runs.filters import FlowRunSort, RunCriteria
from forebay_server.flow_runs.rules import RESUMING
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import (
    PathName,
    Read,
    Route,
    Write,
    page_limit,
    page_number,
    page_of,
    page_offset,
)

router = APIRouter(tags=["Flow runs"], route_class=Route)

QueueNames = Annotated[list[Name], Field(max_length=MAX_VALUES)]
_SCHEDULED = TypeAdapter(list[ScheduledFlowRun])


class Proposal(BaseModel):
    """A proposed state; `force` skips most rules, and limits only for an admin."""

    state: StateCreate
    force: bool | None = None


class PollQuery(BaseModel):
    """Which runs a worker asks for; times are included."""

    work_queue_names: QueueNames | None = None
    scheduled_before: Timestamp | None = None
    scheduled_after: Timestamp | None = None
    limit: int | None = None


class RunQuery(RunCriteria):
    """Which runs, in which order."""

    sort: FlowRunSort | None = None
    limit: int | None = None
    offset: int | None = None


class RunPageQuery(RunCriteria):
    """Which page of which runs."""

    sort: FlowRunSort | None = None
    limit: int | None = None
    page: int | None = None


@router.post("/flow_runs/", status_code=201, dependencies=[CREATES])
async def create_flow_run(body: FlowRunCreate, response: Response, db: Write) -> FlowRun:
    """Create a run; without a state it is PENDING. 200 with the known run for a known key."""
    run, is_new = await placing.create(db, body)
    if not is_new:
        response.status_code = 200
    return run


@router.get("/flow_runs/{id:uuid}")
async def read_flow_run(id: UUID, db: Read) -> FlowRun:
    """Read a run with its state."""
    return await queries.read(db, id)


@router.patch("/flow_runs/{id:uuid}", status_code=204)
async def update_flow_run(id: UUID, body: FlowRunUpdate, db: Write) -> None:
    """Change the fields that are present; job variables only while the run is scheduled."""
    await queries.update(db, id, body)


@router.delete("/flow_runs/{id:uuid}", status_code=204)
async def delete_flow_run(id: UUID, db: Write) -> None:
    """Delete a run with its logs; the slots that it holds are free again."""
    await queries.delete(db, id)


@router.patch("/flow_runs/{id:uuid}/labels", status_code=204)
async def update_flow_run_labels(
    id: UUID, labels: Annotated[Labels, Body()], request: Request, db: Write
) -> Response:
    """Add labels to a run's; equal keys are replaced."""
    try:
        await queries.add_labels(db, id, labels)
    except NotFound:
        return run_not_found(request, id)
    return Response(status_code=204)


@router.post("/flow_runs/filter")
async def filter_flow_runs(db: Read, body: RunQuery | None = None) -> list[FlowRun]:
    """Runs that fulfil all filters, the newest first unless sorted; at most 200 a page."""
    query = body or RunQuery()
    sort = query.sort or FlowRunSort.ID_DESC
    return await queries.filter(
        db, query, sort, page_limit(query.limit), page_offset(query.offset)
    )


@router.post("/flow_runs/count")
async def count_flow_runs(db: Read, body: RunCriteria | None = None) -> int:
    """How many runs fulfil all filters."""
    return await queries.count(db, body or RunCriteria())


@router.post("/flow_runs/paginate")
async def paginate_flow_runs(db: Read, body: RunPageQuery | None = None) -> Page[FlowRun]:
    """One page of the runs that fulfil all filters, and how many there are."""
    query = body or RunPageQuery()
    limit = page_limit(query.limit)
    page, offset = page_number(query.page, limit)
    sort = query.sort or FlowRunSort.ID_DESC
    runs = await queries.filter(db, query, sort, limit, offset)
    return page_of(runs, await queries.count(db, query), limit, page)


@router.get("/flow_run_states/")
async def read_flow_run_states(flow_run_id: UUID, db: Read) -> list[State]:
    """The states that a run went through, the oldest first."""
    return await queries.history(db, flow_run_id)


@router.get("/flow_run_states/{id:uuid}")
async def read_flow_run_state(id: UUID, db: Read) -> State:
    """One state of a run's history."""
    return await queries.read_state(db, id)


@router.post("/flow_runs/{id:uuid}/set_state", response_model=Verdict, status_code=201)
async def propose_state(id: UUID, body: Proposal, request: Request, db: Write) -> Response:
    """Propose a state for a run; a refusal is an answer, too.

    201 when the run has a new state, else 200. When the proposal is accepted, `X-Forebay-Claim`
    names the claim that the run has now.
    """
    who = caller(request, id)
    try:
        outcome = await transitions.propose(
            db,
            id,
            body.state,
            who.proposer,
            worker_name=who.worker_name,
            is_forced=bool(body.force),
        )
    except NotFound:
        return run_not_found(request, id)
    headers = {}
    if outcome.epoch is not None:
        headers[CLAIM_HEADER] = claim_value(id, outcome.epoch)
    return Response(
        outcome.verdict.model_dump_json(),
        status_code=201 if outcome.is_written else 200,
        media_type="application/json",
        headers=headers,
    )


@router.post("/flow_runs/{id:uuid}/resume")
async def resume_flow_run(id: UUID, request: Request, db: Write) -> Verdict:
    """Let a paused run go on: it runs again, or is scheduled when its process has ended."""
    run = await queries.read(db, id)
    if run.state is None or run.state.type is not StateType.PAUSED:
        details = AbortDetails(reason="Cannot resume a flow run that is not paused.")
        return Verdict(state=None, status=VerdictStatus.ABORT, details=details)
    resumed = StateCreate(type=StateType.RUNNING)
    if run.state.state_details.pause_reschedule:
        resumed = StateCreate(type=StateType.SCHEDULED, name=RESUMING)
    outcome = await transitions.propose(db, id, resumed, caller(request, id).proposer)
    return outcome.verdict


def run_not_found(request: Request, id: UUID) -> Response:
    """The answer about a run that is missing, in the shape that these routes have it."""
    body = {
        "exception_message": f"Flow run with id {id} not found",
        "code": "not_found",
        "request_id": request.scope.get("request_id", ""),
    }
    return JSONResponse(body, 404)


@router.post("/work_pools/{name}/get_scheduled_flow_runs", response_model=list[ScheduledFlowRun])
async def poll_due_runs(
    name: PathName,
    request: Request,
    background: BackgroundTasks,
    db: Read,
    body: PollQuery | None = None,
) -> Response:
    """Runs of a pool that may be claimed, by queue priority and time. Nothing is claimed.

    Only the poll of a worker, which names itself in a header, counts as a sign that its queues
    are served: looking changes nothing.
    """
    query = body or PollQuery()
    poll = polling.Poll(
        pool_name=name,
        queue_names=query.work_queue_names or [],
        before=query.scheduled_before,
        after=query.scheduled_after,
        limit=page_limit(query.limit),
    )
    offer = await polling.due_runs(db, poll)
    if offer.unmarked_queue_ids and worker_name(request) is not None:
        database = request.app.state.database
        background.add_task(polling.mark_polled, database, offer.unmarked_queue_ids)
    answer = [
        ScheduledFlowRun(
            work_pool_id=offer.pool_id,
            work_queue_id=run.work_queue_id,
            flow_run=queries.to_wire(run, work_queue_name=run.queue_name, with_state=False),
        )
        for run in offer.runs
    ]
    return Response(_SCHEDULED.dump_json(answer), media_type="application/json")
