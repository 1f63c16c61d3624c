"""HTTP of polls: which runs may be claimed. Nothing is claimed here."""

from typing import Annotated
from uuid import UUID

from fastapi import BackgroundTasks, Request, Response
from pydantic import Field, TypeAdapter

from forebay.wire.base import Lenient, Name, Timestamp
from forebay.wire.flow_runs import FlowRun, ScheduledFlowRun
from forebay_server.db.criteria import MAX_VALUES
from forebay_server.flow_runs import polling, queries
from forebay_server.flow_runs.callers import WORKER_PARAMETERS, worker_name
from forebay_server.flow_runs.polling import Offer, Poll
from forebay_server.protocol import PathName, Read, api_router, page_limit
from forebay_server.work_queues import queries as queues

router = api_router("Flow runs")

QueueNames = Annotated[list[Name], Field(max_length=MAX_VALUES)]
_SCHEDULED = TypeAdapter(list[ScheduledFlowRun])


class QueuePollQuery(Lenient):
    """Which runs of a queue are asked for; the time is included."""

    scheduled_before: Timestamp | None = None
    limit: int | None = None


class PollQuery(QueuePollQuery):
    """Which runs a worker asks for; times are included."""

    work_queue_names: QueueNames | None = None
    scheduled_after: Timestamp | None = None


@router.post(
    "/work_pools/{name}/get_scheduled_flow_runs",
    response_model=list[ScheduledFlowRun],
    openapi_extra=WORKER_PARAMETERS,
)
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
    poll = Poll(
        pool_name=name,
        queue_names=query.work_queue_names or [],
        before=query.scheduled_before,
        after=query.scheduled_after,
        limit=page_limit(query.limit),
        caller=worker_name(request),
    )
    offer = await polling.due_runs(db, poll, request.app.state.recent_offers)
    _mark(request, background, offer)
    answer = [
        ScheduledFlowRun(
            work_pool_id=offer.pool_id,
            work_queue_id=run.work_queue_id,
            flow_run=queries.to_wire(run, work_queue_name=run.queue_name, with_state=False),
        )
        for run in offer.runs
    ]
    return Response(_SCHEDULED.dump_json(answer), media_type="application/json")


@router.post("/work_queues/{id:uuid}/get_runs", openapi_extra=WORKER_PARAMETERS)
async def poll_due_runs_of_queue(
    id: UUID,
    request: Request,
    background: BackgroundTasks,
    db: Read,
    body: QueuePollQuery | None = None,
) -> list[FlowRun]:
    """Runs of a queue that may be claimed, the earliest first; as a poll of its pool tells."""
    query = body or QueuePollQuery()
    queue = await queues.read_by_id(db, id)
    poll = Poll(
        pool_name=queue.work_pool_name,
        queue_names=[queue.name],
        before=query.scheduled_before,
        after=None,
        limit=page_limit(query.limit),
        caller=worker_name(request),
    )
    offer = await polling.due_runs(db, poll, request.app.state.recent_offers)
    _mark(request, background, offer)
    return [
        queries.to_wire(
            run,
            work_pool_id=offer.pool_id,
            work_pool_name=queue.work_pool_name,
            work_queue_name=run.queue_name,
        )
        for run in offer.runs
    ]


def _mark(request: Request, background: BackgroundTasks, offer: Offer) -> None:
    if offer.unmarked_queue_ids and worker_name(request) is not None:
        database = request.app.state.database
        background.add_task(polling.mark_polled, database, offer.unmarked_queue_ids)
