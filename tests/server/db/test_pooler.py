"""The server behind a real PgBouncer that lends a connection to one transaction at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from forebay_server.app import create_app
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings
from tests.conftest import require_tool
from tests.pgbouncer import pooler
from tests.server.dispatch.builders import until
from tests.server.flow_runs.builders import a_deployment, a_flow, a_place

pytestmark = pytest.mark.postgres

LENT = 2  # connections to the database
HELD = 8  # of each process to the pooler
CLIENTS = 12


@pytest.fixture
def settings(postgres_url: str, tmp_path: Path) -> Iterator[ServerSettings]:
    """Settings of a server whose requests go through the pooler."""
    with pooler(require_tool("pgbouncer"), postgres_url, LENT) as pooler_url:
        yield ServerSettings(
            home=tmp_path,
            database_url=postgres_url,
            database_pooler_url=pooler_url,
            database_connections=HELD,
            require_token=False,
            run_services=False,
        )


@pytest.fixture
async def apps(settings: ServerSettings) -> AsyncIterator[list[FastAPI]]:
    """Two servers of one database."""
    async with AsyncExitStack() as stack:
        found = [create_app(settings) for _ in range(2)]
        for app in found:
            await stack.enter_async_context(app.router.lifespan_context(app))
        yield found


def client(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost/api", timeout=30)


async def a_deployed_flow(app: FastAPI) -> str:
    """The path that makes runs of a deployment in a new pool `p` with three slots."""
    database: Database = app.state.database
    place = await a_place(database, concurrency_limit=3)
    flow = await a_flow(database)
    deployment = await a_deployment(database, flow, work_queue_id=place.queue_id)
    return f"/deployments/{deployment}/create_flow_run"


async def ok(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Any:
    answer = await api.post(path, json=body)
    assert answer.status_code < 300, answer.text
    return answer.json()


async def test_many_clients_share_the_poolers_connections(apps: list[FastAPI]) -> None:
    path = await a_deployed_flow(apps[0])
    done: list[str] = []

    async def deliver(number: int) -> None:
        async with client(apps[number % 2]) as api:
            worker = f"w{number}"
            await ok(api, path, {})
            while len(done) < CLIENTS:
                asked = {"worker_name": worker, "limit": 2, "wait_seconds": 0.5}
                claimed = (await ok(api, "/work_pools/p/claim", asked))["runs"]
                if not claimed:
                    continue
                for type in ("RUNNING", "COMPLETED"):
                    reports = [{"claim": run["claim"], "state": {"type": type}} for run in claimed]
                    report = {"worker_name": worker, "reports": reports}
                    answer = await ok(api, "/work_pools/p/report", report)
                    assert {each["status"] for each in answer["results"]} == {"ACCEPT"}
                done.extend(run["flow_run"]["id"] for run in claimed)

    async def count() -> int:
        async with apps[0].state.database.read() as db:
            return int(
                await db.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forebay'"
                        " AND datname = current_database()"
                    )
                )
            )

    await asyncio.gather(*(deliver(number) for number in range(CLIENTS)))
    async with client(apps[0]) as api:
        runs = await ok(api, "/flow_runs/filter", {})

    assert sorted(done) == sorted(run["id"] for run in runs)
    assert {run["state_type"] for run in runs} == {"COMPLETED"}
    assert await count() <= LENT


async def test_notices_of_another_process_come_by_a_connection_of_their_own(
    apps: list[FastAPI],
) -> None:
    path = await a_deployed_flow(apps[0])
    async with client(apps[0]) as here, client(apps[1]) as there:
        asked = {"worker_name": "w", "limit": 1, "wait_seconds": 20}
        waiting = asyncio.create_task(ok(there, "/work_pools/p/claim", asked))
        await until(lambda: apps[1].state.waiting_room.waiting == 1)

        made = await ok(here, path, {})

        async with asyncio.timeout(4):  # lines that heard nothing look after 5 seconds
            claimed = await waiting
    assert [run["flow_run"]["id"] for run in claimed["runs"]] == [made["id"]]


@pytest.mark.parametrize("way", ["read", "write"])
async def test_each_transaction_has_its_bounds_of_time(apps: list[FastAPI], way: str) -> None:
    database: Database = apps[0].state.database

    async with getattr(database, way)() as db:
        bounds = [
            await db.scalar(text(f"SHOW {name}")) for name in ("lock_timeout", "statement_timeout")
        ]

    assert bounds == ["2s", "10s"]


async def test_a_statement_that_waits_for_a_lock_gives_up(apps: list[FastAPI]) -> None:
    await a_deployed_flow(apps[0])
    lock = text("SELECT id FROM work_pool FOR UPDATE")

    async with apps[0].state.database.write() as holder:
        await holder.execute(lock)
        with pytest.raises(DBAPIError, match="lock timeout"):
            async with apps[1].state.database.write() as db:
                await db.execute(lock)
