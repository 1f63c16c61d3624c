"""What callers get when PostgreSQL no longer answers, without a connection ever breaking."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from forebay_server.app import create_app
from forebay_server.db import engine
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings
from tests.silence import Silence

pytestmark = pytest.mark.postgres

# The bounds, a quarter as long: of a request at most 2 s instead of 8.
BOUNDS = {"CONNECT": 1.0, "PING": 0.5, "CHECKOUT": 1.5, "STATEMENT": 2.0, "CLOSE": 0.75}
MOST_SECONDS = 10.0 / 4  # that anybody may wait for an answer
RECOVERY_SECONDS = 3.0


@pytest.fixture(autouse=True)
def short_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in BOUNDS.items():
        monkeypatch.setattr(engine, f"{name}_SECONDS", seconds)


@pytest.fixture
async def silence(postgres_url: str) -> AsyncIterator[Silence]:
    """The way to the database."""
    silence = Silence(postgres_url)
    async with silence.open():
        yield silence


@pytest.fixture
def settings(silence: Silence, tmp_path: Path) -> ServerSettings:
    """Settings of a server whose database may fall silent."""
    return ServerSettings(
        home=tmp_path, database_url=silence.url, require_token=False, run_services=False
    )


async def call(api: httpx.AsyncClient, number: int) -> tuple[int, str | None, float]:
    """Status, `Retry-After` and seconds of a request that reads or writes."""
    began = time.monotonic()
    if number % 2:
        answer = await api.post("/work_pools/filter", json={})
    else:
        answer = await api.post("/work_pools/", json={"name": f"p{number}", "type": "process"})
    return answer.status_code, answer.headers.get("retry-after"), time.monotonic() - began


async def test_a_silent_database_is_answered_with_503_in_time_and_soon_forgotten(
    api: httpx.AsyncClient, silence: Silence
) -> None:
    warm = await asyncio.gather(*(call(api, number) for number in range(8)))
    assert {status for status, _, _ in warm} == {200, 201}

    silence.begin()
    answers = await asyncio.gather(*(call(api, number) for number in range(10, 40)))
    answers.append(await call(api, 40))
    silence.end()
    ended_at = time.monotonic()
    while (await call(api, 41))[0] != 200:
        assert time.monotonic() - ended_at < RECOVERY_SECONDS
    assert time.monotonic() - ended_at < RECOVERY_SECONDS

    assert {(status, retry) for status, retry, _ in answers} == {(503, "1")}
    assert max(seconds for _, _, seconds in answers) < MOST_SECONDS


async def test_heartbeats_behind_one_that_hangs_wait_no_longer_than_it(
    api: httpx.AsyncClient, silence: Silence
) -> None:
    async def beat(name: str) -> tuple[int, float]:
        began = time.monotonic()
        answer = await api.post("/work_pools/p/workers/heartbeat", json={"name": name})
        return answer.status_code, time.monotonic() - began

    await api.post("/work_pools/", json={"name": "p", "type": "process"})
    assert (await beat("w"))[0] == 204

    silence.begin()
    first = asyncio.create_task(beat("w"))
    await asyncio.sleep(0.1)  # until it is under way
    answers = [await beat("v"), await first]
    silence.end()

    assert {status for status, _ in answers} == {503}
    assert max(seconds for _, seconds in answers) < MOST_SECONDS


async def test_a_statement_that_is_never_answered_ends_in_time(
    database: Database, silence: Silence
) -> None:
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        async with database.write() as db:
            await db.scalar(select(1))
            silence.begin()
            await db.scalar(select(1))

    assert time.monotonic() - began < MOST_SECONDS


async def test_a_commit_that_is_never_answered_ends_in_time(
    database: Database, silence: Silence
) -> None:
    told = []
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        async with database.write() as db:
            await db.scalar(select(1))
            db.after_commit(lambda: told.append("committed"))
            silence.begin()

    assert time.monotonic() - began < MOST_SECONDS
    assert told == []


async def test_a_server_ends_although_its_database_is_silent(
    settings: ServerSettings, silence: Silence
) -> None:
    app: FastAPI = create_app(settings)
    async with app.router.lifespan_context(app):
        async with app.state.database.read() as db:
            await db.scalar(select(1))
        silence.begin()
        began = time.monotonic()

    assert time.monotonic() - began < MOST_SECONDS
