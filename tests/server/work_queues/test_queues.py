"""Work queues over HTTP."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest
from sqlalchemy import select

from forebay_server.db.engine import Database
from forebay_server.errors import NotFound
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_queues import queries
from tests.server.work_pools.builders import Counted, a_claim, a_pool, a_run


async def a_queue(
    api: httpx.AsyncClient, name: str, *, pool: str = "p", **fields: Any
) -> dict[str, Any]:
    answer = await api.post(f"/work_pools/{pool}/queues", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    queue: dict[str, Any] = answer.json()
    return queue


async def ranks(api: httpx.AsyncClient) -> dict[str, int]:
    queues = (await api.post("/work_pools/p/queues/filter")).json()
    return {queue["name"]: queue["priority"] for queue in queues}


async def by_path(api: httpx.AsyncClient, name: str, changes: dict[str, Any]) -> httpx.Response:
    return await api.patch(f"/work_pools/p/queues/{name}", json=changes)


async def by_id(api: httpx.AsyncClient, name: str, changes: dict[str, Any]) -> httpx.Response:
    queue = (await api.get(f"/work_pools/p/queues/{name}")).json()
    return await api.patch(f"/work_queues/{queue['id']}", json=changes)


BOTH_PATHS = pytest.mark.parametrize("change", [by_path, by_id])


@BOTH_PATHS
async def test_priorities_move_as_recorded(api: httpx.AsyncClient, change: Any) -> None:
    await a_pool(api, "p")
    for name in ("a", "b"):
        await a_queue(api, name)
    await a_queue(api, "c", priority=2)
    await a_queue(api, "d", priority=10)
    assert await ranks(api) == {"default": 1, "c": 2, "a": 3, "b": 4, "d": 10}

    await a_queue(api, "e")
    assert await ranks(api) == {"default": 1, "c": 2, "a": 3, "b": 4, "e": 5, "d": 10}

    assert (await change(api, "d", {"priority": 1})).status_code == 204
    assert await ranks(api) == {"d": 1, "default": 2, "c": 3, "a": 4, "b": 5, "e": 6}

    assert (await change(api, "a", {"priority": 100})).status_code == 204
    assert await ranks(api) == {"d": 1, "default": 2, "c": 3, "b": 5, "e": 6, "a": 100}

    assert (await api.delete("/work_pools/p/queues/c")).status_code == 204
    await a_queue(api, "f")
    assert await ranks(api) == {"d": 1, "default": 2, "f": 3, "b": 5, "e": 6, "a": 100}

    assert (await change(api, "b", {"priority": 5})).status_code == 204
    assert await ranks(api) == {"d": 1, "default": 2, "f": 3, "b": 5, "e": 6, "a": 100}


async def test_queues_made_at_once_get_priorities_of_their_own(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")

    await asyncio.gather(*(a_queue(api, f"q{i}", priority=1) for i in range(10)))

    assert sorted((await ranks(api)).values()) == list(range(1, 12))


async def test_moving_queues_costs_the_same_number_of_statements_however_many_move(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")
    counts = []
    for size in (3, 30):
        while len(await ranks(api)) < size:
            await a_queue(api, f"q{uuid4()}")
        last = (await api.post("/work_pools/p/queues/filter")).json()[-1]
        async with database.write() as db:
            statements = Counted(db)
            await queries.change(statements, UUID(last["id"]), {"priority": 1})  # type: ignore[arg-type]
        counts.append(statements.count)

    assert counts[0] == counts[1]


async def test_queue_answers_its_pool_and_defaults(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api, "p")

    queue = await a_queue(api, "q", description=None)

    assert queue["work_pool_id"] == pool["id"]
    assert queue["work_pool_name"] == "p"
    assert (queue["description"], queue["status"], queue["filter"]) == ("", "NOT_READY", None)
    assert (await api.get("/work_pools/p/queues/q")).json() == queue
    assert (await api.get(f"/work_queues/{queue['id']}")).json() == queue


async def test_taken_name_is_a_conflict_that_names_the_queue_and_moves_nobody(
    api: httpx.AsyncClient,
) -> None:
    await a_pool(api, "p")
    queue = await a_queue(api, "q")

    answer = await api.post("/work_pools/p/queues", json={"name": "q", "priority": 1})

    assert (answer.status_code, answer.json()["existing_id"]) == (409, queue["id"])
    assert await ranks(api) == {"default": 1, "q": 2}


async def test_same_name_in_another_pool_is_free(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")
    await a_pool(api, "o")
    await a_queue(api, "q")

    queue = await a_queue(api, "q", pool="o")

    assert queue["work_pool_name"] == "o"


@BOTH_PATHS
async def test_renaming_to_a_taken_name_is_a_conflict(api: httpx.AsyncClient, change: Any) -> None:
    await a_pool(api, "p")
    await a_queue(api, "q")

    answer = await change(api, "q", {"name": "default"})

    assert answer.status_code == 409


@BOTH_PATHS
@pytest.mark.parametrize("key", ["priority", "is_paused", "name"])
async def test_null_where_a_value_must_be_is_a_conflict_that_names_it(
    api: httpx.AsyncClient, change: Any, key: str
) -> None:
    await a_pool(api, "p")

    answer = await change(api, "default", {key: None})

    assert (answer.status_code, key in answer.json()["detail"]) == (409, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "x", "priority": 0},
        {"name": "x", "priority": 2**31},
        {"name": "x", "concurrency_limit": -1},
        {"name": "x/y"},
        {"name": ""},
        {"name": "x", "extra": 1},
        {},
    ],
)
async def test_unusable_queue_is_refused(api: httpx.AsyncClient, fields: dict[str, Any]) -> None:
    await a_pool(api, "p")

    answer = await api.post("/work_pools/p/queues", json=fields)

    assert answer.status_code == 422


@BOTH_PATHS
async def test_pause_and_resume_change_the_status_once(
    api: httpx.AsyncClient, change: Any
) -> None:
    await a_pool(api, "p")
    seen = []
    polled = (await api.post("/work_pools/p/queues/filter")).json()[0]["created"]
    for changes in (
        {"is_paused": False},
        {"is_paused": True},
        {"is_paused": True},
        {"description": "x"},
        {"is_paused": False},
        {"is_paused": True},
        {"last_polled": polled},
        {"is_paused": False},
        {"is_paused": False},
    ):
        assert (await change(api, "default", changes)).status_code == 204
        seen.append((await api.get("/work_pools/p/queues/default")).json()["status"])

    assert seen == [
        "NOT_READY",
        "PAUSED",
        "PAUSED",
        "PAUSED",
        "NOT_READY",
        "PAUSED",
        "PAUSED",
        "READY",
        "READY",
    ]


async def test_queue_made_paused_is_not_ready(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")

    queue = await a_queue(api, "q", is_paused=True)

    assert (queue["is_paused"], queue["status"]) == (True, "NOT_READY")


async def test_default_queue_goes_with_its_pool_only(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api, "p")
    renamed = await api.patch("/work_pools/p/queues/default", json={"name": "main"})

    by_path = await api.delete("/work_pools/p/queues/main")
    by_id = await api.delete(f"/work_queues/{pool['default_queue_id']}")

    assert (renamed.status_code, by_path.status_code, by_id.status_code) == (204, 409, 409)
    assert await ranks(api) == {"main": 1}


async def test_deleting_a_queue_leaves_its_runs_without_one(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")
    queue = await a_queue(api, "q")
    run_id = await a_run(database, UUID(queue["id"]))

    deleted = await api.delete(f"/work_queues/{queue['id']}")

    async with database.read() as db:
        left = await db.row(select(flow_runs.c.work_queue_id).where(flow_runs.c.id == run_id))
    assert deleted.status_code == 204
    assert left is not None
    assert left.work_queue_id is None


async def test_what_is_not_there_answers_404(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")
    answers = [
        await api.get("/work_pools/p/queues/x"),
        await api.patch("/work_pools/p/queues/x", json={}),
        await api.delete("/work_pools/p/queues/x"),
        await api.get("/work_pools/nope/queues/x"),
        await api.post("/work_pools/nope/queues", json={"name": "q"}),
        await api.post("/work_pools/nope/queues/filter"),
        await api.get(f"/work_queues/{uuid4()}"),
        await api.patch(f"/work_queues/{uuid4()}", json={}),
        await api.patch(f"/work_queues/{uuid4()}", json={"priority": 1}),
        await api.delete(f"/work_queues/{uuid4()}"),
        await api.get(f"/work_queues/{uuid4()}/status"),
        await api.get("/work_queues/not-an-id"),
        await api.get("/work_queues/name/x"),
    ]

    assert {answer.status_code for answer in answers} == {404}


async def test_queues_of_all_pools_are_listed_by_name(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")
    await a_pool(api, "o")
    await a_queue(api, "Alpha")

    everything = (await api.post("/work_queues/filter", json={"offset": None})).json()
    criteria = {"name": {"startswith_": ["al", "x%"]}}
    some = (await api.post("/work_queues/filter", json={"work_queues": criteria})).json()

    assert [queue["name"] for queue in everything] == ["Alpha", "default", "default"]
    assert [queue["name"] for queue in some] == ["Alpha"]


async def test_slots_count_live_claims_where_there_is_a_limit(
    api: httpx.AsyncClient, database: Database
) -> None:
    pool = await a_pool(api, "p")
    queue = await a_queue(api, "q", concurrency_limit=2)
    await a_claim(database, UUID(pool["id"]), UUID(queue["id"]))
    await a_claim(database, UUID(pool["id"]), UUID(pool["default_queue_id"]))

    queues = (await api.post("/work_pools/p/queues/filter")).json()

    assert {q["name"]: q["active_slots"] for q in queues} == {"default": None, "q": 1}


async def test_queue_is_healthy_when_polled_lately_and_without_late_runs(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")
    queue = await a_queue(api, "q")
    path = f"/work_queues/{queue['id']}"

    unpolled = (await api.get(f"{path}/status")).json()
    await api.patch(path, json={"last_polled": queue["created"]})
    polled = (await api.get(f"{path}/status")).json()
    await a_run(database, UUID(queue["id"]), state_name="Late")
    late = (await api.get(f"{path}/status")).json()

    assert unpolled == {
        "healthy": False,
        "late_runs_count": 0,
        "last_polled": None,
        "health_check_policy": {
            "maximum_late_runs": 0,
            "maximum_seconds_since_last_polled": 60,
        },
    }
    assert (polled["healthy"], polled["late_runs_count"]) == (True, 0)
    assert (late["healthy"], late["late_runs_count"]) == (False, 1)


async def test_queue_without_a_pool_goes_to_the_agents_pool(api: httpx.AsyncClient) -> None:
    first = await api.post("/work_queues/", json={"name": "old"})
    second = await api.post("/work_queues/", json={"name": "older"})
    again = await api.post("/work_queues/", json={"name": "old"})

    assert [a.status_code for a in (first, second, again)] == [201, 201, 409]
    assert first.json()["work_pool_name"] == "default-agent-pool"
    assert [first.json()["priority"], second.json()["priority"]] == [2, 3]
    assert (await api.get("/work_queues/name/old")).json() == first.json()


async def test_queue_that_a_deployment_names_is_made_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    pool = await a_pool(api, "p")
    async with database.write() as db:
        made = await queries.find_or_create(db, "p", "new")
        found = await queries.find_or_create(db, "p", "new")
        default = await queries.find_or_create(db, "p", None)
        with pytest.raises(NotFound):
            await queries.find_or_create(db, "nope", "new")

    assert made.id == found.id
    assert made.work_pool_name == "p"
    assert str(default.id) == pool["default_queue_id"]


async def test_pools_made_at_once_under_one_name_are_one_pool(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(
        *(api.post("/work_pools/", json={"name": "p"}) for _ in range(8))
    )

    made = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 409]
    assert (len(made), len(refused)) == (1, 7)
    assert {answer.json()["existing_id"] for answer in refused} == {made[0].json()["id"]}
    assert len((await api.post("/work_queues/filter")).json()) == 1


async def test_queues_without_a_pool_made_at_once_share_the_agents_pool(
    api: httpx.AsyncClient,
) -> None:
    answers = await asyncio.gather(
        *(api.post("/work_queues/", json={"name": f"q{i}"}) for i in range(8))
    )

    assert [answer.status_code for answer in answers] == [201] * 8
    assert sorted(answer.json()["priority"] for answer in answers) == list(range(2, 10))
    assert (await api.post("/work_pools/count")).json() == 1


async def test_queue_named_by_several_deployments_at_once_is_made_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")

    async def find() -> UUID:
        async with database.write() as db:
            found: UUID = (await queries.find_or_create(db, "p", "new")).id
            return found

    ids = await asyncio.gather(*(find() for _ in range(8)))

    assert len(set(ids)) == 1
