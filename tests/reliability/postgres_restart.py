"""PostgreSQL is restarted and loses backends under load: nothing acknowledged is lost, nobody hangs.

`python -m tests.reliability.postgres_restart --servers 2`
"""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import a_flow, client, proposal
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.observers import contradictions, key, looking

WRITERS = 3  # of each server
READERS = 2
MODES = ("immediate", "fast")  # of pg_ctl; the first one is a crash
LIFE_SECONDS = {"quick": (0.5, 1.5), "night": (5.0, 20.0)}  # of the database between restarts
AWAY_SECONDS = (0.1, 1.5)
RECOVERY_BOUND_SECONDS = 3.0
HANG_SECONDS = 10.0
GIVE_UP_SECONDS = 60.0
STEPS = ("PENDING", "RUNNING", "COMPLETED")

# A backend of the server, if there is one, as the out-of-memory killer or an operator ends it.
_TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'forebay' "
    "AND datname = current_database() ORDER BY state = 'active' DESC, random() LIMIT 1"
)


@dataclass(frozen=True)
class Answer:
    """What a caller got; `at` is when, by the monotonic clock."""

    server: int
    at: float
    seconds: float
    status: str
    text: str = ""


@dataclass
class Load:
    """Everything that callers were answered, and what was acknowledged to them."""

    flow: str
    answers: list[Answer] = field(default_factory=list)
    pools: set[str] = field(default_factory=set)
    states: set[tuple[str, str]] = field(default_factory=set)  # run and type of state
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def ask(
        self, api: httpx.AsyncClient, server: int, method: str, path: str, body: Any
    ) -> httpx.Response | None:
        """The answer if it was a good one; noted in any case."""
        began = time.monotonic()
        try:
            answer = await api.request(method, path, json=body)
        except httpx.HTTPError as error:
            self._note(server, began, type(error).__name__)
            return None
        text = "" if answer.is_success else answer.text
        self._note(server, began, str(answer.status_code), text)
        return answer if answer.is_success else None

    def _note(self, server: int, began: float, status: str, text: str = "") -> None:
        now = time.monotonic()
        self.answers.append(Answer(server, now, now - began, status, text))


async def _write(load: Load, api: httpx.AsyncClient, server: int) -> None:
    """Make a pool, a run in it, and take the run through its states, again and again."""
    while not load.is_over.is_set():
        await asyncio.sleep(0.01)
        name = str(uuid4())
        pool = {"name": name, "type": "process"}
        if await load.ask(api, server, "POST", "/work_pools/", pool) is None:
            continue
        load.pools.add(name)
        body = {"flow_id": load.flow, "work_pool_name": name, "state": {"type": "SCHEDULED"}}
        made = await load.ask(api, server, "POST", "/flow_runs/", body)
        if made is None:
            continue
        run = str(made.json()["id"])
        for type in STEPS:
            path = f"/flow_runs/{run}/set_state"
            answer = await load.ask(api, server, "POST", path, proposal(type))
            if answer is None or answer.json()["status"] != "ACCEPT":
                break
            load.states.add((key(run), type))


async def _read(load: Load, api: httpx.AsyncClient, server: int) -> None:
    while not load.is_over.is_set():
        await load.ask(api, server, "POST", "/work_pools/filter", {"limit": 5})
        await asyncio.sleep(0.01)


def _recovery_seconds(load: Load, servers: int, back_at: float) -> float | None:
    """From the database's return until every server has given a good answer; None: not yet."""
    firsts = []
    for server in range(servers):
        good = (a.at for a in load.answers if a.server == server and a.status[0] == "2")
        firsts.append(next((at for at in good if at > back_at), None))
    return None if None in firsts else max(at for at in firsts if at is not None) - back_at


async def _restart(ground: Ground, load: Load, servers: int) -> tuple[int, list[float]]:
    """Restart the database, and end backends, for as long as there is time: how many backends
    were ended, and how long it took to recover from each restart."""
    cluster = ground.cluster
    assert cluster is not None
    rng = random.Random(ground.options.seed)
    terminated = 0
    recoveries: list[float] = []
    end = time.monotonic() + ground.options.seconds
    while len(recoveries) < len(MODES) or time.monotonic() < end:
        await asyncio.sleep(rng.uniform(*LIFE_SECONDS[ground.options.tier]))
        async with looking(ground.database_url) as eyes:
            terminated += len(await eyes.rows(_TERMINATE))
        await asyncio.sleep(rng.uniform(0, 0.5))
        await asyncio.to_thread(cluster.stop, MODES[len(recoveries) % len(MODES)])
        await asyncio.sleep(rng.uniform(*AWAY_SECONDS))
        await asyncio.to_thread(cluster.start)
        back_at = time.monotonic()
        while (took := _recovery_seconds(load, servers, back_at)) is None:
            if time.monotonic() - back_at > GIVE_UP_SECONDS:
                raise RuntimeError("a server did not come back with its database")
            await asyncio.sleep(0.02)
        recoveries.append(took)
    load.is_over.set()
    return terminated, recoveries


async def restart(ground: Ground) -> Figures:
    """Restart under load, then compare what was acknowledged with the database."""
    servers = await asyncio.to_thread(ground.servers)
    apis = [client(server.api_url) for server in servers]
    load = Load(await a_flow(apis[0]))
    callers = [
        asyncio.create_task(kind(load, api, number))
        for number, api in enumerate(apis)
        for kind in (_write,) * WRITERS + (_read,) * READERS
    ]
    terminated, recoveries = await _restart(ground, load, len(servers))
    await asyncio.gather(*callers)
    for api in apis:
        await api.aclose()
    async with looking(ground.database_url) as eyes:
        pools = {name for (name,) in await eyes.rows("SELECT name FROM work_pool")}
        rows = await eyes.rows("SELECT flow_run_id, type FROM flow_run_state")
        states = {(key(run), type) for run, type in rows}
        unmatched = await contradictions(eyes)
    lost = len(load.pools - pools) + len(load.states - states)
    answers = Counter(answer.status for answer in load.answers)
    foul = sorted({f"{a.status}: {a.text[:200]}" for a in load.answers if a.status not in FAIR})
    hangs = sum(answer.seconds > HANG_SECONDS for answer in load.answers)
    recovery = round(max(recoveries), 2)
    return {
        "restarts": len(recoveries),
        "terminated": terminated,
        "acknowledged": len(load.pools) + len(load.states),
        "lost": lost,
        "answers": dict(sorted(answers.items())),
        "foul": foul,
        "recovery_max_s": recovery,
        "slowest_answer_s": round(max(answer.seconds for answer in load.answers), 1),
        "hangs": hangs,
        "contradictions": unmatched,
        "ok": not foul
        and lost == hangs == unmatched == 0
        and recovery <= RECOVERY_BOUND_SECONDS
        and len(load.states) > 0
        and terminated > 0,
    }


# The one refusal that there may be while the database is away.
FAIR = frozenset({"200", "201", "503"})


def play(ground: Ground) -> Figures:
    """Every figure of the restarts."""
    return asyncio.run(restart(ground))


if __name__ == "__main__":
    main("postgres_restart", play, db="postgres", servers=2, seconds=60)
