"""Every statement about flows."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, Uuid, column, func, select
from sqlalchemy import table as named_table

from forebay.wire.flows import FlowCreate, FlowUpdate
from forebay_server.artifacts import queries as artifacts
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import NotFound
from forebay_server.flows.filters import FlowSort
from forebay_server.flows.tables import FlowRow, flows

# The table of runs, which is of a domain that builds on this one.
_runs = named_table("flow_run", column("id", Uuid()), column("flow_id", Uuid()))


async def create_once(db: Transaction, body: FlowCreate) -> tuple[Row[Any], bool]:
    """The flow of that name and whether it is new; one that exists is left as it is."""
    at = await db.now()
    row = FlowRow(name=body.name, tags=body.tags, labels=body.labels or {}, created=at, updated=at)
    is_new = await insert_new(db, flows, row.model_dump()) == 1
    return await read_by_name(db, body.name), is_new


async def read(db: Transaction, id: UUID) -> Row[Any]:
    """A flow by id. Raises `NotFound`."""
    row = await db.row(select(flows).where(flows.c.id == id))
    if row is None:
        raise NotFound("Flow not found")
    return row


async def read_by_name(db: Transaction, name: str) -> Row[Any]:
    """A flow by name. Raises `NotFound`."""
    row = await db.row(select(flows).where(flows.c.name == name))
    if row is None:
        raise NotFound("Flow not found")
    return row


async def filter(
    db: Transaction, condition: Condition, sort: FlowSort, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Flows that fulfil `condition`, in a total order."""
    statement = select(flows).where(condition).order_by(*sort.columns())
    return await db.rows(statement.limit(limit).offset(offset))


async def count(db: Transaction, condition: Condition) -> int:
    """How many flows fulfil `condition`."""
    statement = select(func.count()).select_from(flows).where(condition)
    return int(await db.scalar(statement))


async def update(db: Transaction, id: UUID, body: FlowUpdate) -> None:
    """Change the fields that are set on `body`. Raises `NotFound`."""
    values = body.model_dump(exclude_unset=True, exclude_none=True)
    statement = sa.update(flows).where(flows.c.id == id)
    result = await db.execute(statement.values(**values, updated=await db.now()))
    if result.rowcount == 0:
        raise NotFound("Flow not found")


async def delete(db: Transaction, id: UUID) -> None:
    """Delete a flow with its deployments, and runs with artifacts. Raises `NotFound`."""
    await artifacts.delete(
        db, artifacts.is_of_runs(select(_runs.c.id).where(_runs.c.flow_id == id))
    )
    result = await db.execute(sa.delete(flows).where(flows.c.id == id))
    if result.rowcount == 0:
        raise NotFound("Flow not found")
