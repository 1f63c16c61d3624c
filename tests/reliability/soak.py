"""Workers of both kinds, pools with limits, and kills without end: nothing is lost, doubled or leaks.

`python -m tests.reliability.soak --db postgres --servers 2 --seconds 1800`
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import a_flow, client, proposal, sent
from tests.reliability.ground import Figures, Ground, Process, Server, main
from tests.reliability.observers import (
    contradictions,
    forbid_overshoot,
    key,
    looking,
    watching,
)
from tests.reliability.wire import Wire

LIMITS: dict[str, int | None] = {"one": 1, "three": 3, "free": None}  # by pool
OWN_WORKERS = ("one", "three", "free")  # pools that they serve
STOCK_PER_POOL = 2
BEAT_SECONDS = 1  # hence leases of 4
KILL_EVERY_SECONDS = (2.0, 5.0)
CREATE_EVERY_SECONDS = 0.15
CREATED_FOR = 0.7  # of the time; the rest is for what is left
API_KILLED_FOR = 0.5  # of the time, so that the growth of those that live can be seen
FINISH_SECONDS = 120.0
WORK_SECONDS = 0.2
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# Growth shows in long lives only, after the first minutes.
LEAST_SPAN_SECONDS = 600.0
RSS_BOUND_MIB_PER_HOUR = 2.0
FILES_BOUND_PER_HOUR = 1.0


@dataclass
class Sample:
    """What a server process holds at a time."""

    pid: int
    at: float
    rss_mib: float
    files: int


@dataclass
class Story:
    """What goes on, and what was seen."""

    flow: str
    apis: Sequence[httpx.AsyncClient]
    rng: random.Random
    created: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    create_seconds: list[float] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)

    async def ask(self, method: str, path: str, body: Any, **headers: str) -> Any:
        """The answer of any server that gives one, however long it takes."""
        while True:
            try:
                answer = await self.rng.choice(self.apis).request(
                    method, path, json=body, headers=headers
                )
            except httpx.TransportError as error:
                self.answers[type(error).__name__] += 1
                await asyncio.sleep(0.1)
                continue
            self.answers[str(answer.status_code)] += 1
            if answer.status_code in (429, 503):
                await asyncio.sleep(0.1)
                continue
            return answer.json() if answer.content else None


async def _create(story: Story, until: float) -> None:
    """Make runs, each once however often its answer is lost."""
    while time.monotonic() < until:
        pool = story.rng.choice([*LIMITS])
        body = {
            "flow_id": story.flow,
            "work_pool_name": pool,
            "state": {"type": "SCHEDULED"},
        }
        began = time.monotonic()
        made = await story.ask("POST", "/flow_runs/", body, **{"Idempotency-Key": str(uuid4())})
        story.create_seconds.append(time.monotonic() - began)
        story.created.add(key(made["id"]))
        await asyncio.sleep(story.rng.uniform(0, 2 * CREATE_EVERY_SECONDS))


async def _stock(story: Story, pool: str) -> None:
    """What a stock worker and its engines do, one run at a time; cancelled, it falls silent."""
    name = f"stock {uuid4()}"
    stock = {"X-Prefect-Worker-Name": name}

    async def beat() -> None:
        while True:
            body = {"name": name, "heartbeat_interval_seconds": BEAT_SECONDS}
            await story.ask("POST", f"/work_pools/{pool}/workers/heartbeat", body)
            await asyncio.sleep(BEAT_SECONDS)

    async with asyncio.TaskGroup() as group:
        group.create_task(beat())
        while True:
            found = await story.ask("POST", f"/work_pools/{pool}/get_scheduled_flow_runs", {})
            for offer in found[:2]:
                path = f"/flow_runs/{offer['flow_run']['id']}/set_state"
                for type in ("PENDING", "RUNNING", "COMPLETED"):
                    answer = await story.ask("POST", path, proposal(type), **stock)
                    if answer.get("status") != "ACCEPT":
                        break
                    await asyncio.sleep(WORK_SECONDS / 2)
            await asyncio.sleep(0.2)


def _server(ground: Ground, wire: Wire) -> Server:
    server = ground.server()
    wire.lead_to(server.api_url)
    return server


async def _kill(
    ground: Ground, story: Story, servers: list[Server], wires: list[Wire], until: float
) -> None:
    """Kill workers of both kinds and servers, and put others in their places."""
    beat = {"FOREBAY_WORKER_HEARTBEAT_SECONDS": str(BEAT_SECONDS)}

    def own(pool: str) -> Process:
        wire = story.rng.choice(wires)
        return ground.worker(wire.url, pool, "--name", f"own {uuid4()}", **beat)

    workers = {pool: own(pool) for pool in OWN_WORKERS}
    stock = [
        (pool, asyncio.create_task(_stock(story, pool)))
        for pool in LIMITS
        for _ in range(STOCK_PER_POOL)
    ]
    began = time.monotonic()
    try:
        while (now := time.monotonic()) < until:
            await asyncio.sleep(story.rng.uniform(*KILL_EVERY_SECONDS))
            may_kill_api = now < began + API_KILLED_FOR * (until - began)
            victim = story.rng.choice(["own", "stock", *(["server"] if may_kill_api else [])])
            story.kills[victim] += 1
            if victim == "own":
                pool = story.rng.choice([*workers])
                await asyncio.to_thread(workers[pool].kill)
                workers[pool] = own(pool)
            elif victim == "stock":
                pool, task = stock.pop(story.rng.randrange(len(stock)))
                task.cancel()
                stock.append((pool, asyncio.create_task(_stock(story, pool))))
            else:
                # With several, the first one lives, to see what it gathers.
                number = story.rng.randrange(1, len(servers)) if len(servers) > 1 else 0
                await asyncio.to_thread(servers[number].kill)
                servers[number] = await asyncio.to_thread(_server, ground, wires[number])
        await _until_over(story)
    finally:
        for _, task in stock:
            task.cancel()
        await asyncio.gather(*(task for _, task in stock), return_exceptions=True)
        for worker in workers.values():
            await asyncio.to_thread(worker.kill)


async def _until_over(story: Story) -> None:
    """Wait until no run is left to do, or it has taken too long."""
    deadline = time.monotonic() + FINISH_SECONDS
    open_runs = {"flow_runs": {"state": {"type": {"not_any_": [*TERMINAL]}}}}
    while await story.ask("POST", "/flow_runs/count", open_runs):
        if time.monotonic() > deadline:
            return
        await asyncio.sleep(0.3)


async def _sample(story: Story, servers: list[Server]) -> None:
    """Note what the servers hold."""
    while True:
        for server in servers:
            with suppress(OSError, IndexError):
                process = Path(f"/proc/{server.pid}")
                status = (process / "status").read_text()
                rss = int(status.split("VmRSS:")[1].split()[0]) / 1024
                files = len([*(process / "fd").iterdir()])
                story.samples.append(Sample(server.pid, time.monotonic(), rss, files))
        await asyncio.sleep(1.0)


def _slopes(samples: Sequence[Sample]) -> tuple[float, float, float]:
    """Of the process that was seen for longest, after a third of that time: how long it was
    looked at, and by how many MiB and open files it grew in an hour."""
    lives: dict[int, list[Sample]] = {}
    for sample in samples:
        lives.setdefault(sample.pid, []).append(sample)
    longest = max(lives.values(), key=len)
    kept = longest[len(longest) // 3 :]
    span = kept[-1].at - kept[0].at
    return span, _slope([(s.at, s.rss_mib) for s in kept]), _slope([(s.at, s.files) for s in kept])


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """In an hour, by least squares."""
    mean_at = sum(at for at, _ in points) / len(points)
    mean = sum(value for _, value in points) / len(points)
    spread = sum((at - mean_at) ** 2 for at, _ in points)
    return 3600 * sum((at - mean_at) * (v - mean) for at, v in points) / spread if spread else 0.0


def _p99_ms(seconds: Sequence[float]) -> int:
    return round(1000 * sorted(seconds)[int(0.99 * (len(seconds) - 1))])


def _twice(states: Sequence[tuple[Any, str]]) -> int:
    """Runs that ended twice, or began twice for one claim; states of a run are in order."""
    doubled = set()
    before: dict[str, str] = {}
    ended: set[str] = set()
    for id, type in states:
        run = key(id)
        if (type == "RUNNING" and before.get(run) == "RUNNING") or run in ended:
            doubled.add(run)
        if type in TERMINAL:
            ended.add(run)
        before[run] = type
    return len(doubled)


async def soak(ground: Ground) -> Figures:
    """Go on for as long as there is time, then look at every run."""
    seconds = ground.options.seconds
    rng = random.Random(ground.options.seed)
    servers = await asyncio.to_thread(ground.servers)
    wires = [Wire(server.api_url) for server in servers]
    async with AsyncExitStack() as stack:
        apis = []
        for wire in wires:
            address = await stack.enter_async_context(wire.open())
            apis.append(await stack.enter_async_context(client(address)))
        eyes = await stack.enter_async_context(looking(ground.database_url))
        await forbid_overshoot(eyes)
        story = Story(await a_flow(apis[0]), apis, rng)
        command = f"sleep {WORK_SECONDS}"
        template = {"job_configuration": {"command": command}, "variables": {"type": "object"}}
        places = {}
        for pool, limit in LIMITS.items():
            body = {"name": pool, "type": "process", "base_job_template": template}
            given = {**body, "concurrency_limit": limit}
            rescued = {"on_lost": "reschedule", "max_rescues": 1000}
            made = await sent(apis[0], "POST", "/work_pools/", {**given, **rescued})
            places[key(made["id"])] = limit
        sampling = asyncio.create_task(_sample(story, servers))
        began = time.monotonic()
        async with watching(ground.database_url) as watch:
            await asyncio.gather(
                _create(story, began + CREATED_FOR * seconds),
                _kill(ground, story, servers, wires, began + seconds),
            )
        sampling.cancel()
        rows = await eyes.rows("SELECT id, state_type FROM flow_run")
        states = await eyes.rows(
            "SELECT flow_run_id, type FROM flow_run_state ORDER BY timestamp, id"
        )
        unmatched = await contradictions(eyes)
        for server in servers:
            await asyncio.to_thread(server.stop)
    ends = {key(id): type for id, type in rows}
    lost = sum(ends.get(run) not in TERMINAL for run in story.created)
    over = sum(limit is not None and watch.peaks[place] > limit for place, limit in places.items())
    doubled = _twice(states) + len(watch.doubled) + len(ends.keys() - story.created)
    span, rss, files = _slopes(story.samples)
    is_flat = rss < RSS_BOUND_MIB_PER_HOUR and files < FILES_BOUND_PER_HOUR
    third = len(story.create_seconds) // 3
    foul = {what: n for what, n in story.answers.items() if what[0] == "5" and what != "503"}
    return {
        "runs": len(story.created),
        "ends": dict(Counter(ends.values())),
        "kills": dict(story.kills),
        "lost": lost,
        "doubled": doubled,
        "over_limit": over,
        "answers": dict(sorted(story.answers.items())),
        "contradictions": unmatched,
        "watched_s": round(span),
        "rss_slope_mib_h": round(rss, 1),
        "files_slope_h": round(files, 1),
        "create_p99_ms": [
            _p99_ms(story.create_seconds[:third]),
            _p99_ms(story.create_seconds[-third:]),
        ],
        "ok": lost == doubled == over == unmatched == 0
        and not foul
        and third > 0
        and (is_flat or span < LEAST_SPAN_SECONDS),
    }


def play(ground: Ground) -> Figures:
    """Every figure of the soak."""
    return asyncio.run(soak(ground))


if __name__ == "__main__":
    main("soak", play, db="postgres", servers=2, seconds=60)
