"""Workers and what they started are killed at every step: slots come back, runs move on.

`python -m tests.reliability.kill_worker`; with 120 seconds or more a stock worker's lease too,
with `--tier night` 500 kills.
"""

import asyncio
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx

from tests.reliability.clients import a_flow, a_run, client, online, propose, sent
from tests.reliability.ground import Figures, Ground, Process, main
from tests.reliability.observers import Eyes, contradictions, key, looking

OWN_BOUND_SECONDS = 30.0
STOCK_BOUND_SECONDS = 100.0
STOCK_RUN_SECONDS = 120.0  # what a run of this module must last for a stock lease to end
PHASE_SECONDS = 60.0  # to get where the kill is meant
FINISH_SECONDS = 60.0
WORK_SECONDS = 2.0
ROUNDS = {"quick": 1, "night": 50}  # of the whole plan
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

PLAN = (
    *(("worker", p) for p in ("polled", "claimed", "infrastructure", "running", "finishing")),
    *(("worker and child", p) for p in ("infrastructure", "running", "finishing")),
    *(("child", p) for p in ("infrastructure", "running")),
)


@dataclass
class Kill:
    """One kill and what became of the run."""

    victim: str
    phase: str
    run: str = ""
    pool: str = ""
    seconds: float | None = None  # until the claim was over; None: never
    state: str = ""


@dataclass(frozen=True)
class Seen:
    """A run as it stands in the database."""

    state: str
    infrastructure: str | None
    is_held: bool


async def _look(eyes: Eyes, run: str) -> Seen:
    id = key(run) if "Sqlite" in type(eyes).__name__ else run
    ((state, infrastructure, held),) = await eyes.rows(
        "SELECT state_type, infrastructure_pid, (SELECT count(*) FROM claim WHERE "
        f"claim.flow_run_id = flow_run.id AND ended_at IS NULL) FROM flow_run WHERE id = '{id}'"
    )
    return Seen(state, infrastructure, bool(held))


def _is_there(phase: str, seen: Seen, is_noted: bool) -> bool:
    """Whether a run has come to `phase`; a later one will do, when it was passed too fast."""
    if phase == "polled" or seen.state in TERMINAL:
        return True
    if phase == "claimed":
        return seen.is_held
    if phase == "infrastructure":
        return seen.infrastructure is not None
    return seen.state == "RUNNING" and (phase == "running" or is_noted)


async def _kill(
    ground: Ground, api_url: str, api: httpx.AsyncClient, flow: str, kill: Kill
) -> None:
    """Start a worker, kill what is meant when it is due, and wait until the slot is free."""
    notes = ground.folder / f"{kill.pool}.notes"
    script = f"echo start >> {notes}; sleep {WORK_SECONDS}; echo end >> {notes}; sleep 0.3"
    template = {
        "job_configuration": {"command": f"sh -c '{script}'"},
        "variables": {"type": "object"},
    }
    body = {"name": kill.pool, "type": "process", "base_job_template": template}
    await sent(api, "POST", "/work_pools/", {**body, "concurrency_limit": 1})
    worker = ground.worker(api_url, kill.pool)
    await online(api, kill.pool)
    kill.run = await a_run(api, flow, kill.pool)
    async with looking(ground.database_url) as eyes:
        deadline = time.monotonic() + PHASE_SECONDS
        seen = await _look(eyes, kill.run)
        while not _is_there(kill.phase, seen, notes.exists() and "end" in notes.read_text()):
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.005)
            seen = await _look(eyes, kill.run)
        killed_at = time.monotonic()
        _end(worker, seen, kill.victim)
        while seen.is_held or seen.state in ("PENDING", "RUNNING"):
            if time.monotonic() > killed_at + 2 * OWN_BOUND_SECONDS:
                return
            await asyncio.sleep(0.05)
            seen = await _look(eyes, kill.run)
    kill.seconds = time.monotonic() - killed_at
    there = [worker]
    if seen.state == "SCHEDULED":  # somebody else has to be able to go on with it
        there.append(ground.worker(api_url, kill.pool))
    kill.state = await _ended(ground, kill.run)
    for each in there:
        each.kill()


