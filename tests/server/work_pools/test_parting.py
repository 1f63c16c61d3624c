"""Deleting pools, queues and deployments that thousands of runs have ended on."""

from uuid import UUID, uuid4

import httpx2 as httpx
import pytest
from sqlalchemy import func, select, update

from bench import seeds
from forebay_server.db.columns import now
from forebay_server.db.engine import Database
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools.parting import RUNS_AT_ONCE
from tests.both_databases import settings
from tests.server.flow_runs.builders import a_deployment, a_flow, a_place, a_queue, a_run
from tests.server.statements import recorded

__all__ = ["settings"]

ENDED = 2 * RUNS_AT_ONCE + 1
OFF = "UPDATE flow_run SET work_queue_id"


async def a_queue_with_ended_runs(database: Database) -> tuple[UUID, UUID]:
    """A queue `q` of the pool p, and the deployment of its runs."""
    place = await a_place(database)
    queue = await a_queue(database, place.pool_id, "q", priority=2)
    flow = await a_flow(database)
    deployment = await a_deployment(database, flow, work_queue_id=queue)
    of = {"flow_id": flow, "deployment_id": deployment}
    run = await a_run(database, queue, due=now(), **of)
    await seeds.backlog(database, await seeds.like(database, run), ENDED)
    ended = update(flow_runs).where(flow_runs.c.id != run)
    async with database.write() as db:
        await db.execute(ended.values(state_type="COMPLETED", end_time=now()))
    return queue, deployment


async def count(database: Database, column: str) -> int:
    """How many runs still refer to something."""
    referring = select(func.count()).where(flow_runs.c[column].is_not(None))
    async with database.read() as db:
        return int(await db.scalar(referring.select_from(flow_runs)))


@pytest.mark.parametrize(
    "path", ["/work_pools/p/queues/q", "/work_queues/{queue}", "/work_pools/p"]
)
async def test_runs_that_ended_leave_a_queue_some_at_a_time(
    api: httpx.AsyncClient, database: Database, path: str
) -> None:
    queue, _ = await a_queue_with_ended_runs(database)

    with recorded(database) as statements:
        answer = await api.delete(path.format(queue=queue))

    assert answer.status_code == 204
    assert sum(words.startswith(OFF) for words, _ in statements) == ENDED // RUNS_AT_ONCE + 1
    assert await count(database, "work_queue_id") == 0


async def test_runs_that_ended_leave_a_deployment_some_at_a_time(
    api: httpx.AsyncClient, database: Database
) -> None:
    _, deployment = await a_queue_with_ended_runs(database)

    answer = await api.delete(f"/deployments/{deployment}")

    assert answer.status_code == 204
    assert await count(database, "deployment_id") == 0


async def test_what_is_not_deleted_keeps_its_runs(
    api: httpx.AsyncClient, database: Database
) -> None:
    queue, _ = await a_queue_with_ended_runs(database)
    default = (await api.get("/work_pools/p/queues/default")).json()["id"]
    stale = {"If-Match": f'"{uuid4()}"'}

    changed_since = await api.delete(f"/work_queues/{queue}", headers=stale)
    pool_changed_since = await api.delete("/work_pools/p", headers=stale)
    async with database.write() as db:
        await db.execute(update(flow_runs).values(work_queue_id=UUID(default)))
    is_default = await api.delete(f"/work_queues/{default}")

    assert [changed_since.status_code, pool_changed_since.status_code] == [412, 412]
    assert is_default.status_code == 409
    assert await count(database, "work_queue_id") == ENDED + 1
