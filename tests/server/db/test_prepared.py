"""A prepared statement gives, changes and raises what the same statement does otherwise."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import pytest
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from forebay_server.db.columns import new_id
from forebay_server.db.engine import Database
from forebay_server.db.failures import is_lost_race, is_passing
from forebay_server.db.prepared import Prepared, is_one_of
from forebay_server.work_pools.tables import WorkPoolRow, work_pools
from tests.both_databases import settings

__all__ = ["settings"]

ROW = WorkPoolRow(
    name="Grün",
    type="process",
    base_job_template={"a": [1, None, "ü"]},
    concurrency_limit=3,
    created=datetime(2026, 1, 2, 3, 4, 5, 678901, timezone(timedelta(hours=2))),
)
BY_NAME = Prepared(select(work_pools).where(work_pools.c.name == bindparam("pool_name")))
INSERT = Prepared(insert(work_pools).values({c.name: bindparam(c.name) for c in work_pools.c}))


async def test_rows_are_those_of_the_plain_statement(database: Database) -> None:
    async with database.write() as db:
        await db.run(INSERT, ROW.model_dump())
        await db.run(INSERT, {**ROW.model_dump(), "id": new_id(), "name": "other"})

    async with database.read() as db:
        found = await db.run(BY_NAME, {"pool_name": "Grün"})
        plain = await db.rows(select(work_pools).where(work_pools.c.name == "Grün"))

    assert [dict(row._mapping) for row in found] == [dict(row._mapping) for row in plain]
    assert found[0].created == datetime(2026, 1, 2, 1, 4, 5, 678901, UTC)
    assert found[0].base_job_template == {"a": [1, None, "ü"]}


async def test_a_change_is_undone_with_its_transaction(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.write() as db:
            await db.run(INSERT, ROW.model_dump())
            await db.run(INSERT, {**ROW.model_dump(), "id": new_id(), "name": "other"})
            raise ZeroDivisionError

    async with database.read() as db:
        assert await db.run(BY_NAME, {"pool_name": "Grün"}) == []


async def test_what_a_change_returns_are_its_rows(database: Database) -> None:
    pause = update(work_pools).where(work_pools.c.id == bindparam("which")).values(is_paused=True)
    paused = Prepared(pause.returning(work_pools.c.name, work_pools.c.is_paused))
    async with database.write() as db:
        await db.run(INSERT, ROW.model_dump())

        rows = await db.run(paused, {"which": ROW.id})

    assert [(row.name, row.is_paused) for row in rows] == [("Grün", True)]


async def test_a_list_is_taken_by_both_databases(database: Database) -> None:
    of_ids = select(work_pools.c.name).where(is_one_of(work_pools.c.id, "ids", database.dialect))
    async with database.write() as db:
        await db.run(INSERT, ROW.model_dump())

        rows = await db.run(Prepared(of_ids), {"ids": [uuid4(), ROW.id]})

    assert [row.name for row in rows] == ["Grün"]


async def test_a_name_that_is_taken_is_told_as_such(database: Database) -> None:
    async with database.write() as db:
        await db.run(INSERT, ROW.model_dump())

    with pytest.raises(IntegrityError):
        async with database.write() as db:
            await db.run(BY_NAME, {"pool_name": "x"})  # PostgreSQL has begun by now
            await db.run(INSERT, {**ROW.model_dump(), "id": new_id()})


@pytest.mark.postgres
async def test_a_lost_race_is_told_as_such(postgres_url: str) -> None:
    database = Database(postgres_url)
    lock = Prepared(select(work_pools.c.id).with_for_update(nowait=True))
    async with database.write() as db:
        await db.run(INSERT, ROW.model_dump())
    async with database.write() as first:
        await first.run(lock, {})

        with pytest.raises(DBAPIError) as raised:
            async with database.write() as second:
                await second.run(BY_NAME, {"pool_name": "x"})
                await second.run(lock, {})

    assert is_lost_race(raised.value)
    await database.close()


@pytest.mark.postgres
async def test_a_connection_that_was_cut_is_told_as_passing(postgres_url: str) -> None:
    database = Database(postgres_url)
    with pytest.raises(DBAPIError) as raised:
        async with database.write() as db:
            await db.run(BY_NAME, {"pool_name": "x"})
            driver = db.connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]
            driver.terminate()  # type: ignore[union-attr]
            await asyncio.sleep(0)
            await db.run(BY_NAME, {"pool_name": "x"})
    async with database.write() as db:
        again = await db.run(BY_NAME, {"pool_name": "x"})

    assert is_passing(raised.value)
    assert again == []
    await database.close()


async def test_a_statement_that_takes_a_list_otherwise_is_left_to_sqlalchemy(
    database: Database,
) -> None:
    named = Prepared(
        select(work_pools.c.name).where(work_pools.c.name.in_(bindparam("names", expanding=True)))
    )
    async with database.write() as db:
        await db.run(INSERT, ROW.model_dump())

        rows = await db.run(named, {"names": ["Grün", "x"]})

    assert not named.is_fixed
    assert [row.name for row in rows] == ["Grün"]


async def test_a_value_that_is_missing_is_an_error(database: Database) -> None:
    async with database.read() as db:
        with pytest.raises(KeyError, match="pool_name"):
            await db.run(BY_NAME, {})
