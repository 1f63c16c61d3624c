"""What a pool says of runs that lose their worker, over HTTP on both databases."""

from typing import Any

import httpx2 as httpx
import pytest

from tests.both_databases import settings
from tests.server.work_pools.builders import a_pool

__all__ = ["settings"]


async def policy(api: httpx.AsyncClient) -> tuple[str, int]:
    """What the pool p says, as the API shows it."""
    pool = (await api.get("/work_pools/p")).json()
    (listed,) = (await api.post("/work_pools/filter", json={})).json()
    assert (listed["on_lost"], listed["max_rescues"]) == (pool["on_lost"], pool["max_rescues"])
    return pool["on_lost"], pool["max_rescues"]


async def test_a_pool_that_says_nothing_crashes_lost_runs(api: httpx.AsyncClient) -> None:
    made = await a_pool(api, "p")

    assert (made["on_lost"], made["max_rescues"]) == ("crash", 3)
    assert await policy(api) == ("crash", 3)


async def test_a_pool_is_made_with_what_is_said(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p", on_lost="reschedule", max_rescues=0)

    assert await policy(api) == ("reschedule", 0)


async def test_a_change_keeps_what_it_does_not_name(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p", on_lost="reschedule", max_rescues=7)

    for change in ({"max_rescues": 9}, {"description": "d"}):
        assert (await api.patch("/work_pools/p", json=change)).status_code == 204

    assert await policy(api) == ("reschedule", 9)


@pytest.mark.parametrize(
    "field",
    [
        {"on_lost": "CRASH"},
        {"on_lost": "restart"},
        {"on_lost": True},
        {"max_rescues": -1},
        {"max_rescues": 1001},
        {"max_rescues": 1.5},
        {"max_rescues": True},
    ],
    ids=str,
)
async def test_what_is_none_of_the_choices_is_refused_by_name(
    api: httpx.AsyncClient, field: dict[str, Any]
) -> None:
    await a_pool(api, "p")

    created = await api.post("/work_pools/", json={"name": "q", "type": "process", **field})
    changed = await api.patch("/work_pools/p", json=field)

    for answer in (created, changed):
        assert answer.status_code == 422
        (problem,) = answer.json()["exception_detail"]
        assert problem["loc"][:2] == ["body", *field]
    assert await policy(api) == ("crash", 3)


@pytest.mark.parametrize("name", ["on_lost", "max_rescues"])
async def test_there_is_no_pool_without_a_policy(api: httpx.AsyncClient, name: str) -> None:
    await a_pool(api, "p")

    answer = await api.patch("/work_pools/p", json={name: None})

    assert answer.status_code == 409
    assert name in answer.json()["detail"]
    assert await policy(api) == ("crash", 3)
