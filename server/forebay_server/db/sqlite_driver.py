"""The SQLite driver with fewer journeys: each statement is one to the connection's thread.

aiosqlite makes four of it (a cursor, the statement, its rows, the cursor's end), and a journey
costs more than most statements. Knows no table and no statement.
"""

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Self

import aiosqlite

Rows = Sequence[tuple[Any, ...]]


class Cursor:
    """A statement and all that it gave, as the driver's own cursor shows it."""

    description: Any = None
    rowcount = -1
    lastrowid: int | None = None
    arraysize = 1

    def __init__(self, connection: "Connection") -> None:
        self._connection = connection
        self._rows: Rows = ()

    async def __aenter__(self) -> Self:
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> Self:
        """Run a statement and read all its rows."""
        await self._connection.run(lambda real: self._keep(real.execute(sql, parameters)))
        return self

    async def executemany(self, sql: str, parameters: Iterable[Any]) -> Self:
        """Run a statement once for each of `parameters`."""
        await self._connection.run(lambda real: self._keep(real.executemany(sql, parameters)))
        return self

    def _keep(self, cursor: sqlite3.Cursor) -> None:
        self.description = cursor.description
        self._rows = cursor.fetchall() if cursor.description else ()
        # Only now: before its rows are read, RETURNING has changed nothing yet.
        self.rowcount, self.lastrowid = cursor.rowcount, cursor.lastrowid
        cursor.close()

    async def fetchall(self) -> Rows:
        """The rows that `execute` read."""
        return self._rows

    async def close(self) -> None:
        """Nothing is left open."""


class Connection(aiosqlite.Connection):
    """A connection whose transaction begins with its first statement, in the same journey.

    One caller at a time uses it, as SQLAlchemy does.
    """

    _begin: str | None = None
    is_open = False  # whether a transaction is, as far as journeys have begun one

    def begin(self, statement: str) -> None:
        """Begin a transaction or a savepoint by `statement` as soon as there is work for it."""
        self._begin = statement

    def cursor(self) -> Cursor:  # type: ignore[override]
        """A cursor; nothing happens yet."""
        return Cursor(self)

    async def run(self, action: Callable[[sqlite3.Connection], None]) -> None:
        """Let the connection's thread do `action`."""

        def in_thread(begin: str | None) -> None:
            real = self._conn
            try:
                if begin is not None:
                    real.execute(begin)
                action(real)
            finally:
                self.is_open = real.in_transaction

        begin, self._begin = self._begin, None
        # At once: who is cancelled during the journey has to undo what it does all the same.
        self.is_open = self.is_open or begin is not None
        await self._execute(in_thread, begin)  # type: ignore[no-untyped-call]

    async def commit(self) -> None:
        """Commit what was begun, if anything was."""
        await self._end(sqlite3.Connection.commit)

    async def rollback(self) -> None:
        """Undo what was begun, if anything was."""
        await self._end(sqlite3.Connection.rollback)

    async def roll_back_to(self, savepoint: str) -> None:
        """Undo what was done since the last `begin`, which was to make this savepoint."""
        begin, self._begin = self._begin, None
        if begin is None:
            await self.run(lambda real: _undo(real, savepoint))

    async def _end(self, action: Callable[[sqlite3.Connection], None]) -> None:
        self._begin = None
        if self.is_open:
            await self.run(action)


def _undo(real: sqlite3.Connection, savepoint: str) -> None:
    real.execute(f"ROLLBACK TO {savepoint}")
    real.execute(f"RELEASE {savepoint}")


def connect(path: str, **options: Any) -> Connection:
    """A connection to open by awaiting it; its thread ends with the process."""
    connection = Connection(partial(sqlite3.connect, path, **options), iter_chunk_size=64)
    connection._thread.daemon = True
    return connection
