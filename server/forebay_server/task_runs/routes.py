"""HTTP of task runs: parse, call, return."""

from uuid import UUID

from fastapi import Response

from forebay.wire.base import Lenient, Page
from forebay.wire.history import HistoryInterval
from forebay.wire.states import StateCreate, Verdict
from forebay.wire.task_runs import TaskRun, TaskRunCreate, TaskRunUpdate
from forebay_server.flow_runs import statistics
from forebay_server.flow_runs.statistics_routes import HistoryRange
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
from forebay_server.task_runs import queries
from forebay_server.task_runs.criteria import TaskRunCriteria
from forebay_server.task_runs.filters import TaskRunSort
from forebay_server.task_runs.shown import shown, source
from forebay_server.task_runs.tables import task_runs

router = api_router("Task runs", "/task_runs")


class TaskProposal(Lenient):
    """A proposed state; `force` skips the rules."""

    state: StateCreate
    force: bool | None = None


class TaskRunQuery(TaskRunCriteria):
    """Which task runs, in which order."""

    sort: TaskRunSort | None = None
    limit: int | None = None
    offset: int | None = None


class TaskRunPageQuery(TaskRunCriteria):
    """Which page of which task runs."""

    sort: TaskRunSort | None = None
    limit: int | None = None
    page: int | None = None


class TaskHistoryQuery(TaskRunCriteria, HistoryRange):
    """Which task runs' history."""


@router.post("/", status_code=201, dependencies=[CREATES], responses={200: {"model": TaskRun}})
async def create_task_run(body: TaskRunCreate, response: Response, db: Write) -> TaskRun:
    """Create a task run; a call that its run has already is answered as it is (200)."""
    task_run, is_new = await queries.create(db, body)
    response.status_code = 201 if is_new else 200
    return task_run


@router.post("/filter")
async def filter_task_runs(db: Read, body: TaskRunQuery | None = None) -> list[TaskRun]:
    """Task runs that fulfil all filters, the newest first unless sorted; at most 200 a page."""
    query = body or TaskRunQuery()
    sort = query.sort or TaskRunSort.ID_DESC
    return await queries.filter(
        db, query, sort, page_limit(query.limit), page_offset(query.offset)
    )


@router.post("/count")
async def count_task_runs(db: Read, body: TaskRunCriteria | None = None) -> int:
    """How many task runs fulfil all filters."""
    return await queries.count(db, body or TaskRunCriteria())


@router.post("/paginate")
async def paginate_task_runs(db: Read, body: TaskRunPageQuery | None = None) -> Page[TaskRun]:
    """One page of the task runs that fulfil all filters, and how many there are."""
    query = body or TaskRunPageQuery()
    limit = page_limit(query.limit)
    page, offset = page_number(query.page, limit)
    sort = query.sort or TaskRunSort.ID_DESC
    found = await queries.filter(db, query, sort, limit, offset)
    return page_of(found, await queries.count(db, query), limit, page)


@router.post("/history")
async def read_task_run_history(body: TaskHistoryQuery, db: Read) -> list[HistoryInterval]:
    """Count task runs by state over time: each in the interval in which it was expected to start."""
    columns = {column.name: shown(column.name) for column in task_runs.c}
    return await statistics.history(db, body.range(), source, columns, body.conditions())


@router.get("/{id:uuid}")
async def read_task_run(id: UUID, db: Read) -> TaskRun:
    """Read a task run with its state; one that stands for a subflow has the subflow's."""
    return await queries.read(db, id)


@router.patch("/{id:uuid}", status_code=204)
async def update_task_run(id: UUID, body: TaskRunUpdate, db: Write) -> None:
    """Give a task run another name."""
    if body.name:
        await queries.rename(db, id, body.name)
    else:
        await queries.read(db, id)


@router.delete("/{id:uuid}", status_code=204)
async def delete_task_run(id: UUID, db: Write) -> None:
    """Delete a task run with its logs."""
    await queries.delete(db, id)


@router.post("/{id:uuid}/set_state", status_code=201, responses={200: {"model": Verdict}})
async def propose_task_state(
    id: UUID, body: TaskProposal, response: Response, db: Write
) -> Verdict:
    """Propose a state for a task run; a refusal is an answer, too.

    201 when it has a new state, else 200.
    """
    outcome = await queries.propose(db, id, body.state, is_forced=bool(body.force))
    response.status_code = 201 if outcome.is_written else 200
    return outcome.verdict
