"""HTTP of flow runs: parse, call, return."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field

from forebay.wire.base import Deleted, Lenient, Page
from forebay.wire.flow_runs import (
    FlowRun,
    FlowRunCreate,
    FlowRunUpdate,
    FlowRunVerdict,
    FlowRunVerdicts,
    Labels,
)
from forebay.wire.states import (
    State,
    StateCreate,
    StateType,
    Verdict,
)
from forebay_server.access.authentication import Authenticator
from forebay_server.db.engine import Transaction
from forebay_server.errors import NotFound
from forebay_server.flow_runs import placing, queries, transitions
from forebay_server.flow_runs.callers import (
    CALLER_PARAMETERS,
    CLAIM_HEADER,
    RUN_TOKEN_HEADER,
    caller,
    claim_value,
)
from forebay_server.flow_runs.filters import FlowRunFilter, FlowRunSort, RunCriteria
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import (
    Read,
    Write,
    api_router,
    page_limit,
    page_number,
    page_of,
    page_offset,
)
from forebay_server.strictness import RefusesReused, RefusesUnknown

router = api_router("Flow runs")

MAX_BULK = 50  # runs changed by one request

BulkLimit = Annotated[int, Field(ge=1, le=MAX_BULK)]


class Proposal(Lenient):
    """A proposed state; `force` skips most rules, and limits only for an admin."""

    state: StateCreate
    force: bool | None = None


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


class BulkQuery(Lenient):
    """Which runs to change at once: all unless filtered, the newest first."""

    flow_runs: FlowRunFilter | None = None
    limit: BulkLimit | None = None


class BulkProposal(BulkQuery):
    """A state proposed for several runs."""

    state: StateCreate
    force: bool | None = None


@router.post(
    "/flow_runs/", status_code=201, dependencies=[CREATES], responses={200: {"model": FlowRun}}
)
async def create_flow_run(
    body: FlowRunCreate,
    response: Response,
    db: Write,
    refuses_unknown: RefusesUnknown,
    refuses_reused: RefusesReused,
) -> FlowRun:
    """Create a run; without a state it is PENDING. 200 with the known run for a known key."""
    run, is_new = await placing.create(
        db, body, refuses_unknown=refuses_unknown, refuses_reused=refuses_reused
    )
    if not is_new:
        response.status_code = 200
    return run


@router.get("/flow_runs/{id:uuid}")
async def read_flow_run(id: UUID, db: Read) -> FlowRun:
    """Read a run with its state."""
    return await queries.read(db, id)


@router.patch("/flow_runs/{id:uuid}", status_code=204)
async def update_flow_run(
    id: UUID, body: FlowRunUpdate, request: Request, db: Write, refuses_unknown: RefusesUnknown
) -> None:
    """Change the fields that are present; job variables only while the run is scheduled."""
    epoch = caller(request, id).proposer.epoch
    if epoch is not None:
        await queries.require_claim(db, id, epoch)
    await queries.update(db, id, body, refuses_unknown=refuses_unknown)


@router.delete("/flow_runs/{id:uuid}", status_code=204)
async def delete_flow_run(id: UUID, db: Write) -> None:
    """Delete a run with its logs and artifacts; the slots that it holds are free again."""
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


@router.post(
    "/flow_runs/{id:uuid}/set_state",
    response_model=Verdict,
    status_code=201,
    responses={200: {"model": Verdict}},
    openapi_extra=CALLER_PARAMETERS,
)
async def propose_state(id: UUID, body: Proposal, request: Request, db: Write) -> Response:
    """Propose a state for a run; a refusal is an answer, too.

    201 when the run has a new state, else 200. When the proposal is accepted, `X-Forebay-Claim`
    names the claim that the run has now; a worker that has claimed it is given
    `X-Forebay-Run-Token` for the run's process.
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
        if who.worker_name is not None and body.state.type is StateType.PENDING:
            authenticator: Authenticator = request.app.state.authenticator
            token = authenticator.run_token(id, outcome.epoch)
            headers |= {RUN_TOKEN_HEADER: token} if token else {}
    return Response(
        outcome.verdict.model_dump_json(),
        status_code=201 if outcome.is_written else 200,
        media_type="application/json",
        headers=headers,
    )


@router.post("/flow_runs/bulk_set_state")
async def propose_states(body: BulkProposal, request: Request, db: Write) -> FlowRunVerdicts:
    """Propose a state for each of several runs; every one has a verdict of its own."""
    verdicts = []
    for id in await _chosen(db, body):
        who = caller(request, id)
        outcome = await transitions.propose(
            db, id, body.state, who.proposer, is_forced=bool(body.force)
        )
        verdicts.append(FlowRunVerdict(flow_run_id=id, **dict(outcome.verdict)))
    return FlowRunVerdicts(results=verdicts)


@router.post("/flow_runs/bulk_delete")
async def delete_flow_runs(db: Write, body: BulkQuery | None = None) -> Deleted:
    """Delete several runs with their logs and artifacts; tells which."""
    chosen = await _chosen(db, body or BulkQuery())
    for id in chosen:
        await queries.delete(db, id)
    return Deleted(deleted=chosen)


async def _chosen(db: Transaction, query: BulkQuery) -> list[UUID]:
    """Ids of runs in the order in which every request locks them."""
    criteria = RunCriteria(flow_runs=query.flow_runs)
    limit = MAX_BULK if query.limit is None else query.limit
    runs = await queries.filter(db, criteria, FlowRunSort.ID_DESC, limit, 0)
    return sorted(run.id for run in runs)


def run_not_found(request: Request, id: UUID) -> Response:
    """The answer about a run that is missing, in the shape that these routes have it."""
    body = {
        "exception_message": f"Flow run with id {id} not found",
        "code": "not_found",
        "request_id": request.scope.get("request_id", ""),
    }
    return JSONResponse(body, 404)
