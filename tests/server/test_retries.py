"""Requests whose transaction loses against another one."""

import asyncio

import httpx2 as httpx
import pytest
from sqlalchemy import select

from forebay_server import protocol
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings
from forebay_server.work_pools.tables import work_pools

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(settings: ServerSettings, postgres_url: str) -> ServerSettings:
    """The same on PostgreSQL, where transactions can lose."""
    return settings.model_copy(update={"database_url": postgres_url})


@pytest.mark.parametrize("headers", [{}, {"Idempotency-Key": "k"}], ids=["plain", "with a key"])
async def test_a_request_that_waited_too_long_for_a_lock_is_tried_again(
    api: httpx.AsyncClient, database: Database, headers: dict[str, str]
) -> None:
    await api.post("/work_pools/", json={"name": "p"})
    async with database.write() as db:
        await db.execute(select(work_pools).with_for_update())
        body = {"name": "q", "priority": 1}
        waiting = asyncio.create_task(api.post("/work_pools/p/queues", json=body, headers=headers))

        # PostgreSQL gives up the first wait for the lock after 2 seconds.
        await asyncio.wait([waiting], timeout=2.5)
        is_done = waiting.done()
    answer = await waiting

    assert not is_done
    assert answer.status_code == 201, answer.text


async def test_a_request_that_always_loses_is_told_to_come_back(
    api: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocol, "MAX_TRIES", 2)
    await api.post("/work_pools/", json={"name": "p"})
    async with database.write() as db:
        await db.execute(select(work_pools).with_for_update())

        answer = await api.post("/work_pools/p/queues", json={"name": "q", "priority": 1})

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
    assert (await api.get("/work_pools/p/queues/q")).status_code == 404
