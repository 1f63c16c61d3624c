"""Claims of many runs at once: order, limits, pauses, what they answer, lost answers."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx2 as httpx
import pytest
from sqlalchemy import select

from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database
from tests.server.dispatch.builders import claim, names
from tests.server.flow_runs.builders import (
    a_deployment,
    a_flow,
    a_place,
    a_queue,
    a_run,
    live_claims,
    propose,
)
from tests.server.statements import recorded


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def test_runs_come_by_priority_then_time(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    low = await a_queue(database, place.pool_id, "low", priority=5)
    await a_run(database, low, name="low", due=later(-9))
    await a_run(database, place.queue_id, name="second", due=later(-1))
    await a_run(database, place.queue_id, name="first", due=later(-2))

    answer = await claim(api, limit=2)

    assert names(answer) == ["first", "second"]
    assert names(await claim(api)) == ["low"]


async def test_claimed_runs_are_pending_and_held_by_the_worker(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)

    (claimed,) = (await claim(api)).json()["runs"]

    stored = (await api.get(f"/flow_runs/{run}")).json()
    assert claimed["claim"] == f"{run}:1"
    assert claimed["flow_run"]["state"] == stored["state"]
    assert stored["state_type"] == "PENDING"
    assert stored["next_scheduled_start_time"] is None
    history = (await api.get(f"/flow_run_states/?flow_run_id={run}")).json()
    assert [state["type"] for state in history] == ["SCHEDULED", "PENDING"]
    again = await propose(api, run, "PENDING", worker="w2")
    running = await propose(api, run, "RUNNING", claim=claimed["claim"])
    assert again.json()["status"] == "ABORT"
    assert running.json()["status"] == "ACCEPT"


async def test_the_answer_has_all_that_starts_a_run(
    api: httpx.AsyncClient, database: Database
) -> None:
    template = {"job_configuration": {"a": "{{ a }}"}, "variables": {"properties": {"a": {}}}}
    place = await a_place(database, base_job_template=template)
    flow = await a_flow(database)
    fields = {"entrypoint": "flow.py:f", "path": "/code", "job_variables": {"a": 1}}
    deployment = await a_deployment(database, flow, **fields)
    run = {"flow_id": flow, "deployment_id": deployment, "parameters": {"x": 1}}
    await a_run(database, place.queue_id, **run)
    await a_run(database, place.queue_id, **run)

    answer = (await claim(api, limit=1)).json()
    second = (await claim(api, limit=1, known_pool=answer["work_pool"]["updated"])).json()

    (claimed,) = answer["runs"]
    assert claimed["flow_run"]["parameters"] == {"x": 1}
    assert claimed["deployment"].items() >= {"id": str(deployment), **fields}.items()
    assert answer["work_pool"]["base_job_template"] == template
    assert len(second["runs"]) == 1
    assert second["work_pool"] is None


@pytest.mark.parametrize("limited", ["pool", "queue"])
async def test_no_more_runs_are_claimed_than_slots_are_free(
    api: httpx.AsyncClient, database: Database, limited: str
) -> None:
    place = await a_place(
        database,
        concurrency_limit=2 if limited == "pool" else None,
        queue_limit=2 if limited == "queue" else None,
    )
    for number in range(4):
        await a_run(database, place.queue_id, name=f"r{number}")

    first, second = await claim(api), await claim(api)

    assert names(first) == ["r0", "r1"]
    assert names(second) == []
    await propose(api, first.json()["runs"][0]["flow_run"]["id"], "COMPLETED")
    assert names(await claim(api)) == ["r2"]


async def test_a_full_queue_takes_no_place_of_another(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, queue_limit=1)
    low = await a_queue(database, place.pool_id, "low", priority=2)
    for number in range(3):
        await a_run(database, place.queue_id, name=f"high{number}")
        await a_run(database, low, name=f"low{number}")

    answer = await claim(api, limit=3)

    assert names(answer) == ["high0", "low0", "low1"]


@pytest.mark.parametrize("limit", ["pool", "queue"])
async def test_a_limit_of_0_gives_nothing(
    api: httpx.AsyncClient, database: Database, limit: str
) -> None:
    place = await a_place(
        database,
        concurrency_limit=0 if limit == "pool" else None,
        queue_limit=0 if limit == "queue" else None,
    )
    await a_run(database, place.queue_id)

    assert names(await claim(api)) == []


@pytest.mark.parametrize("paused", ["pool", "queue"])
async def test_what_is_paused_gives_nothing(
    api: httpx.AsyncClient, database: Database, paused: str
) -> None:
    place = await a_place(database)
    await a_run(database, place.queue_id, name="r")
    path = "/work_pools/p" if paused == "pool" else f"/work_queues/{place.queue_id}"
    await api.patch(path, json={"is_paused": True})

    while_paused = await claim(api)
    await api.patch(path, json={"is_paused": False})

    assert names(while_paused) == []
    assert names(await claim(api)) == ["r"]


async def test_only_the_queues_asked_for_are_claimed_from(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    other = await a_queue(database, place.pool_id, "other")
    await a_run(database, place.queue_id, name="default")
    await a_run(database, other, name="other")

    answer = await claim(api, work_queue_names=["other"])

    assert names(answer) == ["other"]


async def test_runs_are_claimed_as_long_before_their_time_as_asked(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    await a_run(database, place.queue_id, name="soon", due=later(20))
    await a_run(database, place.queue_id, name="later", due=later(50))

    assert names(await claim(api)) == []
    assert names(await claim(api, prefetch_seconds=30)) == ["soon"]


async def test_a_run_that_waits_to_retry_by_itself_is_left_to_its_process(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id, empirical_policy={"retries": 1, "retry_delay": 0})
    for type in ("PENDING", "RUNNING", "FAILED"):
        await propose(api, run, type)

    assert names(await claim(api)) == []


def held(answer: httpx.Response) -> list[tuple[str, str]]:
    """Claims and states of an answer."""
    runs = answer.json()["runs"]
    return [(run["claim"], run["flow_run"]["state"]) for run in runs]


async def test_a_lost_answer_is_given_again(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    for number in range(4):
        await a_run(database, place.queue_id, name=f"r{number}")
    attempt = str(uuid4())

    first = await claim(api, limit=2, attempt=attempt)
    again = await claim(api, limit=2, attempt=attempt)
    others = await claim(api, limit=2, attempt=attempt, worker="w2")

    assert held(again) == held(first)
    assert names(again) == ["r0", "r1"]
    assert names(others) == ["r2", "r3"]
    assert len(await live_claims(database)) == 4


async def test_an_attempt_whose_runs_have_begun_gets_further_ones(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    for number in range(2):
        await a_run(database, place.queue_id, name=f"r{number}")
    attempt = str(uuid4())
    (claimed,) = (await claim(api, limit=1, attempt=attempt)).json()["runs"]
    await propose(api, claimed["flow_run"]["id"], "RUNNING", claim=claimed["claim"])

    assert names(await claim(api, limit=1, attempt=attempt)) == ["r1"]


async def test_a_deployments_limit_holds_and_makes_room_for_others(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    flow = await a_flow(database)
    body = {"name": "d", "flow_id": str(flow), "work_pool_name": "p", "concurrency_limit": 1}
    deployment = (await api.post("/deployments/", json=body)).json()["id"]
    for _ in range(3):
        await api.post(f"/deployments/{deployment}/create_flow_run", json={})
    await a_run(database, place.queue_id, name="other")

    answer = await claim(api, limit=2)

    runs = answer.json()["runs"]
    assert [run["flow_run"]["deployment_id"] for run in runs] == [deployment, None]
    body = {"flow_runs": {"state": {"name": {"any_": ["AwaitingConcurrencySlot"]}}}}
    assert (await api.post("/flow_runs/count", json=body)).json() == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"limit": 0}, 422),
        ({"limit": 101}, 422),
        ({"wait_seconds": 61}, 422),
        ({"lease_seconds": 1}, 422),
        ({"worker": "a\x00"}, 422),
        ({"work_queue_names": ["gone"]}, 404),
        ({"pool": "gone"}, 404),
        ({"nonsense": 1}, 422),
    ],
)
async def test_a_request_that_cannot_be_met_is_refused(
    api: httpx.AsyncClient, database: Database, body: dict[str, object], status: int
) -> None:
    await a_place(database)

    answer = await claim(api, **body)  # type: ignore[arg-type]

    assert answer.status_code == status


async def test_a_lease_is_as_long_as_asked_for(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    await a_run(database, place.queue_id)

    await claim(api, lease_seconds=33)

    async with database.read() as db:
        assert await db.scalar(select(claims.c.lease_seconds)) == 33


async def test_the_number_of_statements_does_not_depend_on_the_number_of_runs(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=100)
    for _ in range(21):
        await a_run(database, place.queue_id)
    known = (await claim(api, limit=1)).json()["work_pool"]["updated"]

    with recorded(database) as statements:
        answer = await claim(api, limit=20, known_pool=known)

    assert len(answer.json()["runs"]) == 20
    # Lock the pool, lock the runs, write; SQLite writes table by table.
    assert len(statements) == (3 if database.dialect == "postgresql" else 5), statements
