"""Several writes of one transaction as one journey to the database. Knows no table.

A write is a value: which statement it is (`Shape`, built and compiled once) and what it is given.
PostgreSQL takes them as one statement; SQLite is in this process and takes them one by one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Table, and_, bindparam, delete, insert, true, update
from sqlalchemy.sql.dml import UpdateBase

from forebay_server.db.engine import Transaction
from forebay_server.db.prepared import Prepared


@dataclass(frozen=True)
class Shape:
    """A kind of statement: what it sets, and the columns by whose values it finds its rows.

    `only` narrows what is found and is compared by identity: keep it where it is defined.
    """

    verb: str  # insert, update or delete
    table: Table
    sets: tuple[str, ...] = ()
    finds: tuple[str, ...] = ()
    only: ColumnElement[bool] | None = None

    def statement(self, prefix: str) -> UpdateBase:
        """The statement, whose parameters have names that begin with `prefix`."""

        def given(name: str, mark: str) -> Any:
            return bindparam(f"{prefix}{mark}{name}", type_=self.table.c[name].type)

        values = {name: given(name, "set_") for name in self.sets}
        if self.verb == "insert":
            return insert(self.table).values(values)
        matches = [self.table.c[name] == given(name, "is_") for name in self.finds]
        which = and_(true() if self.only is None else self.only, *matches)
        if self.verb == "delete":
            return delete(self.table).where(which)
        return update(self.table).where(which).values(values)

    def __hash__(self) -> int:
        return hash((self.verb, self.table, self.sets, self.finds, id(self.only)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Shape) and self._key() == other._key()

    def _key(self) -> tuple[Any, ...]:
        return (self.verb, self.table, self.sets, self.finds, id(self.only))


@dataclass(frozen=True)
class Change:
    """A statement with its values."""

    shape: Shape
    sets: Mapping[str, Any]
    finds: Mapping[str, Any]

    def parameters(self, prefix: str) -> Iterable[tuple[str, Any]]:
        """What the statement with this prefix takes."""
        for name, value in self.sets.items():
            yield f"{prefix}set_{name}", value
        for name, value in self.finds.items():
            yield f"{prefix}is_{name}", value


def inserted(table: Table, values: Mapping[str, Any]) -> Change:
    """A new row."""
    return Change(Shape("insert", table, tuple(values)), values, {})


def updated(
    table: Table,
    values: Mapping[str, Any],
    *,
    only: ColumnElement[bool] | None = None,
    **finds: Any,
) -> Change:
    """Rows with these values of columns, changed."""
    return Change(Shape("update", table, tuple(values), tuple(finds), only), values, finds)


def deleted(table: Table, **finds: Any) -> Change:
    """Rows with these values of columns, gone."""
    return Change(Shape("delete", table, (), tuple(finds)), {}, finds)


async def write(db: Transaction, changes: Sequence[Change]) -> None:
    """Make the `changes`; none of them may rest on another's effect."""
    if db.dialect == "sqlite":
        for change in changes:
            await db.run(_alone(change.shape), dict(change.parameters("")))
        return
    values: dict[str, Any] = {}
    for number, change in enumerate(changes):
        values.update(change.parameters(f"p{number}_"))
    await db.run(_together(tuple(change.shape for change in changes)), values)


@lru_cache(maxsize=200)
def _alone(shape: Shape) -> Prepared:
    return Prepared(shape.statement(""))


@lru_cache(maxsize=200)
def _together(shapes: tuple[Shape, ...]) -> Prepared:
    statements = [shape.statement(f"p{number}_") for number, shape in enumerate(shapes)]
    *others, last = statements
    ctes = (other.cte(f"also_{n}") for n, other in enumerate(others))
    return Prepared(last.add_cte(*ctes))
