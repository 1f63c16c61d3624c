"""Deployments over HTTP: creating, changing, reading, finding."""

import asyncio
from typing import Any

import httpx2 as httpx
import pytest

from tests.server.deployments.builders import (
    TEMPLATE,
    a_deployment,
    a_flow,
    a_pool,
    deployment,
    sent,
)

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


async def test_a_deployment_names_its_queue_and_pool(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api)

    made = await a_deployment(api, work_pool_name="pool")

    assert (made["work_pool_name"], made["work_queue_name"]) == ("pool", "default")
    assert made["work_queue_id"] == pool["default_queue_id"]
    assert made["status"] == "NOT_READY"
    assert made["labels"] == {"prefect.flow.id": made["flow_id"]}


async def test_a_queue_that_a_deployment_names_is_made(api: httpx.AsyncClient) -> None:
    await a_pool(api)

    made = await a_deployment(api, work_pool_name="pool", work_queue_name="fast")

    queue = await sent(api, "GET", "/work_pools/pool/queues/fast", 200)
    assert (made["work_queue_id"], queue["priority"]) == (queue["id"], 2)


async def test_a_queue_without_a_pool_is_made_in_the_agents_pool(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, work_queue_name="only")

    assert made["work_pool_name"] == "default-agent-pool"
    assert made["work_queue_name"] == "only"


async def test_the_same_name_in_the_flow_changes_the_deployment(api: httpx.AsyncClient) -> None:
    first = await a_deployment(api, tags=["a"], description="old", job_variables={"memory": 1})
    body = {"name": "nightly", "flow_id": first["flow_id"], "tags": ["b"], "job_variables": {}}

    second = await sent(api, "POST", "/deployments/", 200, body)

    assert second["id"] == first["id"]
    assert second["tags"] == ["b"]
    assert second["description"] == "old"  # what is left out stays
    assert second["job_variables"] == {"memory": 1}  # as does what empty variables would clear


async def test_deployments_created_at_once_under_one_name_are_one(api: httpx.AsyncClient) -> None:
    body = {"name": "d", "flow_id": await a_flow(api)}

    answers = await asyncio.gather(*(api.post("/deployments/", json=body) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_patch_changes_what_it_names(api: httpx.AsyncClient) -> None:
    await a_pool(api)
    made = await a_deployment(api, description="old", tags=["a"], parameters={"x": 1})

    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, {"description": None})
    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, {"work_pool_name": "pool"})

    after = await deployment(api, made["id"])
    assert (after["description"], after["work_pool_name"]) == (None, "pool")
    assert (after["tags"], after["parameters"]) == (["a"], {"x": 1})
    assert after["updated"] > made["updated"]


async def test_a_null_pool_takes_the_deployment_off_its_queue(api: httpx.AsyncClient) -> None:
    await a_pool(api)
    made = await a_deployment(api, work_pool_name="pool")

    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, {"work_pool_name": None})

    after = await deployment(api, made["id"])
    assert (after["work_pool_name"], after["work_queue_id"]) == (None, None)


async def test_a_queue_alone_moves_the_deployment_within_its_pool(api: httpx.AsyncClient) -> None:
    await a_pool(api)
    made = await a_deployment(api, work_pool_name="pool")

    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, {"work_queue_name": "fast"})

    after = await deployment(api, made["id"])
    assert (after["work_pool_name"], after["work_queue_name"]) == ("pool", "fast")


async def test_job_variables_are_checked_against_the_pool_except_for_required_ones(
    api: httpx.AsyncClient,
) -> None:
    await a_pool(api, base_job_template=TEMPLATE)
    body = {"name": "d", "flow_id": await a_flow(api), "work_pool_name": "pool"}

    incomplete = await api.post("/deployments/", json=body | {"job_variables": {"other": 1}})
    wrong = await api.post("/deployments/", json=body | {"job_variables": {"memory": 0}})
    patch = {"job_variables": {"memory": "hunter2"}}
    worse = await api.patch(f"/deployments/{incomplete.json()['id']}", json=patch)

    assert incomplete.status_code == 201
    assert (wrong.status_code, worse.status_code) == (422, 409)
    assert "memory" in wrong.json()["detail"] and "minimum" in wrong.json()["detail"]
    assert "memory" in worse.json()["detail"] and "hunter2" not in worse.text


