"""Claims of many from many sides at once, on both databases and from two processes."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from forebay_server.db import retries
from forebay_server.db.engine import Database
from forebay_server.dispatch import claiming
from forebay_server.dispatch.queries import Asked
from forebay_server.flow_runs.facts import Proposer
from forebay_server.work_pools import queries as work_pools
from tests.server.claims.test_concurrency import (
    COMPLETED,
    PENDING,
    RUNNING,
    propose,
    servers,
    urls,
    watched,
)
from tests.server.flow_runs.builders import a_place, a_queue, a_run

__all__ = ["servers", "urls"]

LATER = datetime(2100, 1, 1, tzinfo=UTC)  # not due, so only who knows the run proposes it


async def claim(database: Database, worker: str, limit: int) -> list[UUID]:
    """The runs that a worker gets."""
    asked = Asked("p", (), limit, worker, worker, attempt=uuid4())
    holder = claiming.Holder(Proposer(worker, is_worker=True), worker)
    outcome = await retries.write(database, lambda db: claiming.claim(db, asked, holder))
    return [run.flow_run.id for run in outcome.runs]


@pytest.mark.parametrize("limited", ["pool", "queue"])
@pytest.mark.parametrize("limit", [1, 5])
async def test_takers_of_many_and_of_one_keep_a_limit_together(
    servers: list[Database], limited: str, limit: int
) -> None:
    place = await a_place(
        servers[0],
        concurrency_limit=limit if limited == "pool" else None,
        queue_limit=limit if limited == "queue" else None,
    )
    runs = [await a_run(servers[0], place.queue_id) for _ in range(24)]
    proposed = [await a_run(servers[0], place.queue_id, due=LATER) for _ in range(12)]
    left = list(proposed)
    claimed: list[UUID] = []

    async def carry_out(database: Database, worker: str, got: list[UUID]) -> None:
        for run in got:
            claimed.append(run)
            await propose(database, run, RUNNING, worker)
            await propose(database, run, COMPLETED, worker)

    async def taker_of_many(number: int) -> None:
        database, worker = servers[number % len(servers)], f"many{number}"
        while not set(runs) <= set(claimed):
            await carry_out(database, worker, await claim(database, worker, 1 + number % 4))

    async def taker_of_one(number: int) -> None:
        database, worker = servers[number % len(servers)], f"one{number}"
        while left:
            run = left.pop()
            if (await propose(database, run, PENDING, worker)).status == "ACCEPT":
                await carry_out(database, worker, [run])

    takers = [*map(taker_of_many, range(6)), *map(taker_of_one, range(3))]
    async with asyncio.timeout(60), watched(servers[0]) as peak:
        await asyncio.gather(*takers)

    assert len(claimed) == len(set(claimed))
    assert set(runs) <= set(claimed)
    assert peak.most <= limit


async def test_every_run_is_given_once_and_none_is_left(servers: list[Database]) -> None:
    place = await a_place(servers[0])
    queues = [place.queue_id, await a_queue(servers[0], place.pool_id, "other", priority=2)]
    runs = [await a_run(servers[0], queues[number % 2]) for number in range(60)]

    given = await asyncio.gather(
        *(claim(servers[number % len(servers)], f"w{number}", 10) for number in range(6))
    )

    assert sorted(run for part in given for run in part) == sorted(runs)
    assert [len(part) for part in given] == [10] * 6


async def test_a_limit_that_is_lowered_meanwhile_is_kept(servers: list[Database]) -> None:
    place = await a_place(servers[0], concurrency_limit=3)
    for _ in range(5):
        await a_run(servers[0], place.queue_id)

    first = await claim(servers[0], "w1", 1)
    async with servers[-1].write() as db:
        await work_pools.update(db, "p", {"concurrency_limit": 1})

    assert len(first) == 1
    assert await claim(servers[0], "w2", 5) == []
