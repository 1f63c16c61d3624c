"""Polls: which runs are offered, in which order, and at what cost."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest
from sqlalchemy import text, update

from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay_server.db.engine import Database
from forebay_server.flow_runs import queries
from forebay_server.flow_runs.tables import FlowRunRow
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues
from tests.server.flow_runs.builders import (
    a_deployment,
    a_flow,
    a_place,
    a_queue,
    a_run,
    propose,
)
from tests.server.statements import recorded

NOW = datetime.now(UTC)


def ago(seconds: float) -> datetime:
    """A time before the tests began."""
    return NOW - timedelta(seconds=seconds)


async def poll(
    api: httpx.AsyncClient, pool: str = "p", *, worker: str | None = None, **body: Any
) -> list[str]:
    """The names of the runs that are offered."""
    headers = {"x-prefect-worker-name": worker} if worker else {}
    path = f"/work_pools/{pool}/get_scheduled_flow_runs"
    answer = await api.post(path, json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return [entry["flow_run"]["name"] for entry in answer.json()]


async def three_queues(database: Database, **pool: Any) -> None:
    """The pool of the recording: hi 1, default 2, lo 5, and their runs."""
    place = await a_place(database, **pool)
    async with database.write() as db:
        await db.execute(update(work_queues).values(priority=2))
    hi = await a_queue(database, place.pool_id, "hi", priority=1)
    lo = await a_queue(database, place.pool_id, "lo", priority=5)
    for name, queue, seconds in (
        ("lo1", lo, 300),
        ("lo2", lo, 200),
        ("hi1", hi, 100),
        ("hi2", hi, 50),
        ("def1", place.queue_id, 400),
        ("hi-future", hi, -3600),
    ):
        await a_run(database, queue, due=ago(seconds), name=name)


async def test_runs_are_offered_by_priority_and_time(
    api: httpx.AsyncClient, database: Database
) -> None:
    await three_queues(database)

    every_run = await poll(api)
    due = await poll(api, scheduled_before=str(NOW))

    assert every_run == ["hi1", "hi2", "hi-future", "def1", "lo1", "lo2"]
    assert due == ["hi1", "hi2", "def1", "lo1", "lo2"]
    assert await poll(api, scheduled_before=str(NOW), limit=2) == ["hi1", "hi2"]
    assert await poll(api, limit=0) == []
    assert await poll(api, scheduled_before=str(NOW), work_queue_names=["lo", "hi"]) == [
        "hi1",
        "hi2",
        "lo1",
        "lo2",
    ]
    assert await poll(api, scheduled_before=str(NOW), scheduled_after=str(ago(150))) == [
        "hi1",
        "hi2",
    ]


async def test_queues_of_one_priority_share_their_turn(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    other = await a_queue(database, place.pool_id, "other", priority=1)
    for name, queue, seconds in (
        ("a", place.queue_id, 40),
        ("b", other, 30),
        ("c", place.queue_id, 20),
    ):
        await a_run(database, queue, due=ago(seconds), name=name)

    assert await poll(api) == ["a", "b", "c"]


async def test_free_slots_bound_the_offer(api: httpx.AsyncClient, database: Database) -> None:
    await three_queues(database, concurrency_limit=3)
    runs = (await api.post("/flow_runs/filter", json={})).json()
    ids = {run["name"]: run["id"] for run in runs}

    assert await poll(api, scheduled_before=str(NOW)) == ["hi1", "hi2", "def1"]
    await propose(api, ids["hi1"], "PENDING")
    assert await poll(api, scheduled_before=str(NOW)) == ["hi2", "def1"]
    await propose(api, ids["hi2"], "RUNNING")
    assert await poll(api, scheduled_before=str(NOW)) == ["def1"]
    await propose(api, ids["hi2"], "CANCELLING")
    await propose(api, ids["def1"], "PENDING")
    assert await poll(api, scheduled_before=str(NOW)) == []


@pytest.mark.parametrize(("limit", "offered"), [(0, []), (1, ["lo1"]), (None, ["lo1", "lo2"])])
async def test_a_queue_s_limit_bounds_its_share(
    api: httpx.AsyncClient, database: Database, limit: int | None, offered: list[str]
) -> None:
    await three_queues(database)
    async with database.write() as db:
        is_lo = work_queues.c.name == "lo"
        await db.execute(update(work_queues).where(is_lo).values(concurrency_limit=limit))

    assert await poll(api, scheduled_before=str(NOW)) == ["hi1", "hi2", "def1", *offered]


async def test_nothing_is_offered_from_what_is_paused(
    api: httpx.AsyncClient, database: Database
) -> None:
    await three_queues(database)

    async with database.write() as db:
        is_hi = work_queues.c.name == "hi"
        await db.execute(update(work_queues).where(is_hi).values(is_paused=True))
    assert await poll(api) == ["def1", "lo1", "lo2"]

    async with database.write() as db:
        await db.execute(update(work_pools).values(is_paused=True))
    assert await poll(api) == []


async def test_a_run_that_retries_by_itself_is_not_offered(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    policy = {"retry_type": "in_process"}
    await a_run(database, place.queue_id, name="own", empirical_policy=policy)
    await a_run(database, place.queue_id, name="free")

    assert await poll(api) == ["free"]


async def test_more_queues_than_one_statement_takes_are_merged(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, is_paused=False)
    expected = []
    for number in range(25):
        queue = await a_queue(database, place.pool_id, f"q{number}", priority=number + 2)
        name = f"r{number:02}"
        await a_run(database, queue, name=name)
        expected.append(name)

    assert await poll(api) == expected
    assert await poll(api, limit=12) == expected[:12]


async def test_any_number_of_queues_may_share_a_priority(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    flow_id = await a_flow(database)
    for number in range(120):
        queue = await a_queue(database, place.pool_id, f"q{number}", priority=1)
        await a_run(database, queue, flow_id=flow_id, name=f"r{number}")

    assert len(set(await poll(api))) == 120


async def test_what_does_not_exist_is_named(api: httpx.AsyncClient, database: Database) -> None:
    await a_place(database)

    no_pool = await api.post("/work_pools/nope/get_scheduled_flow_runs", json={})
    no_queue = await api.post(
        "/work_pools/p/get_scheduled_flow_runs", json={"work_queue_names": ["nope"]}
    )
    too_many = await api.post("/work_pools/p/get_scheduled_flow_runs", json={"limit": 201})

    assert no_pool.status_code == 404
    assert no_pool.json()["detail"] == 'Work pool "nope" not found.'
    assert no_queue.status_code == 404
    assert no_queue.json()["detail"] == "Work pool queue 'p/nope' not found."
    assert too_many.status_code == 422


async def test_an_entry_has_no_state_and_names_its_queue(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)

    answer = await api.post("/work_pools/p/get_scheduled_flow_runs")

    (entry,) = answer.json()
    assert entry["work_pool_id"] == str(place.pool_id)
    assert entry["work_queue_id"] == str(place.queue_id)
    assert entry["flow_run"]["id"] == str(run)
    assert entry["flow_run"]["state"] is None
    assert entry["flow_run"]["state_type"] == "SCHEDULED"
    assert entry["flow_run"]["work_queue_name"] == "default"


async def test_a_worker_s_poll_makes_queues_and_deployments_ready(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    flow_id = await a_flow(database)
    deployment = await a_deployment(database, flow_id, work_queue_id=place.queue_id)

    await poll(api)
    looked = (await api.get(f"/work_queues/{place.queue_id}")).json()
    await poll(api, worker="w1")
    polled = (await api.get(f"/work_queues/{place.queue_id}")).json()
    await poll(api, worker="w1")
    again = (await api.get(f"/work_queues/{place.queue_id}")).json()

    assert (looked["status"], looked["last_polled"]) == ("NOT_READY", None)
    assert polled["status"] == "READY"
    assert polled["last_polled"] is not None
    assert again == polled
    read = (await api.get(f"/deployments/{deployment}")).json()
    assert read["status"] == "READY"


# ---------------------------------------------------------------------------------------- cost


async def a_backlog(database: Database, queue_id: UUID, size: int) -> None:
    """Many due runs, and the statistics that the planner goes by."""
    flow_id = await a_flow(database)
    runs = []
    for number in range(size):
        details = StateDetails(scheduled_time=ago(number))
        state = StateCreate(type=StateType.SCHEDULED, state_details=details)
        row = FlowRunRow(
            name=f"r{number}", flow_id=flow_id, work_queue_id=queue_id, idempotency_key=str(number)
        )
        runs.append((row, state))
    async with database.write() as db:
        await queries.create_many(db, runs)
        await db.execute(text("ANALYZE"))


async def explain(database: Database, statement: str, values: Any) -> list[str]:
    """The steps of a statement's plan, one a line."""
    async with database.read() as db:
        if database.dialect == "sqlite":
            rows = await db.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
            return [row.detail for row in rows]
        rows = await db.connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", values
        )
        found = rows.scalar()
        plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    steps = []
    left = [plan]
    while left:
        node = left.pop()
        left += node.get("Plans", [])
        rows_read = node["Actual Rows"] * node["Actual Loops"]
        relation = node.get("Relation Name", "")
        steps.append(f"{node['Node Type']} {relation} rows={rows_read:.0f}")
    return steps


