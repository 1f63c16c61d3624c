"""Requests for runs, and looks at what the database did for them."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx2 as httpx

from forebay_server.dispatch.waiting import WaitingRoom

Claiming = asyncio.Task[httpx.Response]


async def claim(
    api: httpx.AsyncClient, *, pool: str = "p", worker: str = "w1", limit: int = 10, **body: Any
) -> httpx.Response:
    """Ask for runs; the answer as it came."""
    body = {"worker_name": worker, "limit": limit, **body}
    return await api.post(f"/work_pools/{pool}/claim", json=body, timeout=60)


def names(answer: httpx.Response) -> list[str]:
    """Names of the runs of an answer, in its order."""
    assert answer.status_code == 200, answer.text
    return [run["flow_run"]["name"] for run in answer.json()["runs"]]


async def until(is_so: Callable[[], bool]) -> None:
    """Return when something has become so."""
    async with asyncio.timeout(20):
        while not is_so():  # noqa: ASYNC110 - a count has no event
            await asyncio.sleep(0.001)


async def waiting(
    api: httpx.AsyncClient, room: WaitingRoom, *, seconds: float = 60, **body: Any
) -> Claiming:
    """A request that waits for runs, behind those that wait already."""
    before = room.waiting
    task = asyncio.create_task(claim(api, wait_seconds=seconds, **body))
    await until(lambda: room.waiting == before + 1 or task.done())
    return task


async def answered(claiming: Claiming) -> list[str]:
    """Names of the runs that a request got before a poll would have come."""
    async with asyncio.timeout(10):
        return names(await claiming)
