"""Writes many rows of several tables together. Knows no table.

PostgreSQL takes them in one journey, as JSON, so that the statement is the same for any number
of rows and is compiled once. SQLite is in this process and takes them table by table.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    FromClause,
    Table,
    any_,
    bindparam,
    column,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.types import TypeEngine

from forebay_server.db.engine import Transaction
from forebay_server.db.prepared import Prepared


@dataclass(frozen=True)
class Rows:
    """Rows of a table, all with the same columns."""

    table: Table
    rows: Sequence[Mapping[str, Any]]


async def insert_and_update(db: Transaction, new: Sequence[Rows], changed: Rows) -> None:
    """Insert the `new` rows and change others, found by their `id`."""
    if db.dialect == "sqlite":
        for part in new:
            await db.execute(insert(part.table), [dict(row) for row in part.rows])
        is_meant = changed.table.c.id == bindparam("id_")
        changes = [{"id_" if k == "id" else k: v for k, v in r.items()} for r in changed.rows]
        await db.execute(update(changed.table).where(is_meant), changes)
        return
    shapes = tuple((part.table, tuple(part.rows[0])) for part in new)
    statement = _statement(shapes, changed.table, tuple(changed.rows[0]))
    given = {f"rows_{number}": _as_json(part) for number, part in enumerate(new)}
    ids = [row["id"] for row in changed.rows]
    await db.run(statement, {**given, "changed": _as_json(changed), "ids": ids})


def _as_json(part: Rows) -> list[dict[str, Any]]:
    # The driver has a kind of UUID of its own, which the JSON encoder does not know.
    return [
        {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}
        for row in part.rows
    ]


def given_rows(dialect: str, parameter: str, **types: TypeEngine[Any]) -> FromClause:
    """Rows that a statement takes as one value, a list of objects with these keys.

    Ids are given as the database keeps them: `stored_id`.
    """
    if dialect == "postgresql":
        columns = [column(name, kind) for name, kind in types.items()]
        records = func.jsonb_to_recordset(bindparam(parameter, type_=JSONB))
        return records.table_valued(*columns, name=parameter).render_derived(with_types=True)
    each = func.json_each(bindparam(parameter, type_=JSON)).table_valued("value")
    keys = (
        func.json_extract(each.c.value, f"$.{name}", type_=kind).label(name)
        for name, kind in types.items()
    )
    return select(*keys).subquery(parameter)


def stored_id(dialect: str, id: UUID) -> str:
    """An id as it is written in `given_rows`."""
    return str(id) if dialect == "postgresql" else id.hex


@lru_cache(maxsize=100)
def _statement(
    new: tuple[tuple[Table, tuple[str, ...]], ...], changed: Table, names: tuple[str, ...]
) -> Prepared:
    inserts = []
    for number, (table, columns) in enumerate(new):
        given = _given(table, columns, f"rows_{number}")
        rows = select(*(given.c[name] for name in columns))
        inserts.append(insert(table).from_select(list(columns), rows).cte(f"new_{number}"))
    given = _given(changed, names, "changed")
    values = {name: given.c[name] for name in names if name != "id"}
    # How many rows the JSON has the planner cannot know, and might read a whole table for them.
    is_meant = changed.c.id == any_(bindparam("ids", type_=ARRAY(changed.c.id.type)))
    change = update(changed).where(changed.c.id == given.c.id, is_meant)
    return Prepared(change.values(values).add_cte(*inserts))


def _given(table: Table, names: Sequence[str], parameter: str) -> FromClause:
    types = {name: table.c[name].type for name in names}
    return given_rows("postgresql", parameter, **types)
