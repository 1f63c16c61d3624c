"""Explanations of what is in the database."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database
from tests.server.flow_runs.builders import a_flow, a_place, a_queue, a_run, propose


async def explain(api: httpx.AsyncClient, path: str) -> dict[str, dict[str, Any]]:
    """Conditions by rule."""
    answer = await api.get(f"{path}/explain")
    assert answer.status_code == 200, answer.text
    return {condition["rule"]: condition for condition in answer.json()["conditions"]}


async def test_a_full_pool_is_told_with_who_holds_it(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=1)
    holder = await a_run(database, place.queue_id, name="holder")
    await propose(api, holder, "PENDING", worker="w1")
    run = await a_run(database, place.queue_id)

    limit = (await explain(api, f"/flow_runs/{run}"))["pool_limit"]

    assert (limit["met"], limit["limit"], limit["held"]) == (False, 1, 1)
    (told,) = limit["holders"]
    assert told["flow_run_id"] == str(holder)
    assert (told["name"], told["worker"]) == ("holder", "w1")
    assert told["lease_expires_at"] > told["since"]


async def test_a_full_queue_names_its_own_holders_only(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, queue_limit=1)
    other = await a_queue(database, place.pool_id, "other")
    holder = await a_run(database, place.queue_id, name="holder")
    for run in (holder, await a_run(database, other)):
        await propose(api, run, "PENDING", worker="w1")
    waiting = await a_run(database, place.queue_id)

    conditions = await explain(api, f"/flow_runs/{waiting}")

    assert [told["name"] for told in conditions["queue_limit"]["holders"]] == ["holder"]
    assert conditions["pool_limit"]["met"]


async def test_a_full_deployment_is_told_with_who_holds_it(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_place(database)
    flow = await a_flow(database)
    body = {"name": "d", "flow_id": str(flow), "work_pool_name": "p", "concurrency_limit": 1}
    deployment = (await api.post("/deployments/", json=body)).json()["id"]
    path = f"/deployments/{deployment}/create_flow_run"
    holder = (await api.post(path, json={"name": "holder"})).json()["id"]
    await propose(api, holder, "PENDING", worker="w1")
    run = (await api.post(path, json={})).json()["id"]

    limit = (await explain(api, f"/flow_runs/{run}"))["deployment_limit"]

    assert (limit["met"], limit["limit"], limit["held"]) == (False, 1, 1)
    assert [(told["name"], told["worker"]) for told in limit["holders"]] == [("holder", "w1")]


async def test_workers_and_polls_are_looked_for(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id, due=datetime.now(UTC) + timedelta(hours=1))
    before = await explain(api, f"/flow_runs/{run}")

    await api.post("/work_pools/p/workers/heartbeat", json={"name": "w1"})
    await api.post("/work_pools/p/claim", json={"worker_name": "w1", "limit": 1})
    after = await explain(api, f"/flow_runs/{run}")

    assert not before["worker_online"]["met"]
    assert not before["queue_polled"]["met"]
    assert after["worker_online"]["met"]
    assert after["queue_polled"]["met"]
    assert not after["scheduled_time"]["met"]


async def test_a_pool_and_a_queue_are_explained(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, is_paused=True)
    paused = await a_queue(database, place.pool_id, "paused", is_paused=True)
    await a_run(database, paused)

    pool = await explain(api, "/work_pools/p")
    queue = await explain(api, f"/work_queues/{paused}")

    assert not pool["pool_paused"]["met"]
    assert not pool["due_run"]["met"]  # the only one is on a queue that gives none
    assert not queue["queue_paused"]["met"]
    assert queue["due_run"]["met"]


async def test_a_run_without_a_queue_is_explained(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_run(database)

    assert not (await explain(api, f"/flow_runs/{run}"))["place"]["met"]


@pytest.mark.parametrize("path", ["/flow_runs/{}", "/work_queues/{}", "/work_pools/{}"])
async def test_what_is_not_there_is_not_explained(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path.format(uuid4()) + "/explain")

    assert answer.status_code == 404