def _end(worker: Process, seen: Seen, victim: str) -> None:
    if victim != "child":
        worker.kill()
    if victim != "worker" and seen.infrastructure is not None:
        with suppress(ProcessLookupError):
            os.killpg(int(seen.infrastructure.rpartition(":")[2]), signal.SIGKILL)


async def _ended(ground: Ground, run: str) -> str:
    """The state of a run at its end, or the last one seen."""
    deadline = time.monotonic() + FINISH_SECONDS
    async with looking(ground.database_url) as eyes:
        while True:
            state = (await _look(eyes, run)).state
            if state in TERMINAL or time.monotonic() > deadline:
                return state
            await asyncio.sleep(0.1)


async def _stock_lease(ground: Ground, api: httpx.AsyncClient, flow: str, kill: Kill) -> None:
    """A worker with a stock interval claims a run, starts it and falls silent."""
    await sent(api, "POST", "/work_pools/", {"name": kill.pool, "type": "process"})
    heartbeat = {"name": "stock", "heartbeat_interval_seconds": 30}
    await sent(api, "POST", f"/work_pools/{kill.pool}/workers/heartbeat", heartbeat)
    kill.run = await a_run(api, flow, kill.pool)
    for type in ("PENDING", "RUNNING"):
        (await propose(api, kill.run, type, worker="stock")).raise_for_status()
    killed_at = time.monotonic()
    async with looking(ground.database_url) as eyes:
        while (await _look(eyes, kill.run)).is_held:
            if time.monotonic() > killed_at + 2 * STOCK_BOUND_SECONDS:
                return
            await asyncio.sleep(0.1)
    kill.seconds = time.monotonic() - killed_at
    kill.state = await _ended(ground, kill.run)


async def kill_workers(ground: Ground) -> Figures:
    """Every kill of the plan, all of a round at once."""
    api_url = ground.server().api_url
    plan = PLAN if ground.options.seconds >= OWN_BOUND_SECONDS else PLAN[::3]
    rounds = [
        [Kill(*what, pool=f"pool-{number}-{i}") for i, what in enumerate(plan)]
        for number in range(ROUNDS[ground.options.tier])
    ]
    own = [kill for round in rounds for kill in round]
    stock: list[Kill] = []
    if ground.options.seconds >= STOCK_RUN_SECONDS or ground.options.is_long:
        stock.append(Kill("stock worker", "running", pool="stock"))
    async with client(api_url) as api:
        flow = await a_flow(api)
        leases = asyncio.gather(*(_stock_lease(ground, api, flow, kill) for kill in stock))
        for round in rounds:
            await asyncio.gather(*(_kill(ground, api_url, api, flow, kill) for kill in round))
        await leases
        twice = 0
        for kill in own:
            states = await sent(api, "GET", f"/flow_run_states/?flow_run_id={kill.run}")
            twice += _started_twice(states)
    async with looking(ground.database_url) as eyes:
        lost = await contradictions(eyes)
    stuck = [f"{k.victim} {k.phase}: {k.state}" for k in own + stock if k.state not in TERMINAL]
    slowest = _slowest(own)
    slowest_stock = _slowest(stock)
    is_ok = (
        not stuck
        and twice == lost == 0
        and slowest <= OWN_BOUND_SECONDS
        and slowest_stock <= STOCK_BOUND_SECONDS
    )
    return {
        "kills": len(own) + len(stock),
        "rescue_max_s": slowest,
        "rescue_max_stock_s": slowest_stock if stock else None,
        "ends": sorted({f"{k.victim}, {k.phase}: {k.state}" for k in own + stock}),
        "stuck": stuck,
        "double_starts": twice,
        "contradictions": lost,
        "ok": is_ok,
    }


def _slowest(kills: list[Kill]) -> float:
    return round(max((k.seconds if k.seconds is not None else 1e9 for k in kills), default=0), 1)


def _started_twice(states: list[dict[str, Any]]) -> int:
    """How often a run was accepted as RUNNING more than once for one claim."""
    twice = started = 0
    for state in states:
        if state["type"] == "PENDING":
            started = 0
        elif state["type"] == "RUNNING":
            started += 1
            twice += started > 1
    return twice


def play(ground: Ground) -> Figures:
    """Every figure of the kills."""
    return asyncio.run(kill_workers(ground))


if __name__ == "__main__":
    main("kill_worker", play, seconds=120)
