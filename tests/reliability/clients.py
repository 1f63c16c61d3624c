"""Talks to the API as stock clients do, one request after another. Knows no observer."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2 as httpx

Json = dict[str, Any]
TIMEOUT_SECONDS = 30.0
ONLINE_SECONDS = 60.0


def client(api_url: str, timeout: float = TIMEOUT_SECONDS) -> httpx.AsyncClient:
    """A client for any number of callers."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=200)
    return httpx.AsyncClient(base_url=api_url, timeout=timeout, limits=limits)


async def sent(api: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    """The answer to a request that has to succeed."""
    answer = await api.request(method, path, json=body)
    if not answer.is_success:
        raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text}")
    return answer.json() if answer.content else None


async def a_flow(api: httpx.AsyncClient) -> str:
    """The id of a flow."""
    return str((await sent(api, "POST", "/flows/", {"name": "reliability"}))["id"])


async def a_run(
    api: httpx.AsyncClient, flow: str, pool: str, queue: str | None = None, **fields: Any
) -> str:
    """The id of a new run that is due."""
    due = datetime.now(UTC) - timedelta(seconds=1)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
    place = {"work_pool_name": pool, "work_queue_name": queue}
    body = {"flow_id": flow, "state": state, **place, **fields}
    return str((await sent(api, "POST", "/flow_runs/", body))["id"])


def proposal(type: str, **details: Any) -> Json:
    """The body of a `set_state`: a transition of its own."""
    return {"state": {"type": type, "state_details": {"transition_id": str(uuid4()), **details}}}


async def propose(
    api: httpx.AsyncClient, run: str, type: str, *, worker: str | None = None
) -> httpx.Response:
    """The answer to a proposal."""
    headers = {"X-Prefect-Worker-Name": worker} if worker else None
    return await api.post(f"/flow_runs/{run}/set_state", json=proposal(type), headers=headers)


async def poll(
    api: httpx.AsyncClient, pool: str, *, queue: str | None = None, limit: int | None = None
) -> httpx.Response:
    """The answer to a worker's poll."""
    body = {"work_queue_names": [queue] if queue else None, "limit": limit}
    return await api.post(f"/work_pools/{pool}/get_scheduled_flow_runs", json=body)


async def online(api: httpx.AsyncClient, pool: str, workers: int = 1) -> None:
    """Return once the API has heard of so many workers of the pool."""
    deadline = time.monotonic() + ONLINE_SECONDS
    while len(await sent(api, "POST", f"/work_pools/{pool}/workers/filter", {})) < workers:
        if time.monotonic() > deadline:
            raise RuntimeError("the workers did not come up")
        await asyncio.sleep(0.05)
