"""HTTP of flows: parse, call, return."""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel

from forebay.wire.base import Page
from forebay.wire.flows import Flow, FlowCreate, FlowUpdate
from forebay_server.errors import Invalid
from forebay_server.flows import queries
from forebay_server.flows.filters import FlowFilter, FlowSort
from forebay_server.protocol import (
    Read,
    Route,
    Write,
    page_limit,
    page_number,
    page_of,
    page_offset,
)

router = APIRouter(prefix="/flows", tags=["Flows"], route_class=Route)


class FlowCriteria(BaseModel):
    """Which flows. Criteria of other objects must be null: flows know none of them."""

    flows: FlowFilter | None = None
    flow_runs: dict[str, Any] | None = None
    task_runs: dict[str, Any] | None = None
    deployments: dict[str, Any] | None = None
    work_pools: dict[str, Any] | None = None

    def filter(self) -> FlowFilter:
        """The criteria of flows. Raises `Invalid` where others are given."""
        for name in ("flow_runs", "task_runs", "deployments", "work_pools"):
            if getattr(self, name) is not None:
                raise Invalid(f"Flows cannot be filtered by {name}.")
        return self.flows or FlowFilter()


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


@router.post("/", status_code=201, responses={200: {"model": Flow}})
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
async def read_flow_by_name(name: str, db: Read) -> Flow:
    """Read a flow by name."""
    return Flow.model_validate(await queries.read_by_name(db, name))


@router.post("/filter")
async def filter_flows(db: Read, body: FlowQuery | None = None) -> list[Flow]:
    """Flows that fulfil all criteria, at most 200 a page."""
    query = body or FlowQuery()
    rows = await queries.filter(
        db,
        query.filter(),
        query.sort or FlowSort.NAME_ASC,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return [Flow.model_validate(row) for row in rows]


@router.post("/count")
async def count_flows(db: Read, body: FlowCriteria | None = None) -> int:
    """How many flows fulfil all criteria."""
    return await queries.count(db, (body or FlowCriteria()).filter())


@router.post("/paginate")
async def paginate_flows(db: Read, body: FlowPageQuery | None = None) -> Page[Flow]:
    """One page of the flows that fulfil all criteria."""
    query = body or FlowPageQuery()
    criteria, limit = query.filter(), page_limit(query.limit)
    page, offset = page_number(query.page, limit)
    rows = await queries.filter(db, criteria, query.sort or FlowSort.NAME_ASC, limit, offset)
    found = [Flow.model_validate(row) for row in rows]
    return page_of(found, await queries.count(db, criteria), limit, page)


@router.patch("/{id:uuid}", status_code=204)
async def update_flow(id: UUID, body: FlowUpdate, db: Write) -> None:
    """Change a flow's tags."""
    await queries.update(db, id, body)


@router.delete("/{id:uuid}", status_code=204)
async def delete_flow(id: UUID, db: Write) -> None:
    """Delete a flow with its deployments and runs."""
    await queries.delete(db, id)
