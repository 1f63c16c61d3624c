"""Runs of deployments by request."""

import asyncio
import json
from typing import Any

import httpx2 as httpx
import pytest

from tests.server.deployments.builders import TEMPLATE, a_deployment, a_pool, runs, sent

SCHEMA = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}


async def test_a_run_takes_what_the_deployment_has_and_adds_what_is_given(
    api: httpx.AsyncClient,
) -> None:
    pool = await a_pool(api)
    made = await a_deployment(
        api,
        work_pool_name="pool",
        version="v1",
        parameters={"x": 1, "y": 2},
        tags=["a", "b"],
        labels={"team": "data", "size": 1},
    )
    body = {
        "parameters": {"x": 9},
        "tags": ["b", "c"],
        "labels": {"size": 2},
        "job_variables": {"env": {"A": "1"}},
    }

    run = await sent(api, "POST", f"/deployments/{made['id']}/create_flow_run", 201, body)

    assert run["parameters"] == {"x": 9, "y": 2}
    assert run["tags"] == ["a", "b", "c"]
    assert run["labels"] == {
        "team": "data",
        "size": 2,
        "prefect.flow.id": made["flow_id"],
        "prefect.deployment.id": made["id"],
    }
    assert run["job_variables"] == {"env": {"A": "1"}}
    assert run["deployment_version"] == "v1"
    assert (run["work_pool_id"], run["work_pool_name"]) == (pool["id"], "pool")
    assert (run["work_queue_id"], run["work_queue_name"]) == (made["work_queue_id"], "default")
    assert (run["state_type"], run["auto_scheduled"]) == ("SCHEDULED", False)
    assert run["next_scheduled_start_time"] == run["created"]
    assert "-" in run["name"]
    assert await sent(api, "GET", f"/flow_runs/{run['id']}", 200) | {
        "estimated_start_time_delta": 0
    } == run | {"estimated_start_time_delta": 0}


async def test_a_run_may_go_to_another_queue_which_is_made(api: httpx.AsyncClient) -> None:
    await a_pool(api)
    placed = await a_deployment(api, work_pool_name="pool")
    loose = await a_deployment(api, "loose")
    body = {"work_queue_name": "fast"}

    in_pool = await sent(api, "POST", f"/deployments/{placed['id']}/create_flow_run", 201, body)
    in_none = await sent(api, "POST", f"/deployments/{loose['id']}/create_flow_run", 201, body)

    assert (in_pool["work_pool_name"], in_pool["work_queue_name"]) == ("pool", "fast")
    assert (in_none["work_pool_name"], in_none["work_queue_name"]) == (
        "default-agent-pool",
        "fast",
    )
    queue = await sent(api, "GET", "/work_pools/pool/queues/fast", 200)
    assert in_pool["work_queue_id"] == queue["id"]


