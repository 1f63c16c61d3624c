"""The database is slow, locked by others, or has no connection left: callers wait, health does not.

`python -m tests.reliability.slow_database --db postgres`. On SQLite there is no way to be slow:
another process holds the file's lock instead.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import a_flow, client, proposal, sent
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.observers import Eyes, contradictions, looking
from tests.reliability.wire import Wire

CALLERS = 24  # more than the server has connections
PROBE_SECONDS = 0.02
PROBE_BOUND_SECONDS = 0.5
POOL = "slow"
HOLDS = {"quick": (1.0, 3.0), "night": (1.0, 5.0, 12.0, 30.0)}
DELAYS = {"quick": (0.05, 0.5), "night": (0.05, 0.2, 0.5, 1.0, 2.0)}
DELAYED_FOR_SECONDS = {"quick": 1.5, "night": 20.0}
REST_SECONDS = 0.5  # between troubles
CROSSINGS = {"quick": 4, "night": 100}

# What somebody may lock who is at the database with tools of their own.
LOCKS = (
    "LOCK TABLE flow_run IN ACCESS EXCLUSIVE MODE",
    "SELECT 1 FROM work_pool FOR UPDATE",
)
# Against the order in which the server locks, so that the two meet in a deadlock.
_CROSS = ("SELECT 1 FROM work_queue FOR UPDATE", "SELECT 1 FROM work_pool FOR UPDATE")


@dataclass
class Load:
    """What callers got, and how soon health answered."""

    answers: Counter[str] = field(default_factory=Counter)
    foul: set[str] = field(default_factory=set)
    slowest: float = 0.0
    probes: list[float] = field(default_factory=list)
    bad_probes: Counter[str] = field(default_factory=Counter)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(
        self, api: httpx.AsyncClient, method: str, path: str, body: object
    ) -> httpx.Response | None:
        """The answer if it was a good one."""
        began = time.monotonic()
        try:
            answer = await api.request(method, path, json=body)
        except httpx.HTTPError as error:
            self.answers[type(error).__name__] += 1
            self.foul.add(f"{method} {path.split('/')[1]}: {type(error).__name__}")
            return None
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.answers[str(answer.status_code)] += 1
        if not answer.is_success and answer.status_code != 503:
            self.foul.add(f"{answer.status_code}: {answer.text[:200]}")
        return answer if answer.is_success else None


async def _call(load: Load, api: httpx.AsyncClient, flow: str) -> None:
    """What people, workers and engines ask for."""
    while not load.is_over.is_set():
        body = {"flow_id": flow, "name": str(uuid4()), "work_pool_name": POOL}
        made = await load.ask(api, "POST", "/flow_runs/", body)
        await load.ask(api, "POST", "/work_pools/filter", {"limit": 5})
        heartbeat = {"name": "w", "heartbeat_interval_seconds": 30}
        await load.ask(api, "POST", f"/work_pools/{POOL}/workers/heartbeat", heartbeat)
        if made is not None:
            path = f"/flow_runs/{made.json()['id']}/set_state"
            for type in ("PENDING", "RUNNING", "COMPLETED"):
                await load.ask(api, "POST", path, proposal(type))
        await asyncio.sleep(0.05)


async def _probe(load: Load, api: httpx.AsyncClient) -> None:
    """Ask for health and readiness, as orchestrators do."""
    while not load.is_over.is_set():
        for path in ("/health", "/ready"):
            began = time.monotonic()
            try:
                status = (await api.get(path)).status_code
            except httpx.HTTPError as error:
                load.bad_probes[type(error).__name__] += 1
                continue
            load.probes.append(time.monotonic() - began)
            load.bad_probes[f"{path} {status}"] += status != 200
        await asyncio.sleep(PROBE_SECONDS)


@asynccontextmanager
async def _loaded(load: Load, api_url: str) -> AsyncIterator[None]:
    """Callers and probes, during the block."""
    async with client(api_url, timeout=60) as api, client(api_url) as probing:
        flow = await a_flow(api)
        await sent(api, "POST", "/work_pools/", {"name": POOL, "type": "process"})
        callers = [asyncio.create_task(_call(load, api, flow)) for _ in range(CALLERS)]
        callers.append(asyncio.create_task(_probe(load, probing)))
        await asyncio.sleep(REST_SECONDS)
        yield
        await asyncio.sleep(REST_SECONDS)
        load.is_over.set()
        await asyncio.gather(*callers)


async def _hold(eyes: Eyes, statements: Sequence[str], seconds: float) -> None:
    """Be the transaction that somebody forgot to end."""
    for statement in statements:
        await eyes.rows(statement)
    await asyncio.sleep(seconds)
    await eyes.rows("ROLLBACK")
    await asyncio.sleep(REST_SECONDS)


async def _cross(eyes: Eyes, times: int) -> int:
    """Lock against the server's order, so that there are deadlocks; how many ended this side."""
    deadlocks = 0
    for _ in range(times):
        await eyes.rows("BEGIN")
        try:
            await eyes.rows(_CROSS[0])
            await asyncio.sleep(0.05)
            await eyes.rows(_CROSS[1])
        except Exception as error:
            if "deadlock" not in str(error):
                raise
            deadlocks += 1
        await eyes.rows("ROLLBACK")
    return deadlocks


async def slow_down(ground: Ground) -> Figures:
    """Trouble after trouble under load."""
    tier = ground.options.tier
    load = Load()
    is_postgres = ground.options.db == "postgres"
    crossed = 0
    wire = Wire(ground.database_url)
    async with looking(ground.database_url) as eyes:
        if not is_postgres:
            server = await asyncio.to_thread(ground.server)
            async with _loaded(load, server.api_url):
                for seconds in HOLDS[tier]:
                    await _hold(eyes, ["BEGIN IMMEDIATE"], seconds)
        else:
            async with wire.open() as url:
                server = await asyncio.to_thread(lambda: ground.server(database_url=url))
                async with _loaded(load, server.api_url):
                    for seconds in HOLDS[tier]:
                        for lock in LOCKS:
                            await _hold(eyes, ["BEGIN", lock], seconds)
                    crossed = await _cross(eyes, CROSSINGS[tier])
                    for seconds in DELAYS[tier]:
                        wire.delay(seconds)
                        await asyncio.sleep(DELAYED_FOR_SECONDS[tier])
                        wire.delay(0)
                await asyncio.to_thread(server.stop)  # while there is a way to the database
        unmatched = await contradictions(eyes)
    surfaced = server.log.read_text().count("deadlock")
    slowest_probes = sorted(load.probes)
    p99 = slowest_probes[int(0.99 * (len(slowest_probes) - 1))]
    return {
        "answers": dict(load.answers),
        "foul": sorted(load.foul),
        "slowest_answer_s": round(load.slowest, 1),
        "probes": len(load.probes),
        "health_p99_ms": round(1000 * p99),
        "health_max_ms": round(1000 * slowest_probes[-1]),
        "bad_probes": {what: n for what, n in load.bad_probes.items() if n},
        "deadlocks_of_others": crossed,
        "deadlocks_surfaced": surfaced,
        "contradictions": unmatched,
        "ok": not load.foul
        and p99 < PROBE_BOUND_SECONDS
        and surfaced == unmatched == 0
        and load.answers["201"] > 0,
    }


def play(ground: Ground) -> Figures:
    """Every figure of the slowness."""
    return asyncio.run(slow_down(ground))


if __name__ == "__main__":
    main("slow_database", play, db="postgres")
