"""Runs over HTTP: creating, reading, changing, deleting and finding them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest

from forebay.wire.states import StateCreate, StateType
from forebay_server.db.engine import Database
from tests.server.flow_runs.builders import (
    a_deployment,
    a_flow,
    a_place,
    a_run,
    a_running_run,
    live_claims,
    propose,
    verdict,
)

DESCRIPTION = Path(__file__).parents[3] / "protos/openapi.json"


async def names(api: httpx.AsyncClient, **body: Any) -> list[str]:
    """The names of the runs that a filter finds."""
    answer = await api.post("/flow_runs/filter", json=body)
    assert answer.status_code == 200, answer.text
    return [run["name"] for run in answer.json()]


async def test_a_run_on_no_queue_begins_pending(
    api: httpx.AsyncClient, database: Database
) -> None:
    flow_id = str(await a_flow(database))

    answer = await api.post("/flow_runs/", json={"flow_id": flow_id, "name": None})

    run = answer.json()
    assert answer.status_code == 201
    assert run["state"]["type"] == "PENDING"
    assert run["state_name"] == "Pending"
    assert run["expected_start_time"] == run["state"]["timestamp"]
    assert run["next_scheduled_start_time"] is None
    assert run["labels"] == {"prefect.flow.id": flow_id}
    assert len(run["name"].split("-")) == 2
    assert (await api.get(f"/flow_runs/{run['id']}")).json()["state"] == run["state"]


async def test_a_run_is_placed_on_a_pool(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    flow_id = str(await a_flow(database))
    body = {"flow_id": flow_id, "work_pool_name": "p", "state": {"type": "SCHEDULED"}}

    run = (await api.post("/flow_runs/", json=body)).json()

    assert run["work_pool_id"] == str(place.pool_id)
    assert run["work_pool_name"] == "p"
    assert run["work_queue_id"] == str(place.queue_id)
    assert run["work_queue_name"] == "default"
    assert run["next_scheduled_start_time"] == run["state"]["state_details"]["scheduled_time"]


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({"work_pool_name": "nope"}, 404, 'Work pool "nope" not found.'),
        (
            {"work_pool_name": "p", "work_queue_name": "nope"},
            404,
            "Work pool queue 'p/nope' not found.",
        ),
        ({"work_queue_name": "q"}, 422, "work_queue_name needs work_pool_name."),
    ],
)
async def test_a_place_that_does_not_exist_is_named(
    api: httpx.AsyncClient, database: Database, body: dict[str, Any], status: int, detail: str
) -> None:
    await a_place(database)
    flow_id = str(await a_flow(database))

    answer = await api.post("/flow_runs/", json={"flow_id": flow_id, **body})

    assert answer.status_code == status
    assert answer.json()["detail"] == detail


async def test_a_run_of_no_flow_is_a_conflict(api: httpx.AsyncClient) -> None:
    answer = await api.post("/flow_runs/", json={"flow_id": str(uuid4())})

    assert answer.status_code == 409


async def test_a_known_key_gives_back_the_known_run(
    api: httpx.AsyncClient, database: Database
) -> None:
    body = {"flow_id": str(await a_flow(database)), "idempotency_key": "k"}

    first = await api.post("/flow_runs/", json=body)
    second = await api.post("/flow_runs/", json=body)

    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json()["id"] == second.json()["id"]


@pytest.mark.parametrize("path", ["/api/flow_runs/", "/api/flow_runs/{id}/set_state"])
def test_the_answer_that_made_nothing_is_described_too(path: str) -> None:
    described = json.loads(DESCRIPTION.read_text("utf-8"))["paths"][path]["post"]["responses"]

    assert described["200"]["content"] == described["201"]["content"]


async def test_only_the_keys_of_a_patch_change(api: httpx.AsyncClient, database: Database) -> None:
    run = await a_run(database, name="before", tags=["t"])

    answer = await api.patch(
        f"/flow_runs/{run}", json={"infrastructure_pid": "1", "flow_version": None}
    )

    read = (await api.get(f"/flow_runs/{run}")).json()
    assert answer.status_code == 204
    assert (read["name"], read["tags"]) == ("before", ["t"])
    assert read["infrastructure_pid"] == "1"


@pytest.mark.parametrize("key", ["name", "parameters", "empirical_policy", "tags"])
async def test_null_is_refused_where_there_must_be_a_value(
    api: httpx.AsyncClient, database: Database, key: str
) -> None:
    run = await a_run(database)

    answer = await api.patch(f"/flow_runs/{run}", json={key: None})

    assert answer.status_code == 422
    assert key in answer.json()["detail"]


@pytest.mark.parametrize(
    "policy",
    [
        {"max_retries": 2**70},
        {"retry_delay": 2**40},
        {"retries": -1},
        {"pause_keys": ["\ud800"]},
        {"retry_type": "sometimes"},
    ],
)
async def test_a_policy_that_cannot_be_kept_is_refused(
    api: httpx.AsyncClient, database: Database, policy: dict[str, Any]
) -> None:
    run = await a_run(database)

    answer = await api.patch(
        f"/flow_runs/{run}",
        content=json.dumps({"empirical_policy": policy}),
        headers={"content-type": "application/json"},
    )

    assert answer.status_code == 422
    assert (await api.get(f"/flow_runs/{run}")).status_code == 200


async def test_job_variables_change_only_while_a_deployed_run_is_scheduled(
    api: httpx.AsyncClient, database: Database
) -> None:
    flow_id = await a_flow(database)
    deployment_id = await a_deployment(database, flow_id)
    deployed = await a_run(database, flow_id=flow_id, deployment_id=deployment_id)
    adhoc = await a_run(database)
    body = {"job_variables": {"cpu": 2}}

    accepted = await api.patch(f"/flow_runs/{deployed}", json=body)
    await propose(api, deployed, "PENDING")
    too_late = await api.patch(f"/flow_runs/{deployed}", json=body)
    not_deployed = await api.patch(f"/flow_runs/{adhoc}", json=body)

    assert (await api.get(f"/flow_runs/{deployed}")).json()["job_variables"] == {"cpu": 2}
    statuses = [answer.status_code for answer in (accepted, too_late, not_deployed)]
    assert statuses == [204, 400, 400]


async def test_labels_are_added(api: httpx.AsyncClient, database: Database) -> None:
    run = await a_run(database, labels={"a": 1, "b": 1})

    answer = await api.patch(f"/flow_runs/{run}/labels", json={"b": 2, "c": "x"})

    labels = (await api.get(f"/flow_runs/{run}")).json()["labels"]
    assert answer.status_code == 204
    assert {key: labels[key] for key in "abc"} == {"a": 1, "b": 2, "c": "x"}


async def test_missing_runs_are_missing(api: httpx.AsyncClient) -> None:
    run = uuid4()
    answers = [
        await api.get(f"/flow_runs/{run}"),
        await api.patch(f"/flow_runs/{run}", json={"name": "x"}),
        await api.patch(f"/flow_runs/{run}", json={"job_variables": {}}),
        await api.delete(f"/flow_runs/{run}"),
        await api.post(f"/flow_runs/{run}/resume"),
    ]
    labels = await api.patch(f"/flow_runs/{run}/labels", json={"a": 1})
    malformed = await api.get("/flow_runs/xyz")

    assert [answer.status_code for answer in answers] == [404] * 5
    assert {answer.json()["detail"] for answer in answers} == {"Flow run not found"}
    assert labels.status_code == 404
    assert labels.json()["exception_message"] == f"Flow run with id {run} not found"
    assert (malformed.status_code, malformed.json()["detail"]) == (404, "Not Found")


async def test_a_deleted_run_frees_its_slot_and_its_logs(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=1)
    run = await a_running_run(api, database, place)
    following = await a_run(database, place.queue_id)
    line = {"name": "n", "level": 20, "message": "m", "timestamp": str(datetime.now(UTC))}
    await api.post("/logs/", json=[{**line, "flow_run_id": str(run)}])

    answers = [await api.delete(f"/flow_runs/{run}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert await live_claims(database) == []
    assert (await api.post("/logs/filter", json={})).json() == []
    assert verdict(await propose(api, following, "PENDING"))[0] == "ACCEPT"


@pytest.fixture
async def some_runs(database: Database) -> dict[str, str]:
    """Three runs that differ in everything that can be filtered by."""
    place = await a_place(database)
    flow_id = await a_flow(database)
    deployment_id = await a_deployment(database, flow_id, tags=["d"])
    later = datetime.now(UTC) + timedelta(hours=1)
    one = await a_run(
        database,
        place.queue_id,
        name="one",
        flow_id=flow_id,
        deployment_id=deployment_id,
        work_queue_name="default",
        tags=["a", "b"],
        due=later,
        idempotency_key="k1",
        created_by={"type": "SCHEDULE", "id": str(uuid4())},
    )
    two = await a_run(
        database, name="Two", tags=["a"], flow_version="v2", parent_task_run_id=uuid4()
    )
    three = await a_run(database, name="three", state=StateCreate(type=StateType.COMPLETED))
    return {
        "one": str(one),
        "Two": str(two),
        "three": str(three),
        "flow": str(flow_id),
        "deployment": str(deployment_id),
        "later": str(later),
    }


async def test_runs_are_found_by_each_criterion(
    api: httpx.AsyncClient, some_runs: dict[str, str]
) -> None:
    known = some_runs
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({}, ["three", "Two", "one"]),
        ({"id": {"any_": [known["one"]]}}, ["one"]),
        ({"id": {"any_": []}}, []),
        ({"id": {"not_any_": [known["one"]]}}, ["three", "Two"]),
        ({"name": {"any_": ["one", "three"]}}, ["three", "one"]),
        ({"name": {"like_": "TW"}}, ["Two"]),
        ({"tags": {"all_": ["a", "b"]}}, ["one"]),
        ({"tags": {"any_": ["b", "z"]}}, ["one"]),
        ({"tags": {"is_null_": True}}, ["three"]),
        ({"deployment_id": {"any_": [known["deployment"]]}}, ["one"]),
        ({"deployment_id": {"is_null_": True}}, ["three", "Two"]),
        ({"work_queue_name": {"any_": ["default"]}}, ["one"]),
        ({"work_queue_name": {"is_null_": True}}, ["three", "Two"]),
        ({"state": {"type": {"any_": ["SCHEDULED"]}}}, ["Two", "one"]),
        ({"state": {"type": {"not_any_": ["SCHEDULED"]}}}, ["three"]),
        ({"state": {"name": {"any_": ["Completed"]}}}, ["three"]),
        (
            {
                "state": {
                    "operator": "or_",
                    "name": {"any_": ["Completed"]},
                    "type": {"any_": ["SCHEDULED"]},
                }
            },
            ["three", "Two", "one"],
        ),
        ({"flow_version": {"any_": ["v2"]}}, ["Two"]),
        ({"start_time": {"is_null_": False}}, ["three"]),
        ({"end_time": {"after_": "2020-01-01T00:00:00Z"}}, ["three"]),
        ({"expected_start_time": {"after_": known["later"]}}, ["one"]),
        ({"next_scheduled_start_time": {"before_": known["later"]}}, ["Two", "one"]),
        ({"parent_task_run_id": {"is_null_": False}}, ["Two"]),
        ({"parent_flow_run_id": {"any_": [known["one"]]}}, []),
        ({"idempotency_key": {"any_": ["k1"]}}, ["one"]),
        ({"created_by": {"type_": ["SCHEDULE"]}}, ["one"]),
        ({"created_by": {"is_null_": True}}, ["three", "Two"]),
        ({"operator": "or_", "name": {"like_": "thr"}, "tags": {"any_": ["b"]}}, ["three", "one"]),
    ]

    for criteria, expected in cases:
        found = await names(api, flow_runs=criteria)
        counted = (await api.post("/flow_runs/count", json={"flow_runs": criteria})).json()

        assert (criteria, found) == (criteria, expected)
        assert counted == len(expected)


async def test_runs_are_found_by_what_they_belong_to(
    api: httpx.AsyncClient, some_runs: dict[str, str]
) -> None:
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"flows": {"id": {"any_": [some_runs["flow"]]}}}, ["one"]),
        ({"deployments": {"tags": {"any_": ["d"]}}}, ["one"]),
        ({"work_pools": {"name": {"any_": ["p"]}}}, ["one"]),
        ({"work_pools": {"name": {"any_": ["q"]}}}, []),
        ({"work_pool_queues": {"name": {"any_": ["default"]}}}, ["one"]),
        (
            {
                "work_pools": {"name": {"any_": ["p"]}},
                "flow_runs": {"name": {"any_": ["Two"]}},
            },
            [],
        ),
        ({"task_runs": {}, "unknown": 1, "limit": None, "offset": None}, ["three", "Two", "one"]),
    ]

    for body, expected in cases:
        assert (body, await names(api, **body)) == (body, expected)


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (None, ["three", "Two", "one"]),
        ("ID_DESC", ["three", "Two", "one"]),
        ("EXPECTED_START_TIME_ASC", ["Two", "three", "one"]),
        ("EXPECTED_START_TIME_DESC", ["one", "three", "Two"]),
        ("START_TIME_ASC", ["Two", "three", "one"]),
        ("START_TIME_DESC", ["one", "three", "Two"]),
        ("NEXT_SCHEDULED_START_TIME_ASC", ["Two", "one", "three"]),
        ("END_TIME_DESC", ["three", "one", "Two"]),
    ],
)
async def test_runs_are_sorted(
    api: httpx.AsyncClient, some_runs: dict[str, str], sort: str | None, expected: list[str]
) -> None:
    assert await names(api, sort=sort) == expected
    assert await names(api, sort=sort, limit=1, offset=1) == expected[1:2]


async def test_runs_are_read_in_pages(api: httpx.AsyncClient, some_runs: dict[str, str]) -> None:
    page = (await api.post("/flow_runs/paginate", json={"limit": 2, "page": 2})).json()

    assert [run["name"] for run in page.pop("results")] == ["one"]
    assert page == {"count": 3, "limit": 2, "pages": 2, "page": 2}


@pytest.mark.parametrize(
    "body",
    [
        {"sort": "BAD"},
        {"limit": 201},
        {"limit": -1},
        {"offset": -1},
        {"flow_runs": {"unknown": 1}},
        {"flow_runs": {"state": {"type": {"any_": ["BOGUS"]}}}},
        {"flow_runs": {"name": {"like_": "\x00"}}},
    ],
)
async def test_a_bad_filter_is_refused(api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    answer = await api.post("/flow_runs/filter", json=body)

    assert answer.status_code == 422
