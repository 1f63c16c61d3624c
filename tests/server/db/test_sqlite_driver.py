"""The SQLite driver makes one journey for a statement, and none where nothing is to be done."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from forebay_server.db.sqlite_driver import Connection, connect


@pytest.fixture
async def connection(tmp_path: Path) -> AsyncIterator[Connection]:
    """A connection to a database with a table of numbers."""
    made = connect(str(tmp_path / "some.db"), isolation_level=None)
    await made
    await made.cursor().execute("CREATE TABLE number (n INTEGER UNIQUE)")
    yield made
    await made.close()


def count_journeys(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by an item for each journey to the connection's thread."""
    journeys: list[object] = []
    travel = connection._execute

    async def counted(fn: object, *args: object) -> object:
        journeys.append(fn)
        return await travel(fn, *args)

    monkeypatch.setattr(connection, "_execute", counted)
    return journeys


async def numbers(connection: Connection) -> list[int]:
    """What the table holds."""
    found = await connection.cursor().execute("SELECT n FROM number ORDER BY n")
    return [n for (n,) in await found.fetchall()]


async def test_a_transaction_begins_in_the_journey_of_its_first_statement(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    journeys = count_journeys(connection, monkeypatch)

    connection.begin("BEGIN IMMEDIATE")
    await connection.cursor().execute("INSERT INTO number VALUES (?)", (1,))
    await connection.commit()

    assert len(journeys) == 2
    assert await numbers(connection) == [1]


async def test_ending_what_never_began_makes_no_journey(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    journeys = count_journeys(connection, monkeypatch)

    connection.begin("BEGIN")
    await connection.rollback()
    await connection.commit()

    assert journeys == []


async def test_a_begin_that_was_not_used_is_not_used_later(connection: Connection) -> None:
    connection.begin("BEGIN")
    await connection.rollback()

    await connection.cursor().execute("INSERT INTO number VALUES (1)")
    await connection.rollback()

    assert await numbers(connection) == [1]


async def test_a_rollback_undoes_what_a_failed_statement_left_open(
    connection: Connection,
) -> None:
    connection.begin("BEGIN")
    await connection.cursor().executemany("INSERT INTO number VALUES (?)", [(1,), (2,)])
    with pytest.raises(Exception, match="UNIQUE"):
        await connection.cursor().execute("INSERT INTO number VALUES (1)")

    await connection.rollback()

    assert await numbers(connection) == []


async def test_returned_rows_are_counted(connection: Connection) -> None:
    cursor = connection.cursor()

    await cursor.execute("INSERT INTO number VALUES (7), (8) RETURNING n")

    assert await cursor.fetchall() == [(7,), (8,)]
    assert cursor.rowcount == 2
