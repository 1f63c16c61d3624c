"""Inserting what may be there already. Knows no table."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from forebay_server.db.engine import Transaction


async def insert_new(
    db: Transaction, table: Table, values: Mapping[str, Any] | Sequence[Mapping[str, Any]]
) -> int:
    """How many rows were inserted; one that breaks a unique constraint is left out."""
    if not values:
        return 0
    dialect = sqlite if db.dialect == "sqlite" else postgresql
    statement = dialect.insert(table).values(values).on_conflict_do_nothing()
    return (await db.execute(statement)).rowcount
