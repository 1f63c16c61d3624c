"""What a transaction promises: its place in a row of writers, its time, and what follows it."""

import asyncio
import sqlite3

import asyncpg
import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database, Transaction
from forebay_server.flows.tables import FlowRow, flows
from forebay_server.settings import ServerSettings
from tests.reliability import virtual_time
from tests.server.flow_runs.builders import a_place, a_run

FLOW = FlowRow(name="f")


async def test_writers_of_one_file_wait_for_each_other_from_their_first_read(
    database: Database, settings: ServerSettings
) -> None:
    other = Database(settings.effective_database_url)
    async with database.write() as db:
        await db.execute(insert(flows).values(FLOW.model_dump()))

    async def add(to: Database) -> None:
        for _ in range(20):
            async with to.write() as db:
                name = await db.scalar(select(flows.c.name).where(flows.c.id == FLOW.id))
                await db.execute(update(flows).values(name=name + "."))

    await asyncio.gather(add(database), add(other))

    async with database.read() as db:
        assert await db.scalar(select(flows.c.name)) == "f" + 40 * "."
    await other.close()


async def test_what_follows_a_commit_finds_it_committed(
    database: Database, settings: ServerSettings
) -> None:
    seen: list[int] = []

    def look() -> None:
        with sqlite3.connect(database.url.database or "") as file:
            seen.extend(file.execute("SELECT count(*) FROM flow").fetchone())

    async with database.write() as db:
        db.after_commit(look)
        await db.execute(insert(flows).values(FLOW.model_dump()))

    assert seen == [1]


async def test_nothing_follows_what_was_undone(database: Database) -> None:
    seen: list[str] = []

    async def fail(db: Transaction) -> None:
        db.after_commit(lambda: seen.append("told"))
        await db.execute(insert(flows).values(FLOW.model_dump()))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        async with database.write() as db:
            await fail(db)

    assert seen == []


async def test_sqlite_waits_for_the_disk_unless_it_is_told_not_to(database: Database) -> None:
    async with database.write() as db:
        assert await db.scalar(text("PRAGMA synchronous")) == 2


async def test_the_database_itself_refuses_a_second_live_claim(database: Database) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    async with database.write() as db:
        at = await db.now()
    claim = {
        "flow_run_id": run,
        "work_pool_id": place.pool_id,
        "work_queue_id": place.queue_id,
        "epoch": 1,
        "holder": "w",
        "lease_seconds": 20.0,
        "expires_at": at,
        "created": at,
        "updated": at,
    }

    with pytest.raises(IntegrityError):
        async with database.write() as db:
            for id in (place.pool_id, place.queue_id):  # any two ids
                await db.execute(insert(claims).values(id=id, **claim))


@pytest.mark.postgres
async def test_time_is_the_databases(postgres_url: str) -> None:
    connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
    await virtual_time.in_database(connection)
    database = Database(postgres_url)

    async with database.write() as db:
        seen = await db.now()

    assert seen == virtual_time.START
    await database.close()
    await connection.close()
