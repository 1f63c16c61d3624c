"""Workers and servers stand still for longer than their leases and come back: nothing changes.

`python -m tests.reliability.zombie`; with `--db postgres` a server stands still, too.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from typing import Any

import httpx2 as httpx

from tests.reliability.clients import a_flow, a_run, client, online, sent
from tests.reliability.ground import Figures, Ground, Process, main
from tests.reliability.observers import contradictions, looking
from tests.reliability.zombie_server import server_stands_still

HEARTBEAT_SECONDS = 1  # hence a lease of 4
LEASE_SECONDS = 4.0
SWEEP_SECONDS = 0.5
PHASE_SECONDS = 30.0
TEMPLATE = {"job_configuration": {"command": "sleep 600"}, "variables": {"type": "object"}}
STALE = (
    {"type": "RUNNING"},
    {"type": "COMPLETED"},
    {"type": "CRASHED", "message": "stale"},
    {"type": "SCHEDULED"},
    {"type": "PENDING"},
)

Run = dict[str, Any]


async def _until_state(api: httpx.AsyncClient, run: str, *states: str) -> Run:
    """The run once it is in one of these states."""
    deadline = time.monotonic() + PHASE_SECONDS
    while True:
        found: Run = await sent(api, "GET", f"/flow_runs/{run}")
        if found["state_type"] in states:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"the run stayed {found['state_type']}")
        await asyncio.sleep(0.02)


async def _started(api: httpx.AsyncClient, run: str) -> str:
    """The id of what was started for a running run, once its worker has told it."""
    deadline = time.monotonic() + PHASE_SECONDS
    while True:
        found = (await _until_state(api, run, "RUNNING"))["infrastructure_pid"]
        if found:
            return str(found)
        if time.monotonic() > deadline:
            raise RuntimeError("nobody told what was started")
        await asyncio.sleep(0.02)


async def _beaten(api: httpx.AsyncClient, worker: str, *, times: int) -> None:
    """Return once the worker was heard of so many times more."""
    deadline = time.monotonic() + PHASE_SECONDS
    heard = set()
    while len(heard) <= times:
        workers = await sent(api, "POST", "/work_pools/zombie/workers/filter", {})
        heard |= {each["last_heartbeat_time"] for each in workers if each["name"] == worker}
        if time.monotonic() > deadline:
            raise RuntimeError("the worker did not come back")
        await asyncio.sleep(0.05)


async def _has_ended(pid: int) -> bool:
    """Whether the process ends in time."""
    deadline = time.monotonic() + PHASE_SECONDS
    while _is_alive(pid):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def _freeze(*pids: int) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)


def _thaw(*pids: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


async def _write_late(api: httpx.AsyncClient, run: str, worker: str) -> tuple[int, int]:
    """Everything that the holder of the run's first claim may still send: tried, accepted."""
    headers = {"X-Forebay-Claim": f"{run}:1", "X-Forebay-Worker": worker}
    accepted = 0
    for state in STALE:
        body = {"state": state}
        answer = await api.post(f"/flow_runs/{run}/set_state", json=body, headers=headers)
        accepted += answer.json().get("status") == "ACCEPT"
    body = {"infrastructure_pid": "stale"}
    answer = await api.patch(f"/flow_runs/{run}", json=body, headers=headers)
    return len(STALE) + 1, accepted + answer.is_success


async def _held_by_frozen(ground: Ground, api_url: str, api: httpx.AsyncClient) -> Figures:
    """One worker stands still with a run RUNNING and one PENDING, another takes both over."""
    pool = {"name": "zombie", "type": "process", "base_job_template": TEMPLATE}
    await sent(api, "POST", "/work_pools/", {**pool, "on_lost": "reschedule"})
    flow = await a_flow(api)
    old = _worker(ground, api_url, "old")
    await online(api, "zombie")
    running = await a_run(api, flow, "zombie")
    child = int((await _started(api, running)).split(":")[1])
    # What the old worker has claimed and not begun: it stands still before it hears of it.
    _freeze(old.pid)
    pending = await a_run(api, flow, "zombie")
    body = {"worker_name": "old", "limit": 1}
    await sent(api, "POST", "/work_pools/zombie/claim", body)
    frozen = [
        (await sent(api, "GET", f"/flow_runs/{r}"))["state_type"] for r in (running, pending)
    ]
    began = time.monotonic()
    new = _worker(ground, api_url, "new")
    before = [await _rescued(api, run) for run in (running, pending)]
    await asyncio.sleep(began + 1.5 * LEASE_SECONDS - time.monotonic())
    _thaw(old.pid)
    # By its second beat it has heard what has become of its runs, and done what it does then.
    await _beaten(api, "old", times=2)
    is_ended = await _has_ended(child)
    tried = accepted = 0
    for run in (running, pending):
        more, taken = await _write_late(api, run, "old")
        tried, accepted = tried + more, accepted + taken
    after = [await sent(api, "GET", f"/flow_runs/{run}") for run in (running, pending)]
    changed = sum(
        (a["state_id"], a["infrastructure_pid"]) != (b["state_id"], b["infrastructure_pid"])
        for a, b in zip(after, before, strict=True)
    )
    for worker in (old, new):
        worker.kill()
    return {
        "frozen": frozen,
        "stale_tried": tried,
        "stale_accepted": accepted,
        "changed_by_return": changed,
        "old_run_ended": is_ended,
    }


async def _rescued(api: httpx.AsyncClient, run: str) -> Run:
    """The run once the new worker has started it and said what it started."""
    deadline = time.monotonic() + PHASE_SECONDS
    while True:
        found = await _until_state(api, run, "RUNNING")
        states = await sent(api, "GET", f"/flow_run_states/?flow_run_id={run}")
        claimed = sum(state["type"] == "PENDING" for state in states)
        if claimed == 2 and found["infrastructure_pid"]:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError("nobody went on with a run")
        await asyncio.sleep(0.05)


def _worker(ground: Ground, api_url: str, name: str) -> Process:
    beat = {"FOREBAY_WORKER_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS)}
    return ground.worker(api_url, "zombie", "--name", name, **beat)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def _stand_still(ground: Ground) -> Figures:
    often = {"FOREBAY_SWEEP_SECONDS": str(SWEEP_SECONDS)}
    server = ground.server(**often)
    async with client(server.api_url) as api:
        workers = _held_by_frozen(ground, server.api_url, api)
        if ground.options.db == "sqlite":  # where the one process is the database
            figures = await workers
        else:
            stopped = ground.server(**often)
            figures, of_server = await asyncio.gather(
                workers, server_stands_still(ground, stopped, api)
            )
            figures |= of_server
    async with looking(ground.database_url) as eyes:
        figures["contradictions"] = await contradictions(eyes)
    is_ok = (
        figures["frozen"] == ["RUNNING", "PENDING"]
        and figures["stale_tried"] > 0
        and figures["stale_accepted"] == figures["changed_by_return"] == 0
        and figures["contradictions"] == 0
        and figures["old_run_ended"]
        and figures.get("server_stale_accepted", 0) == 0
        and figures.get("server_changed_by_return", 0) == 0
    )
    return {**figures, "ok": is_ok}


def play(ground: Ground) -> Figures:
    """Every figure of those that stood still."""
    return asyncio.run(_stand_still(ground))


if __name__ == "__main__":
    main("zombie", play)
