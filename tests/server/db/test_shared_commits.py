"""Writers that wait for each other share a commit, and nothing else."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError, OperationalError

from forebay_server.db import shared_commits
from forebay_server.db.engine import Database, Transaction
from forebay_server.db.sqlite_driver import Connection
from forebay_server.errors import Overloaded
from forebay_server.flows.tables import FlowRow, flows


async def add(db: Transaction, name: str) -> None:
    await db.execute(insert(flows).values(FlowRow(name=name).model_dump()))


async def write(database: Database, name: str) -> str:
    async with database.write() as db:
        await add(db, name)
        await asyncio.sleep(0)  # so that others come meanwhile
    return name


def stored(database: Database) -> list[str]:
    """What another process finds."""
    with sqlite3.connect(database.url.database or "") as file:
        return [name for (name,) in file.execute("SELECT name FROM flow ORDER BY name")]


@contextmanager
def commits(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Counts how often the disk was waited for."""
    counted: list[int] = []
    commit = Connection.commit

    async def count(self: Connection) -> None:
        counted.append(1)
        await commit(self)

    monkeypatch.setattr(Connection, "commit", count)
    yield counted


async def test_those_who_wait_share_a_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with commits(monkeypatch) as counted:
        names = await asyncio.gather(*(write(database, f"f{n:02}") for n in range(30)))

    assert stored(database) == sorted(names)
    assert len(counted) <= 2  # the first may be done before the others come


async def test_one_alone_commits_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with commits(monkeypatch) as counted:
        for name in ("a", "b"):
            await write(database, name)
            assert name in stored(database)

    assert len(counted) == 2


async def test_nobody_returns_before_the_commit(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, may_commit = Connection.commit, asyncio.Event()

    async def held(self: Connection) -> None:
        await may_commit.wait()
        await commit(self)

    monkeypatch.setattr(Connection, "commit", held)
    writers = [asyncio.create_task(write(database, f"f{n}")) for n in range(5)]

    done, _ = await asyncio.wait(writers, timeout=0.2)
    seen = stored(database)
    may_commit.set()
    await asyncio.gather(*writers)

    assert (done, seen) == (set(), [])
    assert len(stored(database)) == 5


async def test_one_that_fails_takes_nobody_with_it(database: Database) -> None:
    async def fail(how: type[BaseException]) -> None:
        async with database.write() as db:
            await add(db, "twice")
            await asyncio.sleep(0)
            if how is IntegrityError:
                await add(db, "twice")
            raise how

    failing = [fail(IntegrityError), fail(ZeroDivisionError)]
    order = [write(database, "a"), failing[0], write(database, "b"), failing[1], fail(KeyError)]
    results = await asyncio.gather(*order, write(database, "c"), return_exceptions=True)

    assert stored(database) == ["a", "b", "c"]
    kinds = [result if isinstance(result, str) else type(result) for result in results]
    assert kinds == ["a", IntegrityError, "b", ZeroDivisionError, KeyError, "c"]


async def test_a_commit_that_fails_fails_for_all_and_the_next_begins_anew(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Connection.commit

    async def full(self: Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Connection, "commit", full)
    order = (write(database, f"f{n}") for n in range(4))
    results = await asyncio.gather(*order, return_exceptions=True)
    monkeypatch.setattr(Connection, "commit", commit)
    await write(database, "later")

    assert [type(result) for result in results] == 4 * [OperationalError]
    assert stored(database) == ["later"]


async def test_a_transaction_that_the_disk_undid_fails_for_all(database: Database) -> None:
    async def lose() -> None:
        async with database.write() as db:
            await add(db, "lost")
            await db.execute(text("ROLLBACK"))  # as SQLite does where the disk fails
            raise OperationalError("", None, sqlite3.OperationalError("disk I/O error"))

    order = [write(database, "a"), write(database, "b"), lose(), write(database, "c")]
    results = await asyncio.gather(*order, return_exceptions=True)

    told = [result for result in results if isinstance(result, str)]
    assert stored(database) == told  # whoever was told so is there, and nobody else
    assert {type(r) for r in results if not isinstance(r, str)} == {OperationalError}


async def test_one_that_is_cancelled_leaves_the_others_written_or_told(database: Database) -> None:
    for after in range(12):
        names = [f"{after}-{n}" for n in range(4)]
        writers = [asyncio.create_task(write(database, name)) for name in names]
        for _ in range(after):
            await asyncio.sleep(0.0005)
        writers[1].cancel()

        results = await asyncio.gather(*writers, return_exceptions=True)

        now = [name for name in stored(database) if name.startswith(f"{after}-")]
        told = [result for result in results if isinstance(result, str)]
        assert set(told) <= set(now)  # the cancelled one may have been written
        assert set(now) - set(told) <= {names[1]}
        others = [results[n] for n in (0, 2, 3)]
        assert all(isinstance(r, str | Overloaded) for r in others), others
    await write(database, "last")


async def test_too_many_who_wait_are_told_to_come_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_commits, "MAX_WAITING_WRITERS", 3)
    order = (write(database, f"f{n}") for n in range(6))

    results = await asyncio.gather(*order, return_exceptions=True)

    assert sorted(type(result).__name__ for result in results) == 2 * ["Overloaded"] + 4 * ["str"]
    async with database.read() as db:
        assert len(await db.rows(select(flows))) == 4
