"""Objects that fuzzed requests lead to, and bodies that the server takes. Knows no fuzzer."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2 as httpx

Objects = dict[str, str]  # names and ids by what they are of


def make_objects(api: httpx.Client, end: str) -> Objects:
    """Make one object of each kind whose names have that end."""

    def answer(path: str, body: Any) -> Any:
        said = api.post(path, json=body)
        said.raise_for_status()
        return said.json() if said.content else None

    def made(path: str, **body: Any) -> str:
        return str(answer(path, body)["id"])

    pool, queue, flow, name = (f"{of}-{end}" for of in ("pool", "queue", "flow", "name"))
    of = {"pool": pool, "queue": queue, "flow": flow, "name": name}
    of["pool id"] = made("/work_pools/", name=pool, type="process", concurrency_limit=50)
    of["queue id"] = made(f"/work_pools/{pool}/queues", name=queue)
    of["pool-less queue"] = f"pool-less-{end}"
    made("/work_queues/", name=of["pool-less queue"])
    of["flow id"] = made("/flows/", name=flow)
    of["deployment"] = made("/deployments/", name=name, flow_id=of["flow id"], work_pool_name=pool)
    schedules = [{"schedule": {"interval": 3600}}]
    schedule = answer(f"/deployments/{of['deployment']}/schedules", schedules)[0]
    of["schedule"] = schedule["id"]
    answer(f"/work_pools/{pool}/workers/heartbeat", {"name": name})
    path = f"/deployments/{of['deployment']}/create_flow_run"
    of["claimed run"] = made(path)
    claims = answer(f"/work_pools/{pool}/claim", {"worker_name": name, "limit": 1})
    of["claim"] = claims["runs"][0]["claim"]
    infrastructure = {"infrastructure_pid": name}
    api.patch(f"/flow_runs/{of['claimed run']}", json=infrastructure).raise_for_status()
    run = answer(path, {})
    of["run"], of["run state"] = run["id"], run["state"]["id"]
    answer(f"/flow_runs/{run['id']}/input", {"key": name, "value": "1"})
    of["task run"] = made(
        "/task_runs/", name=name, task_key=name, dynamic_key=name, flow_run_id=run["id"]
    )
    of["variable"] = made("/variables/", name=name, value=1)
    of["artifact"] = made("/artifacts/", key=name, data=[{"a": 1}], flow_run_id=run["id"])
    made("/v2/concurrency_limits/", name=name, limit=500)
    slots = {"names": [name], "slots": 1, "lease_duration": 600}
    of["lease"] = answer("/v2/concurrency_limits/increment-with-lease", slots)["lease_id"]
    of["tag limit"] = made("/concurrency_limits/", tag=name, concurrency_limit=500)
    of["block type"] = made("/block_types/", name=name, slug=name)
    shape = answer(
        "/block_schemas/", {"block_type_id": of["block type"], "fields": {"title": name}}
    )
    of["block schema"], of["checksum"] = shape["id"], shape["checksum"]
    of_kind = {"block_type_id": of["block type"], "block_schema_id": shape["id"]}
    of["block"] = made("/block_documents/", name=name, data={}, **of_kind)
    of["token"] = made("/tokens", name=name, role="read")
    of["page"] = _second_page(api)
    return of


def _second_page(api: httpx.Client) -> str:
    """The token of the second page of all events."""
    page = api.post("/events/filter", json={"limit": 1}).raise_for_status().json()
    address: str = page["next_page"]
    return parse_qs(urlsplit(address).query)["page-token"][0]


def path_values(of: Objects) -> dict[str, dict[str, str]]:
    """What leads to these objects, by parts of paths: each path has at most one of the parts."""
    name = of["name"]
    return {
        "/work_pools/{name}": {"name": of["pool"]},
        "/work_pools/{pool}/queues": {"name": of["queue"], "pool": of["pool"]},
        "/work_pools/{pool}/workers": {"name": name, "pool": of["pool"]},
        "/work_queues/": {"id": of["queue id"], "name": of["pool-less queue"]},
        "/flows/": {"id": of["flow id"], "name": of["flow"]},
        "/deployments/name/": {"flow_name": of["flow"], "deployment_name": name},
        "/deployments/{id}": {"id": of["deployment"], "schedule_id": of["schedule"]},
        "/flow_runs/": {"id": of["run"], "key": name},
        "/flow_run_states/": {"id": of["run state"], "flow_run_id": of["run"]},
        "/task_runs/": {"id": of["task run"]},
        "/variables/": {"id": of["variable"], "name": name},
        "/artifacts/": {"id": of["artifact"], "key": name},
        "/v2/concurrency_limits/": {"id_or_name": name, "lease_id": of["lease"]},
        "/api/concurrency_limits/": {"id": of["tag limit"], "tag": name},
        "/collections/": {"view": "aggregate-worker-metadata"},
        "/block_types/": {"id": of["block type"], "slug": name, "block_document_name": name},
        "/block_schemas/": {"id": of["block schema"], "checksum": of["checksum"]},
        "/block_documents/": {"id": of["block"]},
        "/events/filter/next": {"page-token": of["page"]},
        "/tokens/": {"id": of["token"]},
    }


def bodies(of: Objects, name: str) -> dict[str, Any]:
    """A body that the server takes, by operation; what it makes has that name.

    Operations that take an empty body are left out.
    """
    state = {"type": "RUNNING", "message": name}
    run = {"parameters": {"a": 1}, "tags": [name], "state": {"type": "SCHEDULED"}}
    at = "2040-01-01T00:00:00Z"
    interval = {"interval": 3600, "anchor_date": at}
    slots = {"names": [of["name"]], "slots": 1}
    tags = {"names": [of["name"]], "task_run_id": of["task run"]}
    of_kind = {"block_type_id": of["block type"], "block_schema_id": of["block schema"]}
    history = {
        "history_start": at,
        "history_end": "2040-01-02T00:00:00Z",
        "history_interval_seconds": 3600,
    }
    queue = {"name": name, "priority": 2, "concurrency_limit": 3}
    this_run = {"id": {"any_": [of["run"]]}}
    about = {"prefect.resource.id": f"prefect.flow-run.{of['run']}"}
    event = {"occurred": at, "event": name, "resource": about, "id": of["pool id"]}
    log = {"name": name, "level": 20, "message": name, "timestamp": at, "flow_run_id": of["run"]}
    adoption = {"flow_run_id": of["claimed run"], "infrastructure_id": of["name"]}
    return {
        "POST /artifacts/": {"key": name, "data": [{"a": 1}], "flow_run_id": of["run"]},
        "PATCH /artifacts/{id}": {"description": name, "data": {"a": 1}},
        "POST /block_documents/": {"name": name, "data": {}, **of_kind},
        "PATCH /block_documents/{id}": {"data": {"a": 1}},
        "POST /block_schemas/": {"block_type_id": of["block type"], "fields": {"title": name}},
        "POST /block_types/": {"name": name, "slug": of["block type"]},
        "POST /concurrency_limits/": {"tag": name, "concurrency_limit": 2},
        "POST /concurrency_limits/increment": tags,
        "POST /concurrency_limits/decrement": tags,
        "POST /concurrency_limits/tag/{tag}/reset": {"slot_override": [of["task run"]]},
        "POST /deployments/": {
            "name": name,
            "flow_id": of["flow id"],
            "work_pool_name": of["pool"],
            "schedules": [{"schedule": interval}],
        },
        "PATCH /deployments/{id}": {"tags": [name], "work_queue_name": of["queue"]},
        "POST /deployments/get_scheduled_flow_runs": {"deployment_ids": [of["deployment"]]},
        "POST /deployments/{id}/create_flow_run": run,
        "POST /deployments/{id}/create_flow_run/bulk": [run],
        "POST /deployments/{id}/schedule": {"max_runs": 3},
        "POST /deployments/{id}/schedules": [{"schedule": interval, "slug": name}],
        "PATCH /deployments/{id}/schedules/{schedule_id}": {"schedule": interval},
        "POST /events": [event],
        "POST /events/count-by/{countable}": {"filter": {"event": {"prefix": ["prefect."]}}},
        "POST /flow_runs/": {"flow_id": of["flow id"], "work_pool_name": of["pool"], **run},
        "POST /flow_runs/bulk_delete": {"flow_runs": this_run},
        "POST /flow_runs/bulk_set_state": {"flow_runs": this_run, "state": state},
        "POST /flow_runs/history": history,
        "PATCH /flow_runs/{id}": {"name": name, "tags": [name]},
        "POST /flow_runs/{id}/input": {"key": name, "value": "1"},
        "POST /flow_runs/{id}/input/filter": {"prefix": of["name"]},
        "PATCH /flow_runs/{id}/labels": {name: 1},
        "POST /flow_runs/{id}/set_state": {"state": state},
        "POST /flows/": {"name": name, "tags": [name]},
        "PATCH /flows/{id}": {"tags": [name]},
        "POST /logs/": [log],
        "POST /task_runs/": {"task_key": name, "dynamic_key": name, "flow_run_id": of["run"]},
        "POST /task_runs/history": history,
        "PATCH /task_runs/{id}": {"name": name},
        "POST /task_runs/{id}/set_state": {"state": state},
        "POST /tokens": {"name": name, "role": "worker", "work_pool_name": of["pool"]},
        "PATCH /tokens/{id}": {"lifetime_seconds": 60},
        "POST /v2/concurrency_limits/": {"name": name, "limit": 5},
        "PATCH /v2/concurrency_limits/{id_or_name}": {"limit": 400},
        "POST /v2/concurrency_limits/increment": slots,
        "POST /v2/concurrency_limits/decrement": slots,
        "POST /v2/concurrency_limits/increment-with-lease": {**slots, "lease_duration": 600},
        "POST /v2/concurrency_limits/leases/{lease_id}/renew": {"lease_duration": 600},
        "POST /v2/concurrency_limits/decrement-with-lease": {"lease_id": of["lease"]},
        "POST /variables/": {"name": name, "value": {"a": 1}},
        "PATCH /variables/{id}": {"value": [1]},
        "PATCH /variables/name/{name}": {"value": [1]},
        "POST /work_pools/": {"name": name, "type": "process", "concurrency_limit": 1},
        "PATCH /work_pools/{name}": {"concurrency_limit": 60},
        "POST /work_pools/{name}/adopt": {"worker_name": of["name"], **adoption},
        "POST /work_pools/{name}/adoptable_runs": {"worker_name": of["name"]},
        "POST /work_pools/{name}/claim": {"worker_name": of["name"], "limit": 3},
        "POST /work_pools/{name}/report": {
            "worker_name": of["name"],
            "reports": [{"claim": of["claim"], "state": state}],
        },
        "POST /work_pools/{name}/validate": {"deployment_id": of["deployment"]},
        "POST /work_pools/{pool}/queues": queue,
        "PATCH /work_pools/{pool}/queues/{name}": {"priority": 3},
        "POST /work_pools/{pool}/workers/heartbeat": {"name": of["name"]},
        "POST /work_queues/": queue,
        "PATCH /work_queues/{id}": {"priority": 4},
    }
