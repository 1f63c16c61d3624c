"""Waits of one server process that end by what another one commits, on PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text

from forebay_server.app import create_app
from forebay_server.db.engine import Database
from forebay_server.db.relay import APPLICATION
from forebay_server.dispatch.waiting import WaitingRoom
from forebay_server.settings import ServerSettings
from tests.server.dispatch.builders import answered, waiting
from tests.server.flow_runs.builders import a_place, a_run

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(postgres_url: str, tmp_path: Path) -> ServerSettings:
    """Settings of servers that share their database."""
    return ServerSettings(
        home=tmp_path, database_url=postgres_url, require_token=False, run_services=False
    )


@pytest.fixture
async def other(app: FastAPI, settings: ServerSettings) -> AsyncIterator[Database]:
    """The database as a second process has it, once each hears of the other."""
    second = create_app(settings)
    async with second.router.lifespan_context(second):
        await app.state.relay.connected.wait()
        await second.state.relay.connected.wait()
        found = second.state.database
        assert isinstance(found, Database)
        yield found


async def test_a_commit_of_another_process_wakes_who_waits(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom, other: Database
) -> None:
    place = await a_place(database)
    claiming = await waiting(api, room)

    await a_run(other, place.queue_id, name="r")

    assert await answered(claiming) == ["r"]


async def test_who_waits_looks_again_when_notices_may_have_been_lost(
    api: httpx.AsyncClient,
    app: FastAPI,
    database: Database,
    room: WaitingRoom,
    settings: ServerSettings,
) -> None:
    place = await a_place(database)
    await app.state.relay.connected.wait()
    claiming = await waiting(api, room)
    silent = Database(settings.effective_database_url)  # tells nobody what it commits
    await a_run(silent, place.queue_id, name="r")

    async with silent.write() as db:
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
        is_relay = "datname = current_database() AND application_name = :name"
        await db.execute(text(f"{ending} {is_relay}"), {"name": APPLICATION})
    got = await answered(claiming)
    await silent.close()

    assert got == ["r"]
