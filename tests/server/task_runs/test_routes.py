"""Task runs over HTTP: creating, proposing, finding and deleting them."""

from typing import Any
from uuid import uuid4

import httpx2 as httpx

from forebay.wire.states import StateCreate, StateType
from forebay_server.db.engine import Database
from tests.server.flow_runs.builders import a_flow, a_run, propose

RUNNING = StateCreate(type=StateType.RUNNING)


async def create(api: httpx.AsyncClient, run: Any, **fields: Any) -> dict[str, Any]:
    """A task run in `run`."""
    keys = {"task_key": "t", "dynamic_key": str(uuid4())}
    body = {"flow_run_id": None if run is None else str(run), **keys, **fields}
    answer = await api.post("/task_runs/", json=body)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def found(api: httpx.AsyncClient, **body: Any) -> list[str]:
    """The names of the task runs that a filter finds, which must be as many as are counted."""
    answer = await api.post("/task_runs/filter", json=body)
    assert answer.status_code == 200, answer.text
    counted = await api.post("/task_runs/count", json=body)
    assert counted.json() == len(answer.json())
    return [each["name"] for each in answer.json()]


async def test_a_task_run_begins_pending(api: httpx.AsyncClient, database: Database) -> None:
    run = await a_run(database)
    other = {"input_type": "task_run", "id": str(uuid4())}
    inputs = {"x": [{"input_type": "parameter", "name": "y"}, other]}

    made = await create(api, run, name="first", task_inputs=inputs, labels={"a": 1})

    assert made["state_type"] == made["state"]["type"] == "PENDING"
    assert made["state"]["state_details"]["task_run_id"] == made["id"]
    assert made["state"]["state_details"]["flow_run_id"] == str(run)
    assert made["task_inputs"] == inputs
    read = (await api.get(f"/task_runs/{made['id']}")).json()
    assert read.pop("estimated_start_time_delta") >= made.pop("estimated_start_time_delta")
    assert read == made


async def test_a_call_of_a_task_is_created_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = str(await a_run(database))
    body = {"flow_run_id": run, "task_key": "t", "dynamic_key": "0"}

    first = await api.post("/task_runs/", json=body)
    again = await api.post("/task_runs/", json={**body, "id": str(uuid4())})

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]


async def test_a_task_run_needs_its_run(api: httpx.AsyncClient) -> None:
    body = {"flow_run_id": str(uuid4()), "task_key": "t", "dynamic_key": "0"}

    assert (await api.post("/task_runs/", json=body)).status_code == 409
    for method, path in (("GET", ""), ("DELETE", ""), ("PATCH", "")):
        answer = await api.request(method, f"/task_runs/{uuid4()}{path}", json={"name": "x"})
        assert answer.status_code == 404


async def test_a_task_run_runs_and_ends(api: httpx.AsyncClient, database: Database) -> None:
    run = await a_run(database, state=RUNNING)
    made = await create(api, run)
    path = f"/task_runs/{made['id']}"

    started = await api.post(f"{path}/set_state", json={"state": {"type": "RUNNING"}})
    ended = await api.post(f"{path}/set_state", json={"state": {"type": "COMPLETED"}})
    refused = await api.post(f"{path}/set_state", json={"state": {"type": "CRASHED"}})

    assert (started.status_code, started.json()["status"]) == (201, "ACCEPT")
    assert (ended.status_code, ended.json()["state"]["type"]) == (201, "COMPLETED")
    assert (refused.status_code, refused.json()["status"]) == (200, "ABORT")
    stored = (await api.get(path)).json()
    assert (stored["run_count"], stored["flow_run_run_count"]) == (1, 1)
    assert stored["state"]["id"] == stored["state_id"] == ended.json()["state"]["id"]
    assert stored["start_time"] is not None and stored["end_time"] is not None


async def test_the_task_run_of_a_subflow_has_its_state(
    api: httpx.AsyncClient, database: Database
) -> None:
    parent = await a_run(database, state=RUNNING)
    task = await create(api, parent, name="sub")
    child = await api.post(
        "/flow_runs/",
        json={"flow_id": str(await a_flow(database)), "parent_task_run_id": task["id"]},
    )
    id = child.json()["id"]
    await propose(api, id, "RUNNING")

    shown = (await api.get(f"/task_runs/{task['id']}")).json()

    assert shown["state_type"] == shown["state"]["type"] == "RUNNING"
    assert shown["state"]["state_details"]["child_flow_run_id"] == id
    assert shown["run_count"] == 1
    by_state = {"task_runs": {"state": {"type": {"any_": ["RUNNING"]}}}}
    assert await found(api, **by_state) == ["sub"]
    of_parent = {"flow_runs": {"parent_flow_run_id": {"any_": [str(parent)]}}}
    children = (await api.post("/flow_runs/filter", json=of_parent)).json()
    assert [run["id"] for run in children] == [id]
    of_subflows = {"task_runs": {"subflow_runs": {"exists_": True}}}
    parents = (await api.post("/flow_runs/filter", json=of_subflows)).json()
    assert [run["id"] for run in parents] == [str(parent)]


async def test_task_runs_are_found_by_themselves_and_by_their_runs(
    api: httpx.AsyncClient, database: Database
) -> None:
    one, two = await a_run(database, name="one"), await a_run(database, name="two")
    await create(api, one, name="a", tags=["x", "y"])
    await create(api, two, name="b", state={"type": "RUNNING"})
    await create(api, None, name="c")

    assert await found(api, sort="NAME_ASC") == ["a", "b", "c"]
    assert await found(api, task_runs={"flow_run_id": {"any_": [str(one)]}}) == ["a"]
    assert await found(api, task_runs={"flow_run_id": {"is_null_": True}}) == ["c"]
    assert await found(api, task_runs={"tags": {"all_": ["x"]}}) == ["a"]
    assert await found(api, task_runs={"start_time": {"is_null_": False}}) == ["b"]
    assert await found(api, flow_runs={"name": {"any_": ["two"]}}) == ["b"]
    assert await found(api, task_runs={"subflow_runs": {"exists_": True}}) == []
    page = await api.post("/task_runs/paginate", json={"limit": 2, "page": 2, "sort": "NAME_ASC"})
    assert [each["name"] for each in page.json()["results"]] == ["c"]
    assert page.json()["pages"] == 2


async def test_a_task_run_goes_with_its_lines_and_with_its_run(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_run(database)
    gone, left = await create(api, run), await create(api, run)
    line = {"name": "n", "level": 20, "message": "m", "timestamp": 0, "task_run_id": gone["id"]}
    await api.post("/logs/", json=[line])
    await api.patch(f"/task_runs/{left['id']}", json={"name": "renamed"})

    deleted = await api.delete(f"/task_runs/{gone['id']}")

    assert deleted.status_code == 204
    assert (await api.post("/logs/filter")).json() == []
    assert await found(api) == ["renamed"]
    await api.delete(f"/flow_runs/{run}")
    assert await found(api) == []