async def test_a_poll_takes_two_statements_that_do_not_touch_the_backlog(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=20)
    await a_backlog(database, place.queue_id, 2000)
    await poll(api, limit=10)

    with recorded(database) as sent:
        offered = await poll(api, limit=10, scheduled_before=str(NOW))

    assert offered == [f"r{number}" for number in range(1999, 1989, -1)]
    assert len(sent) == 2, [statement[:200] for statement, _ in sent]
    for statement, values in sent:
        plan = await explain(database, statement, values)
        if database.dialect == "sqlite":
            on_runs = [step for step in plan if "flow_run" in step]
            assert on_runs, plan
            assert all(step.startswith("SEARCH") for step in on_runs), plan
            # A sort comes only after the search that the index answers in order.
            first = next(i for i, step in enumerate(plan) if "ix_flow_run_due" in step)
            assert "TEMP B-TREE" not in " ".join(plan[: first + 1]), plan
        else:
            assert not [step for step in plan if step.startswith("Seq Scan flow_run")], plan
            assert max(int(step.rpartition("=")[2]) for step in plan) <= 20, plan


@pytest.mark.parametrize(("type", "most"), [("PENDING", 4), ("RUNNING", 3), ("COMPLETED", 4)])
async def test_a_transition_takes_few_statements(
    api: httpx.AsyncClient, database: Database, type: str, most: int
) -> None:
    place = await a_place(database, concurrency_limit=5)
    run = await a_run(database, place.queue_id)
    for before in {"RUNNING": ["PENDING"], "COMPLETED": ["PENDING", "RUNNING"]}.get(type, []):
        await propose(api, run, before, worker="w1")

    with recorded(database) as sent:
        answer = await propose(api, run, type, worker="w1")

    assert answer.json()["status"] == "ACCEPT"
    assert len(sent) <= (most if database.dialect == "sqlite" else 3), sent
