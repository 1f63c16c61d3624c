"""Changing and deleting many runs by one request; polling one queue; what a queue leaves."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2 as httpx
from sqlalchemy import text

from forebay_server.db.engine import Database
from tests.server.flow_runs.builders import a_place, a_queue, a_run, a_running_run


async def test_each_of_several_runs_gets_its_own_verdict(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    running = await a_running_run(api, database, place)
    scheduled = await a_run(database, place.queue_id)
    await a_run(database, name="left alone")
    chosen = {"id": {"any_": [str(running), str(scheduled)]}}

    answer = await api.post(
        "/flow_runs/bulk_set_state", json={"flow_runs": chosen, "state": {"type": "CANCELLING"}}
    )

    told = {each["flow_run_id"]: each["status"] for each in answer.json()["results"]}
    assert told == {str(running): "ACCEPT", str(scheduled): "REJECT"}
    assert (await api.get(f"/flow_runs/{scheduled}")).json()["state_type"] == "CANCELLED"


async def test_several_runs_are_deleted_by_a_filter(
    api: httpx.AsyncClient, database: Database
) -> None:
    gone = {str(await a_run(database, tags=["old"])) for _ in range(3)}
    left = str(await a_run(database))

    answer = await api.post(
        "/flow_runs/bulk_delete", json={"flow_runs": {"tags": {"all_": ["old"]}}}
    )

    assert set(answer.json()["deleted"]) == gone
    assert [run["id"] for run in (await api.post("/flow_runs/filter")).json()] == [left]
    assert (await api.post("/flow_runs/bulk_delete", json={"limit": 51})).status_code == 422


async def test_one_queue_is_polled_by_its_id(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    other = await a_queue(database, place.pool_id, "other", priority=2)
    now = datetime.now(UTC)
    for name, minutes in (("second", 2), ("first", 1), ("later", 90)):
        await a_run(database, other, due=now + timedelta(minutes=minutes), name=name)
    await a_run(database, place.queue_id, name="elsewhere")
    path = f"/work_queues/{other}/get_runs"

    all_runs = (await api.post(path)).json()
    before = {"scheduled_before": (now + timedelta(hours=1)).isoformat(), "limit": 1}
    first = (await api.post(path, json=before)).json()

    assert [run["name"] for run in all_runs] == ["first", "second", "later"]
    assert [run["name"] for run in first] == ["first"]
    assert (first[0]["work_pool_name"], first[0]["work_queue_name"]) == ("p", "other")
    assert (await api.post(f"/work_queues/{uuid4()}/get_runs")).status_code == 404


async def test_the_runs_of_a_deleted_queue_are_found_by_an_index(
    api: httpx.AsyncClient, database: Database
) -> None:
    if database.dialect == "sqlite":
        explain = "EXPLAIN QUERY PLAN"
    else:
        explain = "EXPLAIN"
    place = await a_place(database)
    queue = await a_queue(database, place.pool_id, "gone")
    run = await a_run(database, queue)

    async with database.write() as db:
        if database.dialect != "sqlite":
            await db.execute(text("SET LOCAL enable_seqscan = off"))  # the table is small here
        statement = f"{explain} SELECT 1 FROM flow_run WHERE work_queue_id = '{queue}'"
        plan = " ".join(str(row) for row in await db.rows(text(statement)))
    deleted = await api.delete(f"/work_queues/{queue}")

    assert "ix_flow_run_work_queue_id" in plan
    assert deleted.status_code == 204
    assert (await api.get(f"/flow_runs/{run}")).json()["work_queue_id"] is None
