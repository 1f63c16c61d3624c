"""Work pools over HTTP."""

from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database
from tests.server.work_pools.builders import a_claim, a_pool, a_template


async def test_pool_is_made_with_a_default_queue_of_priority_1(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api, "p", type="process")

    queues = (await api.post("/work_pools/p/queues/filter")).json()
    assert [(queue["name"], queue["priority"]) for queue in queues] == [("default", 1)]
    assert pool["default_queue_id"] == queues[0]["id"]
    assert pool["status"] == "NOT_READY"


async def test_pool_without_type_is_an_agent_pool_and_has_no_status(
    api: httpx.AsyncClient,
) -> None:
    pool = await a_pool(api, "p", type=None)

    assert (pool["type"], pool["status"]) == ("prefect-agent", None)


async def test_taken_name_is_a_conflict_that_names_the_existing_pool(
    api: httpx.AsyncClient,
) -> None:
    pool = await a_pool(api, "p")

    answer = await api.post("/work_pools/", json={"name": "p", "type": "docker"})

    assert (answer.status_code, answer.json()["existing_id"]) == (409, pool["id"])
    assert (await api.post("/work_pools/count")).json() == 1


@pytest.mark.parametrize("name", ["Prefect-pool", "prefect", "PREFECTX"])
async def test_reserved_name_is_forbidden(api: httpx.AsyncClient, name: str) -> None:
    created = await api.post("/work_pools/", json={"name": name})
    deleted = await api.delete(f"/work_pools/{name}")
    reshaped = await api.patch(f"/work_pools/{name}", json={"description": "x"})
    paused = await api.patch(f"/work_pools/{name}", json={"is_paused": True})

    statuses = [a.status_code for a in (created, deleted, reshaped, paused)]
    assert statuses == [403, 403, 403, 404]


@pytest.mark.parametrize(
    "name",
    ["two words", "größe", "工作池", "a+b?c=d#e", 'it\'s "it"', "e\u0301", "filter", "a;b:c@d"],
)
async def test_every_accepted_name_works_in_an_address(api: httpx.AsyncClient, name: str) -> None:
    await a_pool(api, name)
    path = httpx.URL("http://localhost/api/work_pools/").copy_with(
        raw_path=b"/api/work_pools/" + _escaped(name)
    )

    read = await api.get(path)
    changed = await api.patch(path, json={"description": "d"})
    deleted = await api.delete(path)

    assert (read.status_code, changed.status_code, deleted.status_code) == (200, 204, 204)
    assert (await api.get(path)).status_code == 404


def _escaped(name: str) -> bytes:
    return b"".join(b"%%%02X" % byte for byte in name.encode())


@pytest.mark.parametrize(
    "name", ["", " ", "a/b", "a%b", "a&b", "<a", " a", "a ", ".", "..", "a\nb", "\x00", "x" * 256]
)
async def test_unusable_name_is_refused(api: httpx.AsyncClient, name: str) -> None:
    answer = await api.post("/work_pools/", json={"name": name})

    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"] == ["body", "name"]


async def test_name_with_nul_in_the_address_is_refused(api: httpx.AsyncClient) -> None:
    answer = await api.get("/work_pools/a%00b")

    assert answer.status_code == 422


