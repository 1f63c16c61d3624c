"""Column types and the base of every table; the same Python values on both databases."""

from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import JSON, DateTime, Dialect, String, Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine.interfaces import TypeCompiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import TypeDecorator
from sqlmodel import AutoString, Field, SQLModel
from uuid_utils.compat import uuid7

BYTEWISE = "C"  # PostgreSQL's name of the order

# Tags, templates and other JSON; compared and indexed by nobody, so one type serves.
Json = JSON().with_variant(JSONB(), "postgresql")


@compiles(JSON, "sqlite")
def _json_on_sqlite(_type: JSON, _compiler: TypeCompiler, **_: Any) -> str:
    """A column declared JSON has numeric affinity there: `1.0` would come back as the integer 1."""
    return "TEXT"


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC times with microseconds: SQLite forgets zones, PostgreSQL answers in its own."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("times must be aware")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def new_id() -> UUID:
    """A fresh id; ids of one process grow with time, so they break ties in order of creation."""
    return uuid7()


def now() -> datetime:
    """This process's clock; for leases and order use `Transaction.now`, the database's."""
    return datetime.now(UTC)


class Row(SQLModel):
    """What every table has."""

    id: UUID = Field(default_factory=new_id, primary_key=True)
    created: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated: datetime = Field(default_factory=now, sa_type=UtcDateTime)


def json_object() -> Any:
    """A column that holds a JSON object, `{}` unless set."""
    return Field(default_factory=dict, sa_type=Json, nullable=False)


def json_list() -> Any:
    """A column that holds a JSON list, `[]` unless set."""
    return Field(default_factory=list, sa_type=Json, nullable=False)


def table(row: type[SQLModel]) -> Table:
    """The Core table of a row class; queries are written against it, not against attributes.

    Its texts are compared byte by byte, in orders and indexes alike, as SQLite does by itself:
    PostgreSQL would go by the language of whoever made the database.
    """
    found = cast(Table, row.__table__)  # type: ignore[attr-defined]
    for column in found.columns:
        if isinstance(column.type, String | AutoString):
            column.type = text_type(column.type.length)
    return found


def text_type(length: int | None = None) -> String:
    """Text that PostgreSQL, too, keeps in the order of its bytes."""
    return String(length).with_variant(String(length, collation=BYTEWISE), "postgresql")
