"""Lists by name stand in one order on both databases, whatever language PostgreSQL was made in."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx2 as httpx
import pytest
from sqlalchemy import text

from forebay_server.app import create_app
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings
from forebay_server.start import prepare
from tests.postgres import Cluster

# By language these would be mixed: a, A, b, B, é, z, Ω, 東, and signs between them.
NAMES = [
    "z",
    "B",
    "a",
    "é",
    "A b",
    "Ab",
    "a_b",
    "a-b",
    "Z",
    "Ω",
    "東",
    "\U0001f600",
    "10",
    "9",
    "É",
]
EXPECTED = sorted(NAMES, key=lambda name: name.encode())


@pytest.fixture(scope="module")
def english_url(postgres_cluster: Cluster) -> Iterator[str]:
    """A migrated PostgreSQL database made in English, as most are."""
    url = postgres_cluster.new_database(is_empty=True)
    name = urlsplit(url).path[1:]
    asyncio.run(_make_in_english(postgres_cluster.url, name))
    asyncio.run(prepare(ServerSettings(database_url=url, require_token=False)))
    yield url
    postgres_cluster.drop(url)


async def _make_in_english(url: str, name: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f"DROP DATABASE {name}")
        await connection.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' "
            "LC_CTYPE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
        )
    finally:
        await connection.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(
    request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path
) -> ServerSettings:
    """Settings of a quiet server on one database and the other."""
    if request.param == "postgresql":
        url = request.getfixturevalue("english_url")
    else:
        shutil.copy(migrated_sqlite, tmp_path / "forebay.db")
        url = f"sqlite+aiosqlite:///{tmp_path / 'forebay.db'}"
    return ServerSettings(home=tmp_path, database_url=url, require_token=False, run_services=False)


async def test_lists_by_name_are_ordered_by_bytes(api: httpx.AsyncClient) -> None:
    for name in NAMES:
        made = [
            await api.post("/work_pools/", json={"name": name, "type": "process"}),
            await api.post("/flows/", json={"name": name}),
        ]
        assert [answer.status_code for answer in made] == [201, 201], made
    paged = []
    for offset in range(0, len(NAMES), 4):
        page = await api.post("/work_pools/filter", json={"limit": 4, "offset": offset})
        paged += [pool["name"] for pool in page.json()]
    flows = await api.post("/flows/filter", json={"sort": "NAME_DESC"})

    assert paged == EXPECTED
    assert [flow["name"] for flow in flows.json()] == EXPECTED[::-1]


@pytest.mark.postgres
async def test_every_text_column_of_postgresql_is_ordered_by_bytes(english_url: str) -> None:
    connection = await asyncpg.connect(english_url.replace("+asyncpg", ""))
    try:
        others = await connection.fetch(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = current_schema() AND table_name <> 'alembic_version' "
            "AND data_type IN ('character varying', 'text') "
            "AND collation_name IS DISTINCT FROM 'C'"
        )
    finally:
        await connection.close()

    assert [tuple(row) for row in others] == []


@pytest.mark.postgres
async def test_an_index_answers_the_order_of_names_and_prefixes(
    english_url: str, tmp_path: Path
) -> None:
    app = create_app(ServerSettings(home=tmp_path, database_url=english_url, require_token=False))
    database: Database = app.state.database
    questions = {
        "work_pool_name_key": "SELECT name FROM work_pool ORDER BY name",
        "ix_event_name_occurred": "SELECT event FROM event WHERE event LIKE 'prefect.flow-run.%'",
    }

    async with database.write() as db:
        await db.execute(text("SET LOCAL enable_seqscan = off"))
        await db.execute(text("SET LOCAL enable_bitmapscan = off"))
        plans = {
            index: "\n".join(row[0] for row in await db.rows(text(f"EXPLAIN {question}")))
            for index, question in questions.items()
        }
    await database.close()

    for index, plan in plans.items():
        assert index in plan
        assert "Sort" not in plan
    assert "Index Cond" in plans["ix_event_name_occurred"]