async def test_default_parameters_are_checked_when_the_caller_asks_for_it(
    api: httpx.AsyncClient,
) -> None:
    body = {"name": "d", "flow_id": await a_flow(api), "parameter_openapi_schema": SCHEMA}
    bad = body | {"parameters": {"x": "no number"}}

    asked = await api.post("/deployments/", json=bad | {"enforce_parameter_schema": True})
    not_asked = await api.post("/deployments/", json=bad)
    missing = await api.post("/deployments/", json=body | {"enforce_parameter_schema": True})

    assert (asked.status_code, not_asked.status_code, missing.status_code) == (422, 201, 200)


async def test_a_limit_is_shown_as_a_global_limit_and_can_be_cleared(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(
        api, concurrency_limit=2, concurrency_options={"collision_strategy": "CANCEL_NEW"}
    )
    path = f"/deployments/{made['id']}"

    await sent(api, "PATCH", path, 204, {"concurrency_limit": 3})
    changed = await deployment(api, made["id"])
    await sent(api, "PATCH", path, 204, {"concurrency_limit": None})
    cleared = await deployment(api, made["id"])

    assert made["concurrency_limit"] is None
    limit = made["global_concurrency_limit"]
    assert (limit["name"], limit["limit"], limit["active_slots"]) == (
        f"deployment:{made['id']}",
        2,
        0,
    )
    assert changed["global_concurrency_limit"]["id"] == limit["id"]
    assert changed["global_concurrency_limit"]["limit"] == 3
    assert cleared["global_concurrency_limit"] is None
    assert made["concurrency_options"] == {
        "collision_strategy": "CANCEL_NEW",
        "grace_period_seconds": None,
    }


async def test_a_deleted_deployment_leaves_its_runs_and_is_found_no_more(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(api)
    path = f"/deployments/{made['id']}"
    run = await sent(api, "POST", f"{path}/create_flow_run", 201, {})

    await sent(api, "DELETE", path, 204)

    await sent(api, "DELETE", path, 404)
    await sent(api, "GET", path, 404)
    left = await sent(api, "GET", f"/flow_runs/{run['id']}", 200)
    assert left["deployment_id"] is None


async def test_deployments_are_found_by_name_and_by_what_they_belong_to(
    api: httpx.AsyncClient,
) -> None:
    await a_pool(api)
    one = await a_deployment(api, "One", work_pool_name="pool", tags=["x"], concurrency_limit=2)
    two = await a_deployment(api, "two", work_queue_name="slow", paused=True)
    body = {"name": "three", "flow_id": await a_flow(api, "other")}
    three = await sent(api, "POST", "/deployments/", 201, body)
    await sent(api, "POST", f"/deployments/{three['id']}/create_flow_run", 201, {"name": "r"})

    async def names(**query: Any) -> list[str]:
        found = await sent(api, "POST", "/deployments/filter", 200, query)
        count = await sent(api, "POST", "/deployments/count", 200, query)
        assert count == len(found)
        return [each["name"] for each in found]

    assert await names() == ["One", "three", "two"]
    assert await names(deployments={"id": {"not_any_": [one["id"]]}}) == ["three", "two"]
    assert await names(deployments={"name": {"like_": "ONE"}}) == ["One"]
    assert await names(deployments={"flow_or_deployment_name": {"like_": "oTHE"}}) == ["three"]
    assert await names(deployments={"paused": {"eq_": True}}) == ["two"]
    assert await names(deployments={"tags": {"all_": ["x"]}}) == ["One"]
    assert await names(deployments={"work_queue_name": {"any_": ["slow"]}}) == ["two"]
    assert await names(deployments={"concurrency_limit": {"ge_": 2, "le_": 2}}) == ["One"]
    assert await names(deployments={"concurrency_limit": {"is_null_": True}}) == ["three", "two"]
    assert await names(flows={"name": {"any_": ["etl"]}}) == ["One", "two"]
    assert await names(work_pools={"name": {"any_": ["pool"]}}) == ["One"]
    assert await names(work_pool_queues={"name": {"any_": ["slow"]}}) == ["two"]
    assert await names(flow_runs={"name": {"any_": ["r"]}}) == ["three"]
    either = {"operator": "or_", "name": {"any_": ["One"]}, "id": {"any_": [two["id"]]}}
    assert await names(deployments=either, sort=None, limit=None, offset=None) == ["One", "two"]
    of_flow = {"deployments": {"name": {"any_": ["three"]}}}
    assert [f["name"] for f in await sent(api, "POST", "/flows/filter", 200, of_flow)] == ["other"]


async def test_deployments_are_ordered_and_cut_into_pages(api: httpx.AsyncClient) -> None:
    for name in ("b", "c", "a"):
        await a_deployment(api, name)

    newest = await sent(api, "POST", "/deployments/filter", 200, {"sort": "CREATED_DESC"})
    page = await sent(api, "POST", "/deployments/paginate", 200, {"limit": 2, "page": 2})

    assert [each["name"] for each in newest] == ["a", "c", "b"]
    assert [each["name"] for each in page.pop("results")] == ["c"]
    assert page == {"count": 3, "limit": 2, "pages": 2, "page": 2}


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (404, {"work_pool_name": "none"}),
        (409, {"flow_id": "00000000-0000-0000-0000-000000000000"}),
        (409, {"global_concurrency_limit_id": "00000000-0000-0000-0000-000000000000"}),
        (409, {"schedules": [{"schedule": {"cron": "@daily"}, "slug": "s"}] * 2}),
        (422, {"name": "a/b"}),
        (422, {"name": ""}),
        (422, {"bogus": 1}),
        (422, {"concurrency_limit": 0}),
        (422, {"concurrency_options": {"collision_strategy": "PRAY"}}),
        (422, {"parameters": {"x": "\x00"}}),
        (422, {"parameters": {"x": 2**70}}),
        (422, {"parameter_openapi_schema": {"type": 5}}),
        (422, {"parameter_openapi_schema": {"$ref": "https://example.org/schema"}}),
        (422, {"tags": None}),
        (422, {"schedules": [{"schedule": {"cron": "bad"}}]}),
        (422, {"schedules": [{"schedule": {"interval": 0}}]}),
        (422, {"schedules": [{"schedule": {"interval": 9e15}}]}),
        (422, {"schedules": [{"schedule": {"rrule": "FREQ=BAD"}}]}),
        (422, {"schedules": [{"schedule": {"cron": "@daily", "timezone": "Mars/X"}}]}),
        (422, {"schedules": [{"schedule": {"cron": "@daily", "interval": 5}}]}),
        (422, {"schedules": [{"schedule": None}]}),
        (422, {"schedules": [{"schedule": {"cron": "@daily"}, "max_scheduled_runs": 0}]}),
    ],
)
async def test_a_deployment_that_cannot_be_is_refused_and_leaves_nothing(
    api: httpx.AsyncClient, status: int, fields: dict[str, Any]
) -> None:
    body = {"name": "d", "flow_id": await a_flow(api), **fields}

    answer = await api.post("/deployments/", json=body)

    assert answer.status_code == status, answer.text
    assert await sent(api, "POST", "/deployments/count", 200) == 0


