"""How the database finds what hot requests ask for: never by reading a whole table that grows."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2 as httpx
import pytest

from forebay.wire.work_pools import WorkerHeartbeat
from forebay_server.db.engine import Database, Transaction
from forebay_server.work_pools import queries as work_pools
from forebay_server.work_queues import queries as work_queues
from forebay_server.work_queues.filters import WorkQueueFilter
from forebay_server.workers import queries as workers
from tests.server.statements import recorded
from tests.server.work_pools.builders import a_pool

GROWING = ("SCAN claim", "SCAN flow_run", "SCAN worker", "SCAN work_pool", "SCAN work_queue")


async def plan(database: Database, ask: Callable[[Transaction], Awaitable[Any]]) -> list[str]:
    """What SQLite does for every statement of `ask`."""
    with recorded(database) as statements:
        async with database.write() as db:
            await ask(db)
    async with database.read() as db:
        return [
            row.detail
            for statement, parameters in statements
            for row in await db.connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", parameters
            )
        ]


HEARTBEAT = WorkerHeartbeat(name="w", heartbeat_interval_seconds=30)
HOT: dict[str, Callable[[Transaction], Awaitable[Any]]] = {
    "reading a pool": lambda db: work_pools.read(db, "p"),
    "reading a queue": lambda db: work_queues.read(db, "p", "default"),
    "listing a pool's queues": lambda db: work_queues.filter_in_pool(
        db, "p", WorkQueueFilter(), 200, 0
    ),
    "a heartbeat": lambda db: workers.record_heartbeats(db, {("p", "w"): HEARTBEAT}),
}


@pytest.mark.parametrize("name", HOT)
async def test_no_growing_table_is_read_whole(
    api: httpx.AsyncClient, database: Database, name: str
) -> None:
    await a_pool(api, "p", concurrency_limit=1)

    steps = await plan(database, HOT[name])

    assert steps
    assert [step for step in steps if step.startswith(GROWING)] == []


async def test_slots_are_counted_from_the_index_of_live_claims(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p", concurrency_limit=1)

    steps = await plan(database, lambda db: work_pools.read(db, "p"))

    assert any("ix_claim_live_pool" in step for step in steps)
