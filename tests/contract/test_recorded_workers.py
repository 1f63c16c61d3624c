"""Recorded exchanges of Prefect 3.8.4's worker, engine and `flow-run` commands, replayed.

Each scenario begins with the objects that its recording had, and sends what the recorded clients
sent, in that order: worker starts, runs from poll to end, cancellations, credentials. Requests
that the recorded server answered with 503, and those that the recorder answered itself, are left
out; a cancellation that a recording lacks is put in. Same status, same keys, same kinds of values; where Forebay answers otherwise it says why.
"""

import json
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from forebay_server.settings import ServerSettings
from tests.contract.test_recorded_deployments import Replay

SCENARIOS: dict[str, dict[str, Any]] = {
    each["scenario"]: each
    for each in json.loads(
        (Path(__file__).parent / "recordings" / "workers.json").read_text("utf-8")
    )["scenarios"]
}
POOL = "wp-d"
LONG_AGO = "2026-01-01T00:00:00Z"  # before the times that the recorded polls name
NO_CSRF = "tokens are no cookies, hence there is no CSRF protection to turn on"
OPEN = "versions are told to anyone"
NO_CHANNEL = "a worker then makes a missing pool by POST /work_pools/"

# Scenario → exchange (its place, from 0) → the status here, and why it is not the recorded one.
OTHER_STATUS: dict[str, dict[int, tuple[int, str]]] = {
    "c01_worker_new_pool": {4: (404, NO_CHANNEL), 5: (404, NO_CHANNEL), 10: (201, NO_CHANNEL)},
    "c03_worker_notype_nopool": {5: (404, NO_CHANNEL)},
    "j01_auth_raw": {
        3: (200, OPEN),
        4: (200, OPEN),
        5: (200, OPEN),
        7: (422, NO_CSRF),
        8: (200, NO_CSRF),
        9: (200, NO_CSRF),
        10: (200, NO_CSRF),
    },
    "j03_auth_csrf_create": {2: (422, NO_CSRF)},
    "j04_auth_worker_run_once": {1: (422, NO_CSRF)},
}
# Keys whose values are not compared, and why.
FREE = {
    "last_polled": "the recorded server was polled in between",
    "status": "follows last_polled",
    "base_job_template": "not part of the recording",
    "active_slots": "the recorded pool had a limit at times",
    "concurrency_limit": "the recorded pool had a limit at times",
    "empirical_policy": "the engine's change of it is among the repeats that are left out",
    "work_queue_name": "the recorded runs were on several queues",
}
# Scenarios whose runs had been made by schedules, and what that shows in; schedules are tested apart.
OF_SCHEDULES = ("d14_flow_run_ls", "g01_pool_preview_runs", "g02_queue_preview")
FREE_OF_SCHEDULES = (
    *("auto_scheduled", "created_by", "flow_run_id", "idempotency_key", "message", "tags"),
)


@pytest.fixture
def settings(settings: ServerSettings, request: pytest.FixtureRequest) -> ServerSettings:
    """With the recorded credentials for the scenarios about them."""
    name = request.node.callspec.params["name"]
    if not name.startswith("j"):
        return settings
    changes = {"require_token": True, "api_auth_string": "admin:pass"}
    return ServerSettings(**{**settings.model_dump(), **changes})


@pytest.mark.parametrize("name", SCENARIOS)
async def test_recorded_exchanges_are_answered_alike(api: httpx.AsyncClient, name: str) -> None:
    scenario = SCENARIOS[name]
    if name.startswith("j"):
        api.auth = httpx.BasicAuth("admin", "pass")
    free = {**FREE, **dict.fromkeys(FREE_OF_SCHEDULES if name in OF_SCHEDULES else (), "")}
    replay = Replay(OTHER_STATUS.get(name, {}), {}, free)
    await arrange(api, scenario["given"], replay.ids)
    api.auth = None

    for place, exchange in enumerate(scenario["exchanges"]):
        await replay.send(api, place, {**exchange, "scenario": name})

    assert not replay.differences, "\n".join(replay.differences)


def test_every_deviation_is_one() -> None:
    for name, others in OTHER_STATUS.items():
        for place, (status, _) in others.items():
            assert SCENARIOS[name]["exchanges"][place]["status"] != status


async def arrange(api: httpx.AsyncClient, given: dict[str, Any], ids: dict[str, str]) -> None:
    """Make what the recording begins with; `ids` learns what stands for what."""
    if given["has_pool"]:
        id = await create(api, "/work_pools/", {"name": POOL, "type": "process"})
        if given["pool_id"] is not None:
            ids[given["pool_id"]] = id
    for name in given["pools"]:
        await create(api, "/work_pools/", {"name": name, "type": "process"})
    for name, seconds in given["workers"]:
        body = {"name": name, "heartbeat_interval_seconds": seconds}
        beat = await api.post(f"/work_pools/{POOL}/workers/heartbeat", json=body)
        assert beat.status_code == 204
    for name in given["queues"]:
        await create(api, f"/work_pools/{POOL}/queues", {"name": name})
    for id, name in given["flows"].items():
        ids[id] = await create(api, "/flows/", {"name": name})
    for id, fields in given["deployments"].items():
        body = {**fields, "flow_id": ids[fields["flow_id"]], "work_pool_name": POOL}
        ids[id] = await create(api, "/deployments/", body)
    for id, fields in given["runs"].items():
        labels = {key: ids.get(value, value) for key, value in fields.get("labels", {}).items()}
        ids[id] = await a_run(api, fields, ids, labels)
    lines = [{**line, "flow_run_id": ids[line["flow_run_id"]]} for line in given["lines"]]
    assert (await api.post("/logs/", json=lines)).status_code == 201


async def a_run(
    api: httpx.AsyncClient, fields: dict[str, Any], ids: dict[str, str], labels: dict[str, Any]
) -> str:
    """The id of a run as it was when the recording began."""
    body = {key: fields[key] for key in ("name", "parameters", "job_variables")}
    body["state"] = {
        "type": "SCHEDULED",
        "state_details": {"scheduled_time": fields.get("expected_start_time", LONG_AGO)},
    }
    if "retries" in fields:
        body["empirical_policy"] = {"retries": fields["retries"]}
    path = "/flow_runs/"
    if fields["deployment_id"] is None:
        body["flow_id"] = ids[fields["flow_id"]]
    else:
        path = f"/deployments/{ids[fields['deployment_id']]}/create_flow_run"
    id = await create(api, path, body)
    if fields["state"]["type"] != "SCHEDULED":
        proposal = {"state": fields["state"], "force": True}
        await create(api, f"/flow_runs/{id}/set_state", proposal)
    if labels:
        changes = {key: fields[key] for key in ("flow_version", "infrastructure_pid")}
        await api.patch(f"/flow_runs/{id}", json=changes)
        await api.patch(f"/flow_runs/{id}/labels", json=labels)
    return id


async def create(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> str:
    """The id of what a request creates, if it creates something that has one."""
    answer = await api.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json().get("id"))