async def test_a_bad_schedule_is_told_by_its_place_in_the_body(api: httpx.AsyncClient) -> None:
    schedules = [{"schedule": {"cron": "@daily"}}, {"schedule": {"cron": "61 * * * *"}}]
    body = {"name": "d", "flow_id": await a_flow(api), "schedules": schedules}

    answer = await api.post("/deployments/", json=body)

    problem = answer.json()["exception_detail"][0]
    assert problem["loc"] == ["body", "schedules", 1, "schedule", "cron"]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"work_pool_name": "none"}),
        (422, {"name": "other"}),
        (422, {"flow_id": "00000000-0000-0000-0000-000000000000"}),
        (422, {"paused": None}),
        (422, {"schedules": None}),
        (422, {"parameter_openapi_schema": {"type": 5}}),
        (422, {"schedules": [{"active": True}]}),
        (204, {"parameters": None, "job_variables": None, "enforce_parameter_schema": None}),
        (204, {}),
    ],
)
async def test_a_patch_is_answered_by_what_it_asks(
    api: httpx.AsyncClient, status: int, body: dict[str, Any]
) -> None:
    made = await a_deployment(api, parameters={"x": 1}, job_variables={"memory": 1})

    answer = await api.patch(f"/deployments/{made['id']}", json=body)

    after = await deployment(api, made["id"])
    assert answer.status_code == status, answer.text
    assert {**after, "updated": ""} == {**made, "updated": ""}
