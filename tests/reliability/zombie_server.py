"""A server process stands still in the middle of a transaction, while another goes on.

PostgreSQL ends the transaction by itself; what the process still sends afterwards, and what had
been sent to it, must change nothing. Part of `zombie`.
"""

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import httpx2 as httpx

from tests.reliability.clients import a_flow, a_run, client, proposal, sent
from tests.reliability.ground import Figures, Ground, Server

POOL = "stopped"
PHASE_SECONDS = 40.0  # in 10 of them the database ends a transaction that does nothing

Json = dict[str, Any]


async def server_stands_still(ground: Ground, stopped: Server, api: httpx.AsyncClient) -> Figures:
    """What `stopped` changed once it went on; `api` is of a server that was never stopped."""
    await sent(
        api, "POST", "/work_pools/", {"name": POOL, "type": "process", "on_lost": "reschedule"}
    )
    flow = await a_flow(api)
    async with client(stopped.api_url, timeout=2 * PHASE_SECONDS) as doomed:
        running = await _started(doomed, flow)
        wanted = await a_run(doomed, flow, POOL)
        holder = await asyncpg.connect(ground.database_url.replace("+asyncpg", ""))
        async with holder.transaction():
            await holder.execute("SELECT id FROM work_pool WHERE name = $1 FOR UPDATE", POOL)
            inside = asyncio.create_task(_propose(doomed, wanted, "PENDING", "early"))
            await _waits_for_lock(holder)
            os.kill(stopped.pid, signal.SIGSTOP)
            # They lie before the process until it goes on.
            queued = [
                asyncio.create_task(_propose(doomed, running, "COMPLETED", "early", epoch=1)),
                asyncio.create_task(_beat(doomed, "early", 1)),
            ]
        # Its transaction has the lock now, and nobody to go on with it.
        await _taken_over(api, (running, wanted))
        before = await _seen(api, (running, wanted))
        os.kill(stopped.pid, signal.SIGCONT)
        answers = await asyncio.gather(inside, *queued)
        after = await _seen(api, (running, wanted))
    await holder.close()
    proposals = answers[:2]
    return {
        "server_stale_tried": len(answers),
        "server_stale_accepted": sum(_is_accepted(answer) for answer in proposals),
        "server_changed_by_return": sum(a != b for a, b in zip(after, before, strict=True)),
        "server_answers": [answer.status_code for answer in answers],
    }


async def _started(api: httpx.AsyncClient, flow: str) -> str:
    """A run that the worker `early`, who beats every second, has started."""
    await _beat(api, "early", 1)
    run = await a_run(api, flow, POOL)
    for type in ("PENDING", "RUNNING"):
        answer = await _propose(api, run, type, "early")
        if not _is_accepted(answer):
            raise RuntimeError(f"{type} was not accepted: {answer.text}")
    return run


async def _propose(
    api: httpx.AsyncClient, run: str, type: str, worker: str, *, epoch: int | None = None
) -> httpx.Response:
    headers = {"X-Forebay-Worker": worker}
    if epoch is not None:
        headers["X-Forebay-Claim"] = f"{run}:{epoch}"
    return await api.post(f"/flow_runs/{run}/set_state", json=proposal(type), headers=headers)


def _is_accepted(answer: httpx.Response) -> bool:
    return answer.is_success and answer.json()["status"] == "ACCEPT"


async def _beat(api: httpx.AsyncClient, worker: str, seconds: int) -> httpx.Response:
    body = {"name": worker, "heartbeat_interval_seconds": seconds}
    return await api.post(f"/work_pools/{POOL}/workers/heartbeat", json=body)


async def _waits_for_lock(holder: asyncpg.Connection) -> None:
    """Return once a transaction of the server waits for what `holder` has locked."""
    sql = (
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )
    deadline = time.monotonic() + PHASE_SECONDS
    while not await holder.fetchval(sql):
        if time.monotonic() > deadline:
            raise RuntimeError("the server did not begin its transaction")
        await asyncio.sleep(0.005)


async def _taken_over(api: httpx.AsyncClient, runs: Sequence[str]) -> None:
    """Return once the worker `late` has claimed all these runs."""
    await _beat(api, "late", 30)
    body = {"worker_name": "late", "limit": len(runs)}
    deadline = time.monotonic() + PHASE_SECONDS
    missing = set(runs)
    while missing:
        answer = await api.post(f"/work_pools/{POOL}/claim", json=body)
        if answer.is_success:
            missing -= {claim["flow_run"]["id"] for claim in answer.json()["runs"]}
        elif answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
            raise RuntimeError(f"a claim failed: {answer.status_code} {answer.text}")
        if time.monotonic() > deadline:
            raise RuntimeError("nobody could claim what the stopped server had held")
        await asyncio.sleep(0.1)


async def _seen(api: httpx.AsyncClient, runs: Sequence[str]) -> list[Json]:
    """Each run with all states that it went through."""
    return [
        {
            "state": (await sent(api, "GET", f"/flow_runs/{run}"))["state_id"],
            "history": await sent(api, "GET", f"/flow_run_states/?flow_run_id={run}"),
        }
        for run in runs
    ]
