"""Flows, pools, deployments and runs to test with."""

from typing import Any

import httpx2 as httpx

Json = dict[str, Any]
TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "memory": "{{ memory }}"},
    "variables": {
        "type": "object",
        "required": ["memory"],
        "properties": {
            "command": {"type": "string", "default": "run"},
            "memory": {"type": "integer", "minimum": 1},
        },
    },
}


async def sent(
    api: httpx.AsyncClient, method: str, path: str, status: int, body: Any = None
) -> Any:
    """The answer to a request that must be answered with `status`."""
    answer = await api.request(method, path, json=body)
    assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json() if answer.content else None


async def a_flow(api: httpx.AsyncClient, name: str = "etl") -> str:
    """The id of a flow."""
    answer = await api.post("/flows/", json={"name": name})
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["id"])


async def a_pool(api: httpx.AsyncClient, name: str = "pool", **fields: Any) -> Json:
    """A new work pool of type process."""
    body = {"name": name, "type": "process", **fields}
    pool: Json = await sent(api, "POST", "/work_pools/", 201, body)
    return pool


async def a_deployment(api: httpx.AsyncClient, name: str = "nightly", **fields: Any) -> Json:
    """A new deployment of the flow `etl`."""
    body = {"name": name, "flow_id": await a_flow(api), **fields}
    deployment: Json = await sent(api, "POST", "/deployments/", 201, body)
    return deployment


async def deployment(api: httpx.AsyncClient, id: str) -> Json:
    """A deployment as it is now."""
    found: Json = await sent(api, "GET", f"/deployments/{id}", 200)
    return found


async def runs(api: httpx.AsyncClient, deployment_id: str) -> list[Json]:
    """The runs of a deployment, the next one first."""
    body = {
        "flow_runs": {"deployment_id": {"any_": [deployment_id]}},
        "sort": "NEXT_SCHEDULED_START_TIME_ASC",
    }
    found: list[Json] = await sent(api, "POST", "/flow_runs/filter", 200, body)
    return found