async def test_update_changes_only_the_keys_that_are_present(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p", description="d", concurrency_limit=3)

    nothing = await api.patch("/work_pools/p", json={})
    cleared = await api.patch("/work_pools/p", json={"concurrency_limit": None})

    pool = (await api.get("/work_pools/p")).json()
    assert (nothing.status_code, cleared.status_code, cleared.content) == (204, 204, b"")
    assert (pool["description"], pool["concurrency_limit"]) == ("d", None)
    assert pool["updated"] > pool["created"]


@pytest.mark.parametrize("key", ["is_paused", "base_job_template", "storage_configuration"])
async def test_null_where_a_value_must_be_is_a_conflict_that_names_it(
    api: httpx.AsyncClient, key: str
) -> None:
    await a_pool(api, "p")

    answer = await api.patch("/work_pools/p", json={key: None})

    assert answer.status_code == 409
    assert key in answer.json()["detail"]


@pytest.mark.parametrize("body", [{"name": "z"}, {"type": "docker"}, {"concurrency_limit": -1}])
async def test_update_of_what_cannot_change_is_refused(
    api: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    await a_pool(api, "p")

    answer = await api.patch("/work_pools/p", json=body)

    assert answer.status_code == 422


async def test_status_follows_pause_and_workers(api: httpx.AsyncClient) -> None:
    seen = [(await a_pool(api, "p", type="process"))["status"]]

    async def then(send: Any) -> None:
        assert (await send).status_code == 204
        seen.append((await api.get("/work_pools/p")).json()["status"])

    beat = {"name": "w", "heartbeat_interval_seconds": 30}
    await then(api.patch("/work_pools/p", json={"is_paused": True}))
    await then(api.patch("/work_pools/p", json={"is_paused": False}))
    await then(api.post("/work_pools/p/workers/heartbeat", json=beat))
    await then(api.patch("/work_pools/p", json={"is_paused": True}))
    await then(api.post("/work_pools/p/workers/heartbeat", json=beat))
    await then(api.patch("/work_pools/p", json={"is_paused": False}))

    assert seen == ["NOT_READY", "PAUSED", "NOT_READY", "READY", "PAUSED", "PAUSED", "READY"]


async def test_pool_made_paused_is_paused(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api, "p", type="process", is_paused=True)

    assert pool["status"] == "PAUSED"


async def test_delete_takes_queues_along(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api, "p")

    deleted = await api.delete("/work_pools/p")
    again = await api.delete("/work_pools/p")

    assert (deleted.status_code, again.status_code) == (204, 404)
    queue = await api.get(f"/work_queues/{pool['default_queue_id']}")
    assert queue.status_code == 404


async def test_filter_orders_by_name_and_pages(api: httpx.AsyncClient) -> None:
    for name in ("c", "a", "b"):
        await a_pool(api, name)

    everything = await api.post("/work_pools/filter", json={"limit": None, "offset": None})
    second = await api.post("/work_pools/filter", json={"limit": 1, "offset": 1})
    none = await api.post("/work_pools/filter", json={"limit": 0})

    assert [pool["name"] for pool in everything.json()] == ["a", "b", "c"]
    assert [pool["name"] for pool in second.json()] == ["b"]
    assert none.json() == []


@pytest.mark.parametrize(
    ("criteria", "names"),
    [
        ({"name": {"any_": ["a", "x"]}}, ["a"]),
        ({"type": {"any_": ["docker"]}}, ["b"]),
        ({"name": {"any_": []}}, []),
        ({"name": {"any_": None}}, ["a", "b"]),
        ({"operator": "or_", "name": {"any_": ["a"]}, "type": {"any_": ["docker"]}}, ["a", "b"]),
        ({"name": {"any_": ["a"]}, "type": {"any_": ["docker"]}}, []),
    ],
)
async def test_filter_finds_what_fulfils_the_criteria(
    api: httpx.AsyncClient, criteria: dict[str, Any], names: list[str]
) -> None:
    await a_pool(api, "a", type="process")
    await a_pool(api, "b", type="docker")

    found = await api.post("/work_pools/filter", json={"work_pools": criteria})
    count = await api.post("/work_pools/count", json={"work_pools": criteria})

    assert [pool["name"] for pool in found.json()] == names
    assert count.json() == len(names)


@pytest.mark.parametrize("body", [{"limit": 201}, {"limit": -1}, {"offset": -1}, {"limit": "x"}])
async def test_page_out_of_bounds_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await api.post("/work_pools/filter", json=body)

    assert answer.status_code == 422


async def test_active_slots_count_live_claims_where_there_is_a_limit(
    api: httpx.AsyncClient, database: Database
) -> None:
    limited = await a_pool(api, "limited", concurrency_limit=5)
    await a_pool(api, "free")
    pool_id, queue_id = UUID(limited["id"]), UUID(limited["default_queue_id"])
    await a_claim(database, pool_id, queue_id, is_live=True)
    await a_claim(database, pool_id, queue_id, is_live=False)

    pools = (await api.post("/work_pools/filter")).json()

    assert {p["name"]: p["active_slots"] for p in pools} == {"limited": 1, "free": None}


async def test_template_of_a_known_type_may_be_left_empty(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api, "p", type="process")

    assert pool["base_job_template"] == {}


async def test_template_is_stored_and_answered_as_it_was_sent(api: httpx.AsyncClient) -> None:
    template = a_template({"x": {"type": "integer", "default": 2**53, "title": "Größe"}})
    await a_pool(api, "p", type="process", base_job_template=template)

    answer = await api.get("/work_pools/p")

    assert answer.json()["base_job_template"] == template
