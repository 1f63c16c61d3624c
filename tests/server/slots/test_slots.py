"""Who holds the slots, over HTTP."""

from uuid import UUID

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database
from tests.server.work_pools.builders import a_claim, a_pool


async def test_pool_shows_the_holders_of_each_queue(
    api: httpx.AsyncClient, database: Database
) -> None:
    pool = await a_pool(api, "p", concurrency_limit=5)
    queue = (await api.post("/work_pools/p/queues", json={"name": "q"})).json()
    pool_id, default_id = UUID(pool["id"]), UUID(pool["default_queue_id"])
    held = [await a_claim(database, pool_id, default_id) for _ in range(3)]
    await a_claim(database, pool_id, UUID(queue["id"]), is_live=False)

    answer = await api.post("/work_pools/p/concurrency_status", json={"flow_run_limit": 2})

    slots = answer.json()
    first, second = slots["queues"]
    assert (slots["active_slots"], slots["concurrency_limit"], slots["count"]) == (3, 5, 2)
    assert (first["queue_name"], first["active_slots"], first["flow_run_count"]) == (
        "default",
        3,
        3,
    )
    assert [run["id"] for run in first["flow_runs"]] == [str(id) for id in held[:2]]
    assert first["flow_runs"][0]["state_type"] == "RUNNING"
    assert first["flow_runs"][0]["time_in_current_state"] >= 0
    assert (second["queue_name"], second["active_slots"], second["flow_runs"]) == ("q", 0, [])


async def test_queue_pages_through_its_holders(api: httpx.AsyncClient, database: Database) -> None:
    pool = await a_pool(api, "p")
    pool_id, queue_id = UUID(pool["id"]), UUID(pool["default_queue_id"])
    held = [await a_claim(database, pool_id, queue_id) for _ in range(3)]

    answer = await api.post(
        f"/work_queues/{queue_id}/concurrency_status", json={"page": 2, "limit": 2}
    )

    slots = answer.json()
    assert [run["id"] for run in slots["flow_runs"]] == [str(held[2])]
    assert {key: slots[key] for key in ("active_slots", "count", "limit", "pages", "page")} == {
        "active_slots": 3,
        "count": 3,
        "limit": 2,
        "pages": 2,
        "page": 2,
    }


@pytest.mark.parametrize(
    "path",
    ["/work_pools/nope/concurrency_status", f"/work_queues/{UUID(int=1)}/concurrency_status"],
)
async def test_what_is_not_there_answers_404(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.post(path)).status_code == 404


@pytest.mark.parametrize(
    "body", [{"flow_run_limit": 201}, {"flow_run_limit": -1}, {"page": 0}, {"limit": 201}]
)
async def test_page_out_of_bounds_is_refused(api: httpx.AsyncClient, body: dict[str, int]) -> None:
    await a_pool(api, "p")

    answer = await api.post("/work_pools/p/concurrency_status", json=body)

    assert answer.status_code == 422
