"""Artifacts over HTTP."""

from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from fastapi import FastAPI

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import queries as tokens
from forebay_server.access.authentication import hash_token
from forebay_server.db.engine import Database
from tests.both_databases import settings
from tests.server.flow_runs.builders import a_flow, a_place, a_run

ABSENT = "00000000-0000-4000-8000-000000000001"  # the id of nothing; constant, as it names a case

__all__ = ["settings"]  # every test here runs on both databases


async def an_artifact(
    api: httpx.AsyncClient, key: str | None = "k", data: Any = 1, **fields: Any
) -> dict[str, Any]:
    answer = await api.post("/artifacts/", json={"key": key, "data": data, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def found(api: httpx.AsyncClient, path: str = "", **body: Any) -> list[Any]:
    """The data of the artifacts that a filter finds, which must be as many as are counted."""
    answer = await api.post(f"/artifacts/{path}filter", json=body)
    assert answer.status_code == 200, answer.text
    counted = await api.post(f"/artifacts/{path}count", json=body)
    if not {"limit", "offset"} & body.keys():
        assert counted.json() == len(answer.json())
    return [each["data"] for each in answer.json()]


async def latest(api: httpx.AsyncClient, key: str = "k") -> Any:
    answer = await api.get(f"/artifacts/{key}/latest")
    return answer.json()["data"] if answer.status_code == 200 else answer.status_code


async def test_an_artifact_is_read_as_it_was_made(api: httpx.AsyncClient) -> None:
    ids = {"flow_run_id": str(uuid4()), "task_run_id": str(uuid4())}
    fields = {"type": "table", "description": "größe", "metadata_": {"a": "b"}, **ids}
    values: list[Any] = [None, "# a title", 50.0, 0, [{"a": 1}, {"a": None}], {"b": [2]}]

    for data in values:
        made = await an_artifact(api, data=data, **fields)

        read = (await api.get(f"/artifacts/{made['id']}")).json()
        assert read == made == (await api.get("/artifacts/k/latest")).json()
        assert read.items() >= fields.items()
        assert (read["data"], type(read["data"])) == (data, type(data))


async def test_the_last_version_of_a_key_is_its_latest(api: httpx.AsyncClient) -> None:
    first = await an_artifact(api, data=1)
    second = await an_artifact(api, data=2)
    await an_artifact(api, "other", data=3)
    await an_artifact(api, None, data=4)

    listed = (await api.post("/artifacts/latest/filter", json={"sort": "KEY_ASC"})).json()

    assert await latest(api) == 2
    assert [(each["key"], each["data"]) for each in listed] == [("k", 2), ("other", 3)]
    assert listed[0]["latest_id"] == second["id"]
    assert listed[0]["created"] == first["created"]
    assert await found(api) == [4, 3, 2, 1]


async def test_what_is_left_of_a_key_is_its_latest(api: httpx.AsyncClient) -> None:
    made = [await an_artifact(api, data=number) for number in (1, 2, 3)]

    seen = []
    for number in (2, 1, 0):
        seen.append(await latest(api))
        assert (await api.delete(f"/artifacts/{made[number]['id']}")).status_code == 204
    seen.append(await latest(api))

    assert seen == [3, 2, 1, 404]
    assert await found(api, "latest/") == []


async def test_a_change_keeps_what_it_does_not_name(api: httpx.AsyncClient) -> None:
    made = await an_artifact(api, data=1.5, description="d")

    answer = await api.patch(f"/artifacts/{made['id']}", json={"data": 99.5})

    after = (await api.get("/artifacts/k/latest")).json()
    assert answer.status_code == 204
    assert (after["data"], after["description"]) == (99.5, "d")
    assert after["updated"] > made["updated"]


async def test_a_long_value_of_metadata_is_cut_off(api: httpx.AsyncClient) -> None:
    made = await an_artifact(api, metadata_={"a": "x" * 501, "b": "y" * 500})

    assert made["metadata_"] == {"a": "x" * 500 + "...", "b": "y" * 500}


async def test_filters_select_by_key_type_and_owner(
    api: httpx.AsyncClient, database: Database
) -> None:
    flow = await a_flow(database)
    run = str(await a_run(database, flow_id=flow, name="named"))
    keys = {"task_key": "t", "dynamic_key": "0"}
    task = (await api.post("/task_runs/", json={"flow_run_id": run, **keys})).json()
    one = await an_artifact(api, "one", 1, type="table", flow_run_id=run, task_run_id=task["id"])
    await an_artifact(api, "two", 2, type="markdown", flow_run_id=str(uuid4()))
    await an_artifact(api, None, 3)

    assert await found(api, artifacts={"id": {"any_": [one["id"]]}}) == [1]
    assert await found(api, artifacts={"key": {"any_": ["two", "none"]}}) == [2]
    assert await found(api, artifacts={"key": {"like_": "ON"}}) == [1]
    assert await found(api, artifacts={"key": {"exists_": False}}) == [3]
    assert await found(api, artifacts={"type": {"not_any_": ["table"]}}) == [2]
    assert await found(api, artifacts={"flow_run_id": {"any_": [run]}}) == [1]
    assert await found(api, artifacts={"task_run_id": {"any_": [task["id"]]}}) == [1]
    assert await found(api, flow_runs={"name": {"any_": ["named"]}}) == [1]
    assert await found(api, flows={"id": {"any_": [str(flow)]}}) == [1]
    assert await found(api, task_runs={"id": {"any_": [task["id"]]}}) == [1]
    assert await found(api, deployments={"name": {"any_": ["d"]}}) == []
    either = {"operator": "or_", "key": {"any_": ["two"]}, "type": {"any_": ["table"]}}
    assert await found(api, artifacts=either) == [2, 1]
    assert await found(api, "latest/", artifacts={"latest_id": {"any_": [one["id"]]}}) == [1]
    assert await found(api, "latest/", flow_runs={"id": {"any_": [run]}}) == [1]


@pytest.mark.parametrize("path", ["", "latest/"])
async def test_every_order_is_cut_into_pages(api: httpx.AsyncClient, path: str) -> None:
    orders = {
        "CREATED_DESC": [2, 1, 3],
        "UPDATED_DESC": [3, 2, 1],
        "ID_DESC": [2, 1, 3],
        "KEY_ASC": [1, 2, 3],
        "KEY_DESC": [3, 2, 1],
    }
    changed = await an_artifact(api, "c", 3)
    await an_artifact(api, "a", 1)
    await an_artifact(api, "b", 2)
    await api.patch(f"/artifacts/{changed['id']}", json={"description": "changed"})

    pages = {
        sort: [await found(api, path, sort=sort, limit=1, offset=offset) for offset in range(4)]
        for sort in orders
    }

    assert pages == {sort: [[number] for number in order] + [[]] for sort, order in orders.items()}


async def test_artifacts_go_with_their_run(api: httpx.AsyncClient, database: Database) -> None:
    flow = await a_flow(database)
    first, second = [str(await a_run(database, flow_id=flow)) for _ in range(2)]
    for number, run in enumerate((None, first, second)):
        await an_artifact(api, data=number, flow_run_id=run)

    await api.delete(f"/flow_runs/{second}")
    without_second = await latest(api)
    await api.delete(f"/flows/{flow}")

    assert without_second == 1
    assert await latest(api) == 0
    assert await found(api) == [0]


async def test_a_bad_body_is_refused(api: httpx.AsyncClient) -> None:
    bodies: list[dict[str, Any]] = [
        *({"key": key} for key in ("Upper", "", "a" * 256, "a_b", "a\n")),
        *({"data": data} for data in ("\x00", 2**64)),
        {"metadata_": {"a": 1}},
        {"flow_run_id": "no-id"},
        {"bogus": 1},
    ]

    statuses = [(await api.post("/artifacts/", json=body)).status_code for body in bodies]

    assert statuses == [422] * len(bodies)


@pytest.mark.parametrize("path", [ABSENT, "no-id"])
async def test_an_artifact_that_does_not_exist_is_not_found(
    api: httpx.AsyncClient, path: str
) -> None:
    answers = [
        await api.request(method, f"/artifacts/{path}", json={"data": 1})
        for method in ("GET", "PATCH", "DELETE")
    ]

    assert [answer.status_code for answer in answers] == [404] * 3


async def test_a_large_table_is_taken(api: httpx.AsyncClient) -> None:
    made = await an_artifact(api, data="x" * (4 << 20))

    assert len(await latest(api)) == len(made["data"])


async def test_a_worker_leaves_and_sees_artifacts_of_its_pools_runs_only(
    api: httpx.AsyncClient, app: FastAPI, database: Database
) -> None:
    own, foreign = await a_place(database, "own"), await a_place(database, "foreign")
    own_run, foreign_run = [str(await a_run(database, p.queue_id)) for p in (own, foreign)]
    other = await an_artifact(api, "theirs", 1, flow_run_id=foreign_run)
    made = await an_artifact(api, "mine", 2, flow_run_id=own_run)
    async with database.write() as db:
        body = TokenCreate(name="w", role=Role.WORKER, work_pool_name="own")
        await tokens.create(db, body, hash_token("fb_worker"))
    app.state.authenticator._is_open = False
    api.headers["authorization"] = "Bearer fb_worker"

    refused = [
        (await api.post("/artifacts/", json={"flow_run_id": run})).status_code
        for run in (foreign_run, None)
    ]

    await an_artifact(api, "mine", 3, flow_run_id=own_run)
    assert refused == [404, 422]
    assert await found(api) == [3, 2]
    assert await found(api, "latest/") == [3]
    assert await latest(api, "theirs") == 404
    assert (await api.patch(f"/artifacts/{made['id']}", json={"data": 4})).status_code == 204
    assert (await api.patch(f"/artifacts/{other['id']}", json={"data": 4})).status_code == 404
    assert (await api.get(f"/artifacts/{other['id']}")).status_code == 404
