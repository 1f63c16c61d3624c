"""Every statement about log lines."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, Select, insert, select

from forebay.wire.logs import LogCreate
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Transaction
from forebay_server.logs.filters import LogFilter, LogSort
from forebay_server.logs.tables import logs


async def create(db: Transaction, lines: Sequence[LogCreate]) -> None:
    """Store `lines`; their ids grow in the order given."""
    if not lines:
        return
    at = await db.now()
    rows = [line.model_dump() | {"id": new_id(), "created": at, "updated": at} for line in lines]
    await db.execute(insert(logs), rows)


def selected(criteria: LogFilter, sort: LogSort, limit: int, offset: int) -> Select[Any]:
    """The statement that reads a page of lines."""
    statement = select(logs).where(criteria.condition()).order_by(*sort.columns())
    return statement.limit(limit).offset(offset)


async def filter(
    db: Transaction, criteria: LogFilter, sort: LogSort, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Lines that fulfil `criteria`, in a total order."""
    return await db.rows(selected(criteria, sort, limit, offset))
