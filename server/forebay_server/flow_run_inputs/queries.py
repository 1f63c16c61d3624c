"""Every statement about inputs of runs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, select

from forebay.wire.flow_run_inputs import FlowRunInputCreate
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, NotFound
from forebay_server.flow_run_inputs.tables import FlowRunInputRow, flow_run_inputs
from forebay_server.flow_runs.tables import flow_runs


async def create(db: Transaction, run_id: UUID, body: FlowRunInputCreate) -> None:
    """Store an input. Raises `NotFound` without the run, `Conflict` on a taken key."""
    run = select(flow_runs.c.id).where(flow_runs.c.id == run_id)
    if await db.row(run.with_for_update(key_share=True, read=True)) is None:
        raise NotFound("Flow run not found")
    at = await db.now()
    row = FlowRunInputRow(flow_run_id=run_id, created=at, updated=at, **body.model_dump())
    if not await insert_new(db, flow_run_inputs, row.model_dump()):
        raise Conflict("A flow run input with this key already exists.")


async def read(db: Transaction, run_id: UUID, key: str) -> str | None:
    """The text under `key`, if there is one."""
    value: str | None = await db.scalar(select(flow_run_inputs.c.value).where(_is(run_id, key)))
    return value


async def filter(
    db: Transaction, run_id: UUID, prefix: str, without: Sequence[str], limit: int
) -> Sequence[Row[Any]]:
    """Inputs of a run whose keys begin with `prefix`, the oldest first."""
    statement = select(flow_run_inputs).where(
        flow_run_inputs.c.flow_run_id == run_id,
        flow_run_inputs.c.key.startswith(prefix, autoescape=True),
        flow_run_inputs.c.key.not_in(without),
    )
    order = (flow_run_inputs.c.created, flow_run_inputs.c.id)
    return await db.rows(statement.order_by(*order).limit(limit))


async def delete(db: Transaction, run_id: UUID, key: str) -> None:
    """Delete an input. Raises `NotFound`."""
    if not (await db.execute(sa.delete(flow_run_inputs).where(_is(run_id, key)))).rowcount:
        raise NotFound("Flow run input not found")


def _is(run_id: UUID, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(flow_run_inputs.c.flow_run_id == run_id, flow_run_inputs.c.key == key)
