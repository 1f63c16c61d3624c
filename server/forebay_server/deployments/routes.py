"""HTTP of deployments: parse, call, return."""

from uuid import UUID

from fastapi import Depends, Request, Response
from sqlalchemy import and_, exists, true

from forebay.wire.base import Lenient, Page
from forebay.wire.deployments import Deployment, DeploymentCreate, DeploymentUpdate
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.deployments import edits, queries
from forebay_server.deployments.filters import DeploymentFilter, DeploymentSort
from forebay_server.deployments.tables import deployments
from forebay_server.flow_runs.filters import FlowRunFilter, RunCriteria
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flows.filters import FlowFilter
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
from forebay_server.strictness import RefusesUnknown
from forebay_server.task_runs.filters import TaskRunFilter
from forebay_server.versions import STALE, Guards, Tells
from forebay_server.work_pools import parting
from forebay_server.work_pools.filters import WorkPoolFilter
from forebay_server.work_queues.filters import WorkQueueFilter

router = api_router("Deployments", "/deployments")


async def _part(id: UUID, request: Request, version: Guards) -> None:
    """Before a deployment is deleted: take the runs that ended off it."""

    async def check(db: Transaction) -> None:
        await version.check(queries.lock, _shown, db, id)

    await parting.part(request.app.state.database, parting.OF_DEPLOYMENT, [id], check)


class DeploymentCriteria(Lenient):
    """Which deployments, by their own fields and those of their flow, pool and queue."""

    deployments: DeploymentFilter | None = None
    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None

    def condition(self) -> Condition:
        """What a deployment, joined with its flow, queue and pool, must fulfil."""
        given = (self.deployments, self.flows, self.work_pools, self.work_pool_queues)
        conditions = [each.condition() for each in given if each is not None]
        of_runs = RunCriteria(flow_runs=self.flow_runs, task_runs=self.task_runs)
        if found := list(of_runs.conditions()):
            is_own = flow_runs.c.deployment_id == deployments.c.id
            has_one = exists().where(is_own, *found)
            conditions.append(has_one.correlate(deployments))
        return and_(true(), *conditions)


class DeploymentQuery(DeploymentCriteria):
    """Which deployments, in which order."""

    sort: DeploymentSort | None = None
    limit: int | None = None
    offset: int | None = None


class DeploymentPageQuery(DeploymentCriteria):
    """Which page of which deployments; `page` counts from 1."""

    sort: DeploymentSort | None = None
    limit: int | None = None
    page: int | None = None


@router.post("/", status_code=201, dependencies=[CREATES], responses={200: {"model": Deployment}})
async def create_deployment(
    body: DeploymentCreate,
    response: Response,
    db: Write,
    refuses_unknown: RefusesUnknown,
    tell: Tells,
) -> Deployment:
    """Create a deployment; the flow's deployment of that name is changed instead (200)."""
    row, is_new = await edits.upsert(db, body, refuses_unknown=refuses_unknown)
    response.status_code = 201 if is_new else 200
    return tell((await queries.to_wire(db, [row]))[0])


@router.get("/{id:uuid}")
async def read_deployment(id: UUID, db: Read, tell: Tells) -> Deployment:
    """Read a deployment by id."""
    return tell(await _shown(db, id))


async def _shown(db: Transaction, id: UUID) -> Deployment:
    return (await queries.to_wire(db, [await queries.read(db, id)]))[0]


@router.get("/name/{flow_name}/{deployment_name}")
async def read_deployment_by_name(
    flow_name: PathName, deployment_name: PathName, db: Read, tell: Tells
) -> Deployment:
    """Read a deployment by the names of its flow and its own."""
    row = await queries.read_by_name(db, flow_name, deployment_name)
    return tell((await queries.to_wire(db, [row]))[0])


@router.post("/filter")
async def filter_deployments(db: Read, body: DeploymentQuery | None = None) -> list[Deployment]:
    """List the deployments that fulfil all criteria, at most 200 a page."""
    query = body or DeploymentQuery()
    rows = await queries.filter(
        db,
        query.condition(),
        query.sort or DeploymentSort.NAME_ASC,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return await queries.to_wire(db, rows)


@router.post("/count")
async def count_deployments(db: Read, body: DeploymentCriteria | None = None) -> int:
    """Count the deployments that fulfil all criteria."""
    return await queries.count(db, (body or DeploymentCriteria()).condition())


@router.post("/paginate")
async def paginate_deployments(
    db: Read, body: DeploymentPageQuery | None = None
) -> Page[Deployment]:
    """One page of the deployments that fulfil all criteria."""
    query = body or DeploymentPageQuery()
    condition, limit = query.condition(), page_limit(query.limit)
    page, offset = page_number(query.page, limit)
    sort = query.sort or DeploymentSort.NAME_ASC
    rows = await queries.filter(db, condition, sort, limit, offset)
    found = await queries.to_wire(db, rows)
    return page_of(found, await queries.count(db, condition), limit, page)


@router.patch("/{id:uuid}", status_code=204, responses=STALE)
async def update_deployment(
    id: UUID, body: DeploymentUpdate, db: Write, refuses_unknown: RefusesUnknown, version: Guards
) -> None:
    """Change the fields that are present; the coming runs of its schedules are made anew."""
    await version.check(queries.lock, _shown, db, id)
    await edits.update(db, id, body, refuses_unknown=refuses_unknown)
    version(await _shown(db, id))


@router.delete("/{id:uuid}", status_code=204, responses=STALE, dependencies=[Depends(_part)])
async def delete_deployment(id: UUID, db: Write, version: Guards) -> None:
    """Delete a deployment with its schedules and their coming runs; other runs stay."""
    await version.check(queries.lock, _shown, db, id)
    await edits.delete(db, id)


@router.post("/{id:uuid}/pause_deployment")
async def pause_deployment(id: UUID, db: Write) -> None:
    """Stop the deployment's schedules; the runs that they made and nobody began go."""
    await edits.set_paused(db, id, True)


@router.post("/{id:uuid}/resume_deployment")
async def resume_deployment(id: UUID, db: Write) -> None:
    """Let the deployment's schedules make runs again."""
    await edits.set_paused(db, id, False)