async def test_a_known_idempotency_key_answers_the_run_that_has_it(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(api)
    path = f"/deployments/{made['id']}/create_flow_run"

    answers = await asyncio.gather(
        *(api.post(path, json={"idempotency_key": "k", "name": f"n{i}"}) for i in range(6))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [201]
    assert len({(answer.json()["id"], answer.json()["name"]) for answer in answers}) == 1
    assert len(await runs(api, made["id"])) == 1


async def test_parameters_must_suit_the_schema_unless_the_caller_waives_it(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(api, parameter_openapi_schema=SCHEMA)
    lax = await a_deployment(
        api, "lax", parameter_openapi_schema=SCHEMA, enforce_parameter_schema=False
    )

    async def status(id: str, **body: Any) -> int:
        return (await api.post(f"/deployments/{id}/create_flow_run", json=body)).status_code

    assert await status(made["id"]) == 409
    assert await status(made["id"], parameters={"x": "bad"}) == 409
    assert await status(made["id"], parameters={"x": 1}) == 201
    assert await status(made["id"], parameters={}, enforce_parameter_schema=False) == 201
    assert await status(lax["id"]) == 201
    assert await status(lax["id"], enforce_parameter_schema=True) == 409


async def test_job_variables_of_deployment_and_run_must_fill_the_template(
    api: httpx.AsyncClient,
) -> None:
    await a_pool(api, base_job_template=TEMPLATE)
    empty = await a_deployment(api, work_pool_name="pool")
    full = await a_deployment(api, "full", work_pool_name="pool", job_variables={"memory": 2})

    async def status(id: str, **variables: Any) -> int:
        body = {"job_variables": variables}
        return (await api.post(f"/deployments/{id}/create_flow_run", json=body)).status_code

    assert await status(empty["id"]) == 422
    assert await status(empty["id"], memory=5) == 201
    assert await status(empty["id"], memory="big") == 422
    assert await status(full["id"]) == 201
    assert await status(full["id"], memory=0) == 422
    assert [len(await runs(api, each["id"])) for each in (empty, full)] == [1, 1]


async def test_several_runs_are_made_at_once_and_one_refusal_leaves_the_others(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(api, parameter_openapi_schema=SCHEMA)
    body = [{"parameters": {"x": 1}}, {"parameters": {"x": "bad"}}, {"parameters": {"x": 3}}]

    answer = await sent(api, "POST", f"/deployments/{made['id']}/create_flow_run/bulk", 200, body)

    results = answer["results"]
    assert [result["status"] for result in results] == ["CREATED", "FAILED", "CREATED"]
    assert "x" in results[1]["error"] and results[1]["flow_run_id"] is None
    made_ids = {run["id"] for run in await runs(api, made["id"])}
    assert made_ids == {results[0]["flow_run_id"], results[2]["flow_run_id"]}


async def test_due_runs_of_deployments_are_listed_in_order_and_make_them_ready(
    api: httpx.AsyncClient,
) -> None:
    one, two = await a_deployment(api, "one"), await a_deployment(api, "two")
    times = {"one": "2030-01-01T02:00:00Z", "two": "2030-01-01T01:00:00Z"}
    for made in (one, two):
        details = {"scheduled_time": times[made["name"]]}
        body = {"name": made["name"], "state": {"type": "SCHEDULED", "state_details": details}}
        await sent(api, "POST", f"/deployments/{made['id']}/create_flow_run", 201, body)
    path, ids = "/deployments/get_scheduled_flow_runs", [one["id"], two["id"]]

    both = await sent(api, "POST", path, 200, {"deployment_ids": ids, "limit": None})
    early = {"deployment_ids": ids, "scheduled_before": "2030-01-01T01:30:00+00:00"}
    first = await sent(api, "POST", path, 200, early)
    none = await sent(api, "POST", path, 200, {"deployment_ids": []})

    assert [run["name"] for run in both] == ["two", "one"]
    assert [run["name"] for run in first] == ["two"]
    assert none == []
    ready = await sent(api, "GET", f"/deployments/{one['id']}", 200)
    assert ready["status"] == "READY" and ready["last_polled"] is not None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("create_flow_run", {"bogus": 1}),
        ("create_flow_run", {"parameters": {"x": "\ud800"}}),
        ("create_flow_run", {"labels": {"a": {}}}),
        ("create_flow_run", {"work_queue_name": "a/b"}),
        ("create_flow_run", {"state": {"type": "ASLEEP"}}),
        ("create_flow_run/bulk", {}),
        ("create_flow_run/bulk", [{}] * 201),
        ("schedule", {"max_runs": 1000}),
        ("schedule", {"start_time": "9999-12-31T23:59:59Z"}),
        ("schedule", {"min_time": 1e300}),
    ],
)
async def test_a_bad_request_for_runs_is_refused(
    api: httpx.AsyncClient, path: str, body: Any
) -> None:
    made = await a_deployment(api)

    answer = await api.post(
        f"/deployments/{made['id']}/{path}",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("path", ["create_flow_run", "schedule", "pause_deployment", "schedules"])
async def test_a_deployment_that_does_not_exist_has_no_runs(
    api: httpx.AsyncClient, path: str
) -> None:
    body: Any = [] if path == "schedules" else {}

    answer = await api.post(f"/deployments/00000000-0000-0000-0000-000000000000/{path}", json=body)

    assert answer.status_code == 404
