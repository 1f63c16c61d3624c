"""Every statement about log lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select

from forebay.wire.logs import LogCreate
from forebay_server.db.broker import Topic
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Transaction
from forebay_server.logs.filters import LogFilter, LogSort
from forebay_server.logs.tables import logs

LINES_IN_NOTICE = 80  # each with an id and a run: a notice goes to other processes in 8,000 bytes


@dataclass(frozen=True)
class Lines:
    """That lines were committed, and of which runs they are; whoever wants them reads them."""

    ids: tuple[UUID, ...]
    run_ids: frozenset[UUID | None]


LINES: Topic[Lines] = Topic("lines")


async def create(db: Transaction, lines: Sequence[LogCreate]) -> None:
    """Store `lines` and tell subscribers of them; their ids grow in the order given."""
    if not lines:
        return
    at = await db.now()
    rows = [line.model_dump() | {"id": new_id(), "created": at, "updated": at} for line in lines]
    await db.execute(insert(logs), rows)
    parts = [rows[at : at + LINES_IN_NOTICE] for at in range(0, len(rows), LINES_IN_NOTICE)]
    db.publish(
        LINES,
        [
            Lines(tuple(row["id"] for row in part), frozenset(row["flow_run_id"] for row in part))
            for part in parts
        ],
    )


def selected(criteria: LogFilter, sort: LogSort, limit: int, offset: int) -> Select[Any]:
    """The statement that reads a page of lines."""
    statement = select(logs).where(criteria.condition()).order_by(*sort.columns())
    return statement.limit(limit).offset(offset)


async def filter(
    db: Transaction, criteria: LogFilter, sort: LogSort, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Lines that fulfil `criteria`, in a total order."""
    return await db.rows(selected(criteria, sort, limit, offset))


async def read(db: Transaction, ids: Sequence[UUID], criteria: LogFilter) -> Sequence[Row[Any]]:
    """Those of the lines `ids` that fulfil `criteria`, by time."""
    statement = select(logs).where(logs.c.id.in_(ids), criteria.condition())
    return await db.rows(statement.order_by(*LogSort.TIMESTAMP_ASC.columns()))
