"""Statements that are compiled once and handed to the driver. Knows no table.

What SQLAlchemy does for every execution (keys of caches, contexts, a switch of stacks and back)
costs more than most of these statements cost the database. So the hot ones keep its compiler and
its types, and leave out the rest.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from sqlalchemy import ARRAY, ColumnElement, Connection, Dialect, Row, Select, any_, bindparam
from sqlalchemy.engine.result import IteratorResult, SimpleResultMetaData
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.types import TypeEngine

from forebay_server.db import sqlite_driver

if TYPE_CHECKING:
    import asyncpg

Statement = Select[Any] | UpdateBase
Process = Callable[[Any], Any]

FLOAT8 = 701  # PostgreSQL's number of the type that all our numbers with fractions have


@dataclass(frozen=True)
class _Compiled:
    """A statement in a database's words: in which order it takes what, and what its rows are."""

    text: str
    fixed: Mapping[str, Any]  # values that it has of its own
    taken: Sequence[tuple[str, Process | None]]  # by position: name, and how the value is sent
    columns: SimpleResultMetaData | None  # None: it has no rows
    read: Sequence[tuple[int, Process]]  # which columns are not as the driver gives them

    def arguments(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        """`values` by position, as the driver takes them. Raises `KeyError` when one is missing."""
        all_values = {**self.fixed, **values}
        found = [(all_values[name], send) for name, send in self.taken]
        return tuple([value if send is None else send(value) for value, send in found])

    def rows(self, found: Sequence[Sequence[Any]]) -> Sequence[Row[Any]]:
        """What the driver gave, as rows."""
        if self.columns is None:
            return ()
        changed: list[Sequence[Any]] = []
        for given in found:
            row = list(given)
            for index, process in self.read:
                row[index] = process(row[index])
            changed.append(row)
        made: IteratorResult[Any] = IteratorResult(self.columns, iter(changed))
        return made.all()


class Prepared:
    """A statement that is compiled once, unless it takes a list, which its text would show."""

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self._compiled: dict[str, _Compiled] = {}
        binds = statement.compile().binds.values()
        self.is_fixed = not any(bind.expanding or bind.literal_execute for bind in binds)

    async def run(
        self, connection: Connection, driver: Any, values: Mapping[str, Any]
    ) -> Sequence[Row[Any]]:
        """Its rows. `driver` is the driver's connection, in a transaction if there is to be one.

        Raises what `Connection.execute` raises.
        """
        made = self._compiled.get(connection.dialect.name)
        if made is None:
            made = _compile(self.statement, connection.dialect)
            self._compiled[connection.dialect.name] = made
        arguments = made.arguments(values)
        for observer in connection.dispatch.before_cursor_execute:
            observer(connection, None, made.text, arguments, None, False)
        is_postgres = connection.dialect.name == "postgresql"
        send = _on_postgres if is_postgres else _on_sqlite
        return made.rows(await send(driver, made.text, arguments))


def is_one_of(column: ColumnElement[Any], name: str, dialect: str) -> ColumnElement[bool]:
    """Whether `column` is in the list that the statement takes as `name`.

    PostgreSQL takes a list as one value, so that the statement stays the same.
    """
    if dialect == "postgresql":
        return column == any_(bindparam(name, type_=ARRAY(column.type)))
    return column.in_(bindparam(name, expanding=True))


async def _on_postgres(
    driver: "asyncpg.Connection", text: str, arguments: Sequence[Any]
) -> Sequence[Any]:
    from asyncpg import IntegrityConstraintViolationError, InterfaceError, PostgresError

    try:
        return cast(Sequence[Any], await driver.fetch(text, *arguments))
    except TimeoutError:
        driver.terminate()  # one that was silent once is not asked to roll back
        raise
    except (PostgresError, InterfaceError) as error:
        kind = DBAPIError
        if isinstance(error, IntegrityConstraintViolationError):
            kind = IntegrityError
        raise kind(
            text, None, error, hide_parameters=True, connection_invalidated=driver.is_closed()
        ) from error


async def _on_sqlite(
    driver: sqlite_driver.Connection, text: str, arguments: Sequence[Any]
) -> Sequence[Any]:
    cursor = driver.cursor()
    try:
        await cursor.execute(text, arguments)
    except sqlite3.Error as error:
        raise DBAPIError.instance(
            text, None, error, sqlite3.Error, hide_parameters=True
        ) from error
    return await cursor.fetchall()


def _compile(statement: Statement, dialect: Dialect) -> _Compiled:
    compiled = statement.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    binds = compiled.binds
    fixed = {name: bind.effective_value for name, bind in binds.items() if not bind.required}
    taken = [
        (name, _type_of(binds[name].type, dialect).bind_processor(dialect))
        for name in compiled.positiontup or ()
    ]
    columns = list(statement.exported_columns)
    if not columns:
        return _Compiled(str(compiled), fixed, taken, None, ())
    processes = [_type_of(c.type, dialect).result_processor(dialect, FLOAT8) for c in columns]
    return _Compiled(
        str(compiled),
        fixed,
        taken,
        SimpleResultMetaData([str(column.key) for column in columns]),
        [(index, process) for index, process in enumerate(processes) if process is not None],
    )


def _type_of(kind: TypeEngine[Any], dialect: Dialect) -> TypeEngine[Any]:
    return kind.dialect_impl(dialect)
