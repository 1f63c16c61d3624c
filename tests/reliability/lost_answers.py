"""Answers get lost, late, doubled or cut: nothing is made twice, and no run is left PENDING.

`python -m tests.reliability.lost_answers`
"""

import asyncio
import random
from collections import Counter
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx

from forebay.calls import work_pools
from forebay.client import AsyncClient
from forebay.errors import Unreachable
from forebay.settings import ClientSettings
from forebay.wire.work_pools import WorkPoolCreate
from tests.reliability.clients import a_flow, a_run, client, proposal, sent
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.observers import contradictions, looking
from tests.reliability.proxy import Mischief, spoiling

PROBABILITY = 0.2
CALLERS = 4
POOL = "through-the-proxy"
OWN_RUNS = 6
SETTLE_SECONDS = 60.0


class Tally:
    """What callers noticed."""

    def __init__(self) -> None:
        self.calls = 0
        self.wrong: Counter[str] = Counter()
        self.keyed_runs: dict[str, str] = {}  # name of a run and the id that its maker was told


async def _patiently(
    api: httpx.AsyncClient, tally: Tally, method: str, path: str, **how: Any
) -> Any:
    """The answer, asked for as often as it takes, with the very same request."""
    while True:
        tally.calls += 1
        try:
            answer = await api.request(method, path, **how)
        except httpx.TransportError:
            continue
        if answer.status_code >= 500:
            tally.wrong[f"{method} {answer.status_code}"] += 1
        elif answer.is_success:
            return answer.json() if answer.content else None
        elif answer.status_code != 409:  # the same request is still being answered
            tally.wrong[f"{method} {answer.status_code}"] += 1
            return None


async def _keyed_run(api: httpx.AsyncClient, flow: str, tally: Tally) -> None:
    """Make a run whose name nothing keeps from being used twice."""
    name = str(uuid4())
    headers = {"Idempotency-Key": name}
    body = {"flow_id": flow, "name": name}
    made = await _patiently(api, tally, "POST", "/flow_runs/", json=body, headers=headers)
    if made is None or made["name"] != name:
        tally.wrong["another run"] += 1
    else:
        tally.keyed_runs[name] = made["id"]


async def _keyed_pool(own: AsyncClient, tally: Tally) -> None:
    """Make a pool with Forebay's own client, whose retries keep the key."""
    name = f"pool-{uuid4()}"
    call = work_pools.create(WorkPoolCreate(name=name, type="process"), idempotency_key=name)
    while True:
        tally.calls += 1
        try:
            made = await own.send(call)
        except Unreachable:
            continue
        if made.name != name:
            tally.wrong["another pool"] += 1
        return


async def _stock_life(
    api: httpx.AsyncClient, direct: httpx.AsyncClient, flow: str, tally: Tally, worker: str
) -> None:
    """Take a run through its states as a stock worker does: retries repeat the transition id."""
    run = await a_run(direct, flow, "stock")
    headers = {"X-Prefect-Worker-Name": worker}
    for type in ("PENDING", "RUNNING", "COMPLETED"):
        body = proposal(type)
        path = f"/flow_runs/{run}/set_state"
        verdict = await _patiently(api, tally, "POST", path, json=body, headers=headers)
        own = body["state"]["state_details"]["transition_id"]
        is_own = verdict and verdict["state"]["state_details"]["transition_id"] == own
        if not is_own or verdict["status"] == "ABORT":  # which makes a stock client give up
            tally.wrong[f"{type} not recognised"] += 1


async def _own_worker(
    ground: Ground, proxy_url: str, direct: httpx.AsyncClient, flow: str
) -> Path:
    """A worker that executes commands which note each execution; the file of notes."""
    notes = ground.folder / "executions"
    notes.touch()
    command = f"sh -c 'echo $FOREBAY_FLOW_RUN_ID >> {notes}'"
    template = {"job_configuration": {"command": command}, "variables": {"type": "object"}}
    body = {"name": POOL, "type": "process", "base_job_template": template}
    await sent(direct, "POST", "/work_pools/", body)
    for _ in range(OWN_RUNS):
        await a_run(direct, flow, POOL)
    ground.worker(proxy_url, POOL)
    return notes


async def _settled(direct: httpx.AsyncClient, state_types: list[str], pool: str) -> list[str]:
    """States of the pool's runs once all are among `state_types`, or when time is up."""
    body = {"work_pools": {"name": {"any_": [pool]}}}
    deadline = asyncio.get_running_loop().time() + SETTLE_SECONDS
    while True:
        states = [r["state_type"] for r in await sent(direct, "POST", "/flow_runs/filter", body)]
        if set(states) <= set(state_types) or asyncio.get_running_loop().time() > deadline:
            return states
        await asyncio.sleep(0.2)


async def lose(ground: Ground) -> Figures:
    """Call through the proxy for some time, then count what there is."""
    api_url = ground.server().api_url
    rng = random.Random(ground.options.seed)
    mischief = Mischief(PROBABILITY, rng)
    tally = Tally()
    async with (
        client(api_url) as direct,
        spoiling(api_url, mischief) as proxy_url,
        client(proxy_url, timeout=5.0) as api,
        AsyncClient(ClientSettings(api_url=proxy_url)) as own,
    ):
        flow = await a_flow(direct)
        await sent(direct, "POST", "/work_pools/", {"name": "stock", "type": "process"})
        notes = await _own_worker(ground, proxy_url, direct, flow)
        loop = asyncio.get_running_loop()
        until = loop.time() + ground.options.seconds

        async def keep_on(number: int) -> None:
            while loop.time() < until:
                await _keyed_run(api, flow, tally)
                await _keyed_pool(own, tally)
                await _stock_life(api, direct, flow, tally, f"w{number}")

        await asyncio.gather(*(keep_on(number) for number in range(CALLERS)))
        states = await _settled(direct, ["COMPLETED"], POOL)
        stock_states = await _settled(direct, ["COMPLETED"], "stock")
    async with looking(ground.database_url) as eyes:
        runs = await eyes.rows(
            "SELECT name, count(*) FROM flow_run WHERE work_queue_id IS NULL GROUP BY name"
        )
        ((written_twice,),) = await eyes.rows(
            "SELECT count(*) FROM (SELECT 1 FROM flow_run_state WHERE type <> 'SCHEDULED' "
            "GROUP BY flow_run_id, type HAVING count(*) > 1) AS twice"
        )
        lost = await contradictions(eyes)
    executions = Counter(notes.read_text().split())
    duplicates = sum(number - 1 for _, number in runs)
    missing = len(set(tally.keyed_runs) ^ {name for name, _ in runs})
    doubled = sum(number - 1 for number in executions.values())
    stuck = sum(state == "PENDING" for state in (*states, *stock_states))
    unfinished = sum(state != "COMPLETED" for state in (*states, *stock_states))
    is_ok = (
        not tally.wrong
        and duplicates == missing == doubled == written_twice == 0
        and stuck == unfinished == lost == 0
    )
    return {
        "calls": tally.calls,
        "spoiled": dict(mischief.done),
        "keyed_runs": len(tally.keyed_runs),
        "duplicates": duplicates,
        "missing": missing,
        "wrong": dict(tally.wrong),
        "own_runs": len(states),
        "executed_twice": doubled,
        "written_twice": written_twice,
        "stuck_pending": stuck,
        "unfinished": unfinished,
        "contradictions": lost,
        "ok": is_ok,
    }


def play(ground: Ground) -> Figures:
    """Every figure of the lost answers."""
    return asyncio.run(lose(ground))


if __name__ == "__main__":
    main("lost_answers", play, seconds=20)
