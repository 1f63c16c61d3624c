"""HTTP of flows: parse, call, return."""

from uuid import UUID

from fastapi import Response
from sqlalchemy import and_, exists, true

from forebay.wire.base import Lenient, Page
from forebay.wire.flows import Flow, FlowCreate, FlowUpdate
from forebay_server.db.criteria import Condition
from forebay_server.deployments.filters import DeploymentFilter
from forebay_server.deployments.tables import deployments
from forebay_server.flow_runs.filters import FlowRunFilter, RunCriteria
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flows import queries
from forebay_server.flows.filters import FlowFilter, FlowSort
from forebay_server.flows.tables import flows
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import (
    PathName,
    Read,
    Write,
    api_router,
    page_limit,
    page_number,
    page_of,
    page_offset,
)
from forebay_server.task_runs.filters import TaskRunFilter
from forebay_server.work_pools.filters import WorkPoolFilter
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues

router = api_router("Flows", "/flows")


class FlowCriteria(Lenient):
    """Which flows, by their own fields and those of their runs and deployments."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None

    def condition(self) -> Condition:
        """What a row of flows must fulfil."""
        conditions: list[Condition] = [true()]
        if self.flows is not None:
            conditions.append(self.flows.condition())
        of_runs = RunCriteria(flow_runs=self.flow_runs, task_runs=self.task_runs)
        if found := list(of_runs.conditions()):
            is_own = flow_runs.c.flow_id == flows.c.id
            conditions.append(_any(is_own, and_(*found)))
        if self.deployments is not None:
            is_own = deployments.c.flow_id == flows.c.id
            conditions.append(_any(is_own, self.deployments.condition()))
        if self.work_pools is not None:
            is_own = deployments.c.flow_id == flows.c.id
            is_placed = (
                work_queues.c.id == deployments.c.work_queue_id,
                work_pools.c.id == work_queues.c.work_pool_id,
            )
            conditions.append(_any(is_own, *is_placed, self.work_pools.condition()))
        return and_(*conditions)


def _any(*conditions: Condition) -> Condition:
    return exists().where(*conditions).correlate(flows)


class FlowQuery(FlowCriteria):
    """Which flows, in which order."""

    sort: FlowSort | None = None
    limit: int | None = None
    offset: int | None = None


class FlowPageQuery(FlowCriteria):
    """Which page of which flows; `page` counts from 1."""

    sort: FlowSort | None = None
    limit: int | None = None
    page: int | None = None


@router.post("/", status_code=201, dependencies=[CREATES], responses={200: {"model": Flow}})
async def create_flow(body: FlowCreate, response: Response, db: Write) -> Flow:
    """Create a flow; one of that name that exists is answered with 200, unchanged."""
    row, is_new = await queries.create_once(db, body)
    response.status_code = 201 if is_new else 200
    return Flow.model_validate(row)


@router.get("/{id:uuid}")
async def read_flow(id: UUID, db: Read) -> Flow:
    """Read a flow by id."""
    return Flow.model_validate(await queries.read(db, id))


@router.get("/name/{name}")
async def read_flow_by_name(name: PathName, db: Read) -> Flow:
    """Read a flow by name."""
    return Flow.model_validate(await queries.read_by_name(db, name))


@router.post("/filter")
async def filter_flows(db: Read, body: FlowQuery | None = None) -> list[Flow]:
    """Flows that fulfil all criteria, at most 200 a page."""
    query = body or FlowQuery()
    rows = await queries.filter(
        db,
        query.condition(),
        query.sort or FlowSort.NAME_ASC,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return [Flow.model_validate(row) for row in rows]


@router.post("/count")
async def count_flows(db: Read, body: FlowCriteria | None = None) -> int:
    """How many flows fulfil all criteria."""
    return await queries.count(db, (body or FlowCriteria()).condition())


@router.post("/paginate")
async def paginate_flows(db: Read, body: FlowPageQuery | None = None) -> Page[Flow]:
    """One page of the flows that fulfil all criteria."""
    query = body or FlowPageQuery()
    condition, limit = query.condition(), page_limit(query.limit)
    page, offset = page_number(query.page, limit)
    rows = await queries.filter(db, condition, query.sort or FlowSort.NAME_ASC, limit, offset)
    found = [Flow.model_validate(row) for row in rows]
    return page_of(found, await queries.count(db, condition), limit, page)


@router.patch("/{id:uuid}", status_code=204)
async def update_flow(id: UUID, body: FlowUpdate, db: Write) -> None:
    """Change a flow's tags."""
    await queries.update(db, id, body)


@router.delete("/{id:uuid}", status_code=204)
async def delete_flow(id: UUID, db: Write) -> None:
    """Delete a flow with its deployments and runs."""
    await queries.delete(db, id)
