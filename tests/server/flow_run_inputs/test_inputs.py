"""Inputs of runs over HTTP, and resuming with them."""

import json
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest

from forebay.wire.states import StateCreate, StateType
from forebay_server.db.engine import Database
from tests.server.flow_runs.builders import a_deployment, a_flow, a_run, propose

KEYS = {"schema": "paused-1-schema", "response": "paused-1-response"}
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}


async def hand(api: httpx.AsyncClient, run: UUID, key: str, value: str) -> httpx.Response:
    """Hand `value` to a run; the answer as it came."""
    return await api.post(f"/flow_runs/{run}/input", json={"key": key, "value": value})


async def a_paused_run(api: httpx.AsyncClient, database: Database, **details: Any) -> UUID:
    """A run that pauses, with details of the pause."""
    run = await a_run(database, state=StateCreate(type=StateType.RUNNING))
    paused = await propose(api, run, "PAUSED", force=True, details=details)
    assert paused.json()["status"] == "ACCEPT", paused.text
    return run


async def test_an_input_is_read_as_it_was_handed_over(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_run(database)

    created = await hand(api, run, "k-1", '{"ä": 1}')

    assert created.status_code == 201
    read = await api.get(f"/flow_runs/{run}/input/k-1")
    assert read.text == '{"ä": 1}'
    assert read.headers["content-type"].startswith("text/plain")
    assert (await hand(api, run, "k-1", "again")).status_code == 409
    assert (await api.delete(f"/flow_runs/{run}/input/k-1")).status_code == 204
    assert (await api.get(f"/flow_runs/{run}/input/k-1")).status_code == 404
    assert (await api.delete(f"/flow_runs/{run}/input/k-1")).status_code == 404


async def test_inputs_are_found_by_the_beginning_of_their_keys(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_run(database)
    for key in ("in-1", "in-2", "in-3", "other"):
        await hand(api, run, key, key)
    path = f"/flow_runs/{run}/input/filter"

    one = await api.post(path, json={"prefix": "in-"})
    rest = await api.post(path, json={"prefix": "in-", "limit": 5, "exclude_keys": ["in-1"]})

    assert [each["key"] for each in one.json()] == ["in-1"]
    assert [each["value"] for each in rest.json()] == ["in-2", "in-3"]
    assert rest.json()[0]["flow_run_id"] == str(run)


async def test_inputs_need_a_run_and_a_key(api: httpx.AsyncClient, database: Database) -> None:
    run = await a_run(database)

    assert (await hand(api, uuid4(), "k", "v")).status_code == 404
    for key in ("", "Upper", "a b", "a" * 256):
        assert (await hand(api, run, key, "v")).status_code == 422


async def test_a_paused_run_goes_on(api: httpx.AsyncClient, database: Database) -> None:
    run = await a_paused_run(api, database, pause_key="1")

    resumed = await api.post(f"/flow_runs/{run}/resume")
    again = await api.post(f"/flow_runs/{run}/resume")

    assert (resumed.status_code, resumed.json()["state"]["type"]) == (201, "RUNNING")
    assert (again.status_code, again.json()["status"]) == (200, "ABORT")


async def test_a_suspended_run_is_scheduled_and_does_not_count_as_begun_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    flow = await a_flow(database)
    deployment = await a_deployment(database, flow)
    state = StateCreate(type=StateType.RUNNING)
    run = await a_run(database, flow_id=flow, deployment_id=deployment, state=state)
    details = {"pause_key": "1", "pause_reschedule": True}
    await propose(api, run, "PAUSED", name="Suspended", details=details)

    resumed = await api.post(f"/flow_runs/{run}/resume")

    state = resumed.json()["state"]
    assert (state["type"], state["name"]) == ("SCHEDULED", "Resuming")
    await propose(api, run, "PENDING")
    await propose(api, run, "RUNNING")
    assert (await api.get(f"/flow_runs/{run}")).json()["run_count"] == 1


async def test_a_run_that_waits_for_input_goes_on_with_it(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_paused_run(api, database, run_input_keyset=KEYS)
    await hand(api, run, KEYS["schema"], json.dumps(SCHEMA))
    path = f"/flow_runs/{run}/resume"
    refused = await api.post(path, json={"run_input": {"x": "no number"}})

    resumed = await api.post(
        path, json={"run_input": {"x": {"__prefect_kind": "json", "value": "5"}}}
    )

    assert (refused.status_code, refused.json()["status"]) == (200, "REJECT")
    assert (resumed.status_code, resumed.json()["status"]) == (201, "ACCEPT")
    assert (await api.get(f"/flow_runs/{run}/input/{KEYS['response']}")).json() == {"x": 5}


@pytest.mark.parametrize(
    "schema", [None, "no JSON", "[]", '{"type": 5}', '{"$ref": "https://example.org"}']
)
async def test_a_schema_that_cannot_be_followed_is_told(
    api: httpx.AsyncClient, database: Database, schema: str | None
) -> None:
    run = await a_paused_run(api, database, run_input_keyset=KEYS)
    if schema is not None:
        await hand(api, run, KEYS["schema"], schema)

    answer = await api.post(f"/flow_runs/{run}/resume", json={"run_input": {"x": 1}})

    assert (answer.status_code, answer.json()["status"]) == (200, "REJECT")
    assert (await api.get(f"/flow_runs/{run}")).json()["state_type"] == "PAUSED"


async def test_a_pause_that_names_no_key_for_its_input_is_told(
    api: httpx.AsyncClient, database: Database
) -> None:
    keys = {**KEYS, "response": "Not a key"}
    run = await a_paused_run(api, database, run_input_keyset=keys)
    await hand(api, run, KEYS["schema"], "{}")

    answer = await api.post(f"/flow_runs/{run}/resume", json={"run_input": {"x": 1}})

    assert (answer.status_code, answer.json()["status"]) == (200, "REJECT")
