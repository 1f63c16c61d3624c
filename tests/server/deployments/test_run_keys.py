"""The same key for different runs, from Forebay's clients and from others."""

from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI

from forebay.client import USER_AGENT
from forebay_server.settings import Strictness
from tests.server.deployments.builders import a_deployment, a_flow, sent

PREFECT = "prefect/3.8.4 (API 0.8.4)"
FIRST = {"idempotency_key": "k", "parameters": {"x": 1}, "tags": ["a"]}
SAME = {"tags": ["a"], "name": None, "context": {}, "parameters": {"x": 1}, "idempotency_key": "k"}
OTHER = {"idempotency_key": "k", "parameters": {"x": 2}, "tags": ["a"]}
both_ways = pytest.mark.parametrize("of", ["deployment", "flow"])


async def where(api: httpx.AsyncClient, of: str) -> tuple[str, dict[str, Any]]:
    """The path that makes runs in one way or the other, and what each body for it needs."""
    if of == "flow":
        return "/flow_runs/", {"flow_id": await a_flow(api)}
    return f"/deployments/{(await a_deployment(api))['id']}/create_flow_run", {}


@both_ways
async def test_a_key_that_was_given_to_another_run_is_refused(
    api: httpx.AsyncClient, of: str
) -> None:
    api.headers["user-agent"] = USER_AGENT
    path, needed = await where(api, of)
    first = await sent(api, "POST", path, 201, {**FIRST, **needed})

    other = await api.post(path, json={**OTHER, **needed})

    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert other.json()["existing_id"] == first["id"]
    assert await sent(api, "POST", "/flow_runs/count", 200, {}) == 1


@both_ways
async def test_the_same_request_in_other_words_gets_the_known_run(
    api: httpx.AsyncClient, of: str
) -> None:
    api.headers["user-agent"] = USER_AGENT
    path, needed = await where(api, of)
    first = await sent(api, "POST", path, 201, {**FIRST, **needed})

    again = await sent(api, "POST", path, 200, {**SAME, **needed})

    assert again["id"] == first["id"]


async def test_a_key_of_another_deployment_s_run_is_refused(api: httpx.AsyncClient) -> None:
    api.headers["user-agent"] = USER_AGENT
    one, two = [(await a_deployment(api, name))["id"] for name in ("one", "two")]
    await sent(api, "POST", f"/deployments/{one}/create_flow_run", 201, FIRST)

    other = await api.post(f"/deployments/{two}/create_flow_run", json=FIRST)

    assert other.status_code == 409


@both_ways
async def test_prefect_s_clients_get_the_known_run_for_whatever_they_ask(
    api: httpx.AsyncClient, of: str
) -> None:
    api.headers["user-agent"] = PREFECT
    path, needed = await where(api, of)
    first = await sent(api, "POST", path, 201, {**FIRST, **needed})

    other = await sent(api, "POST", path, 200, {**OTHER, **needed})

    assert other["id"] == first["id"]
    assert other["parameters"] == {"x": 1}


async def test_of_several_runs_the_one_with_another_s_key_fails_alone(
    api: httpx.AsyncClient,
) -> None:
    api.headers["user-agent"] = USER_AGENT
    path, _ = await where(api, "deployment")

    answer = await sent(api, "POST", f"{path}/bulk", 200, [FIRST, OTHER, {"tags": ["b"]}])

    assert [each["status"] for each in answer["results"]] == ["CREATED", "FAILED", "CREATED"]


@pytest.mark.parametrize(
    ("strictness", "agent", "expected"), [("all", PREFECT, 409), ("none", USER_AGENT, 200)]
)
async def test_a_setting_decides_whose_keys_are_held_to_their_runs(
    api: httpx.AsyncClient, app: FastAPI, strictness: str, agent: str, expected: int
) -> None:
    app.state.settings.strict_run_keys = Strictness(strictness)
    api.headers["user-agent"] = agent
    path, _ = await where(api, "deployment")
    await sent(api, "POST", path, 201, FIRST)

    other = await api.post(path, json=OTHER)

    assert other.status_code == expected
