"""Every statement about variables."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, func, select

from forebay.wire.variables import VariableCreate
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, NotFound
from forebay_server.variables.filters import VariableSort
from forebay_server.variables.tables import VariableRow, variables

NOT_NULLABLE = ("name", "tags")


def has_id(id: UUID) -> Condition:
    """The condition for the variable of that id."""
    return variables.c.id == id


def has_name(name: str) -> Condition:
    """The condition for the variable of that name."""
    return variables.c.name == name


async def create(db: Transaction, body: VariableCreate) -> VariableRow:
    """Store a variable. Raises `Conflict` with `existing_id` on a taken name."""
    at = await db.now()
    row = VariableRow(**body.model_dump(), created=at, updated=at)
    if not await insert_new(db, variables, row.model_dump()):
        existing = await read(db, has_name(body.name))
        raise Conflict(
            f'A variable named "{body.name}" exists already; choose another name, or change the '
            "existing one.",
            existing_id=str(existing.id),
        )
    return row


async def read(db: Transaction, condition: Condition) -> Row[Any]:
    """The one variable that fulfils `condition`. Raises `NotFound`."""
    row = await db.row(select(variables).where(condition))
    if row is None:
        raise NotFound("Variable not found.")
    return row


async def filter(
    db: Transaction, condition: Condition, sort: VariableSort, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Variables that fulfil `condition`, in a total order."""
    statement = select(variables).where(condition).order_by(*sort.columns())
    return await db.rows(statement.limit(limit).offset(offset))


async def count(db: Transaction, condition: Condition) -> int:
    """How many variables fulfil `condition`."""
    return int(await db.scalar(select(func.count()).select_from(variables).where(condition)))


async def lock(db: Transaction, condition: Condition) -> None:
    """Keep others from changing the variable until the transaction ends, if there is one."""
    await db.row(select(variables.c.id).where(condition).with_for_update())


async def update(db: Transaction, condition: Condition, changes: dict[str, Any]) -> UUID:
    """Change columns of a variable; its id. Raises `NotFound`, and `Conflict` for a null."""
    for key in NOT_NULLABLE:
        if changes.get(key, ...) is None:
            raise Conflict(f"{key} must not be null; leave it out to keep what it is.")
    statement = sa.update(variables).where(condition)
    changed = statement.values(**changes, updated=await db.now()).returning(variables.c.id)
    id: UUID | None = await db.scalar(changed)
    if id is None:
        raise NotFound("Variable not found.")
    return id


async def delete(db: Transaction, condition: Condition) -> None:
    """Delete a variable. Raises `NotFound`."""
    if not (await db.execute(sa.delete(variables).where(condition))).rowcount:
        raise NotFound("Variable not found.")
