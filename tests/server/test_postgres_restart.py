"""What callers see while PostgreSQL is away, and how soon they are served again."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.conftest import RunningServer, start_server, stop_process
from tests.postgres import Cluster

pytestmark = pytest.mark.postgres

RECOVERY_SECONDS = 3.0
MOST_SECONDS = 30.0  # to wait for an answer of a kind, however busy the machine is


@pytest.fixture
def server(
    postgres_cluster: Cluster, postgres_url: str, tmp_path: Path
) -> Iterator[RunningServer]:
    """A server with its background services on a database that will go away."""
    running = start_server(tmp_path, "--database-url", postgres_url)
    yield running
    stop_process(running.process)
    assert running.process.returncode == 0


@pytest.fixture
async def client(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(base_url=server.api_url, headers=headers, timeout=30) as client:
        yield client


@pytest.mark.parametrize("mode", ["immediate", "fast"])
async def test_a_restart_of_the_database_is_answered_with_503_and_then_over(
    postgres_cluster: Cluster, client: httpx.AsyncClient, mode: str
) -> None:
    answers: list[tuple[float, int]] = []  # when asked, and the status
    is_over = asyncio.Event()

    async def call(number: int) -> None:
        calls = 0
        while not is_over.is_set():
            calls += 1
            asked_at = time.monotonic()
            if number % 2:
                answer = await client.post("/work_pools/filter", json={})
            else:
                name = f"{mode}-{number}-{calls}"
                answer = await client.post("/work_pools/", json={"name": name, "type": "process"})
            answers.append((asked_at, answer.status_code))
            await asyncio.sleep(0.01)

    async def until_answered(*statuses: int, since: float = 0.0) -> None:
        async with asyncio.timeout(MOST_SECONDS):
            while not set(statuses) <= {s for at, s in answers if at >= since}:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    callers = [asyncio.create_task(call(number)) for number in range(6)]
    await until_answered(200, 201)
    await asyncio.to_thread(postgres_cluster.stop, mode)
    await until_answered(503)
    await asyncio.to_thread(postgres_cluster.start)
    recovered_at = time.monotonic() + RECOVERY_SECONDS
    await until_answered(200, 201, since=recovered_at)
    is_over.set()
    await asyncio.gather(*callers)

    assert {status for _, status in answers} == {200, 201, 503}
    assert {status for at, status in answers if at > recovered_at} == {200, 201}
