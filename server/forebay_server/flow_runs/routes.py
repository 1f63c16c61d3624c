"""HTTP of flow runs: parse, call, return."""

from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, TypeAdapter

from forebay.wire.base import Name, Timestamp
from forebay.wire.flow_runs import ScheduledFlowRun
from forebay.wire.states import StateCreate, Verdict
from forebay_server.errors import NotFound
from forebay_server.flow_runs import polling, queries, transitions
from forebay_server.flow_runs.callers import CLAIM_HEADER, caller, claim_value, worker_name
from forebay_server.protocol import PathName, Read, Route, Write, page_limit

router = APIRouter(tags=["Flow runs"], route_class=Route)

_SCHEDULED = TypeAdapter(list[ScheduledFlowRun])


class Proposal(BaseModel):
    """A proposed state; `force` skips most rules, and limits only for an admin."""

    state: StateCreate
    force: bool | None = None


class PollQuery(BaseModel):
    """Which runs a worker asks for; times are included."""

    work_queue_names: list[Name] | None = None
    scheduled_before: Timestamp | None = None
    scheduled_after: Timestamp | None = None
    limit: int | None = None


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
        return run_not_found(id)
    headers = {}
    if outcome.epoch is not None:
        headers[CLAIM_HEADER] = claim_value(id, outcome.epoch)
    return Response(
        outcome.verdict.model_dump_json(),
        status_code=201 if outcome.is_written else 200,
        media_type="application/json",
        headers=headers,
    )


def run_not_found(id: UUID) -> Response:
    """The answer about a run that is missing, in the shape that these routes have it."""
    body = {"exception_message": f"Flow run with id {id} not found", "code": "not_found"}
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
    return Response(
        _SCHEDULED.dump_json(answer), media_type="application/json"
    )
