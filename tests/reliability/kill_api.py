"""The server is killed with writes in flight, again and again: what was answered is there.

`python -m tests.reliability.kill_api`
"""

import asyncio
import random
import time
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import a_flow, client
from tests.reliability.ground import Figures, Ground, Server, main
from tests.reliability.observers import contradictions, looking

WRITERS = 6
WRITES_OF_A_LIFE = (10, 40)
RESTART_BOUND_SECONDS = 30.0  # with the interpreter's start; the recovery itself is a part of it


async def _write(server: Server, flow: str, ledger: set[str], enough: int) -> None:
    """Make pools and runs; kill the server the moment that `enough` writes are acknowledged.

    That moment is the worst one: an answer that was sent before its commit is found out.
    """
    async with client(server.api_url, timeout=30.0) as api:
        while len(ledger) < enough:
            name = str(uuid4())
            try:
                pool = await api.post("/work_pools/", json={"name": name, "type": "process"})
                _note(pool, f"pool {name}", server, ledger, enough)
                body = {"flow_id": flow, "name": name, "work_pool_name": name}
                run = await api.post("/flow_runs/", json=body)
                _note(run, f"run {name}", server, ledger, enough)
            except httpx.TransportError:
                return


def _note(
    answer: httpx.Response, name: str, server: Server, ledger: set[str], enough: int
) -> None:
    if answer.is_success:
        ledger.add(name)
        if len(ledger) == enough:
            server.popen.kill()


async def kill_servers(ground: Ground) -> Figures:
    """Kill as often as there is time for, then compare the ledger with the database."""
    rng = random.Random(ground.options.seed)
    ledger: set[str] = set()  # what was acknowledged
    server = ground.server()
    async with client(server.api_url) as api:
        flow = await a_flow(api)
    kills = 0
    restarts = []
    end = time.monotonic() + ground.options.seconds
    while kills == 0 or time.monotonic() < end:
        enough = len(ledger) + rng.randint(*WRITES_OF_A_LIFE)
        await asyncio.gather(*(_write(server, flow, ledger, enough) for _ in range(WRITERS)))
        server.kill()
        kills += 1
        began = time.monotonic()
        server = await asyncio.to_thread(ground.server)
        restarts.append(time.monotonic() - began)
    async with looking(ground.database_url) as eyes:
        pools = {f"pool {name}" for (name,) in await eyes.rows("SELECT name FROM work_pool")}
        runs = {f"run {name}" for (name,) in await eyes.rows("SELECT name FROM flow_run")}
        half = await eyes.rows(
            "SELECT count(*) FROM work_pool WHERE NOT EXISTS "
            "(SELECT 1 FROM work_queue WHERE work_queue.id = work_pool.default_queue_id)"
        )
        stateless = await eyes.rows(
            "SELECT count(*) FROM flow_run WHERE NOT EXISTS "
            "(SELECT 1 FROM flow_run_state WHERE flow_run_state.flow_run_id = flow_run.id)"
        )
        unmatched = await contradictions(eyes)
    lost = len(ledger - pools - runs)
    half_objects = int(half[0][0]) + int(stateless[0][0])
    slowest = round(max(restarts), 1)
    return {
        "kills": kills,
        "acknowledged": len(ledger),
        "lost": lost,
        "half_objects": half_objects,
        "contradictions": unmatched,
        "restart_max_s": slowest,
        "ok": lost == half_objects == unmatched == 0 and slowest <= RESTART_BOUND_SECONDS,
    }


def play(ground: Ground) -> Figures:
    """Every figure of the kills."""
    return asyncio.run(kill_servers(ground))


if __name__ == "__main__":
    main("kill_api", play, seconds=60)
