"""The network between worker, API and database is cut, slow or one-way: short cuts change nothing,
long ones have the run rescued once, and nothing is ever carried out twice at a time.

`python -m tests.reliability.cuts`
"""

import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx

from tests.reliability.clients import a_flow, a_run, client, online, sent
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.observers import Eyes, contradictions, looking
from tests.reliability.wire import Wire

HEARTBEAT_SECONDS = 2  # hence a lease of 8
LEASE_SECONDS = 8.0
SHORT_SECONDS = {"quick": (0.5, 1.5), "night": (0.5, 4.0)}  # far below 2/3 of a lease
LONG_SECONDS = {"quick": (10.0, 11.0), "night": (10.0, 60.0)}  # beyond a lease
LONG_EVERY = {"quick": 6, "night": 5}  # cuts, of which one is long
KINDS = ("cut", "late", "deaf", "mute")
LATE_SECONDS = 0.3  # each way, for what is carried
WORK_SECONDS = 2.0
CONVERGE_BOUND_SECONDS = 20.0  # a lease, a sweep, and a process to start
FINISH_SECONDS = 90.0
POOL = "cut"
TERMINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")

# An execution notes again and again that it goes on, so that its end is known also when killed.
_SCRIPT = """
import os, time
for _ in range({ticks}):
    with open({notes!r}, "a") as file:
        file.write(f"{{os.environ['FOREBAY_CLAIM']}} {{os.getpid()}} {{time.monotonic()}}\\n")
    time.sleep(0.05)
"""


@dataclass(frozen=True)
class Plan:
    """One cut."""

    path: str
    kind: str
    seconds: float
    wait: float  # after new runs, before it
    is_long: bool


@dataclass
class Tally:
    """What the cuts did."""

    cuts: Counter[str] = field(default_factory=Counter)
    false_rescues: int = 0
    rescues: int = 0
    converged: list[float] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)


def _break(wire: Wire, kind: str) -> None:
    if kind == "cut":
        wire.cut()
    elif kind == "late":
        wire.delay(LATE_SECONDS)
    elif kind == "deaf":
        wire.back.is_open.clear()
    else:
        wire.there.is_open.clear()


async def _rescues(eyes: Eyes) -> int:
    """How often a run was moved on because its worker was taken for lost."""
    found = await eyes.rows(
        "SELECT count(*) FROM flow_run_state WHERE message LIKE 'Worker % was lost%'"
    )
    return int(found[0][0])


async def _until_ended(api: httpx.AsyncClient, run: str, seconds: float) -> str:
    """The state of a run at its end, or the last one seen."""
    deadline = time.monotonic() + seconds
    while True:
        state = str((await sent(api, "GET", f"/flow_runs/{run}"))["state_type"])
        if state in TERMINAL or time.monotonic() > deadline:
            return state
        await asyncio.sleep(0.05)


async def _cut_once(
    wires: dict[str, Wire], api: httpx.AsyncClient, flow: str, eyes: Eyes, tally: Tally, plan: Plan
) -> None:
    """Break one path for a while, mend it, and see that work goes on."""
    tally.runs += [await a_run(api, flow, POOL) for _ in range(2)]
    await asyncio.sleep(plan.wait)
    before = await _rescues(eyes)
    wire = wires[plan.path]
    _break(wire, plan.kind)
    await asyncio.sleep(plan.seconds)
    wire.mend()
    mended_at = time.monotonic()
    run = await a_run(api, flow, POOL)
    tally.runs.append(run)
    await _until_ended(api, run, FINISH_SECONDS)
    tally.converged.append(time.monotonic() - mended_at - WORK_SECONDS)
    rescued = await _rescues(eyes) - before
    tally.rescues += rescued
    tally.false_rescues += 0 if plan.is_long else rescued
    tally.cuts[f"{plan.path} {plan.kind}{' long' if plan.is_long else ''}"] += 1


def _plans(ground: Ground, paths: list[str]) -> list[Plan]:
    """Cuts in random order, each kind on each path before any comes again."""
    rng = random.Random(ground.options.seed)
    tier = ground.options.tier
    number = {"quick": 6, "night": 300}[tier]
    plans: list[Plan] = []
    while len(plans) < number:
        kinds = [(path, kind) for path in paths for kind in KINDS]
        rng.shuffle(kinds)
        for path, kind in kinds:
            is_long = len(plans) % LONG_EVERY[tier] == LONG_EVERY[tier] - 1
            if is_long:  # slowness is no absence
                kind = "mute" if kind == "late" else kind
            bounds = LONG_SECONDS[tier] if is_long else SHORT_SECONDS[tier]
            plans.append(Plan(path, kind, rng.uniform(*bounds), rng.uniform(0, 1.5), is_long))
    return plans[:number]


def _overlaps(notes: Path) -> tuple[int, int]:
    """Executions, and how many of them began before an earlier one of their run had ended."""
    spans: dict[tuple[str, str], list[float]] = {}
    for line in notes.read_text().splitlines():
        claim, pid, at = line.split()
        span = spans.setdefault((claim.partition(":")[0], pid), [float(at), 0.0])
        span[1] = float(at)
    overlaps = 0
    last_of_run: dict[str, float] = {}
    for (run, _), (begin, end) in sorted(spans.items(), key=lambda item: item[1][0]):
        overlaps += begin < last_of_run.get(run, float("-inf"))
        last_of_run[run] = max(end, last_of_run.get(run, end))
    return len(spans), overlaps


async def cut(ground: Ground) -> Figures:
    """Two workers of one pool, of whom one may be cut off, and a database that may be."""
    tally = Tally()
    notes = ground.folder / "notes"
    notes.touch()
    script = ground.folder / "work.py"
    script.write_text(_SCRIPT.format(ticks=int(WORK_SECONDS / 0.05), notes=str(notes)))
    template = {
        "job_configuration": {"command": f"{sys.executable} -S {script}"},
        "variables": {"type": "object"},
    }
    pool = {"name": POOL, "type": "process", "base_job_template": template}
    to_database = Wire(ground.database_url)
    async with to_database.open() as database_url, looking(ground.database_url) as eyes:
        is_remote = ground.options.db == "postgres"
        url = database_url if is_remote else ground.database_url
        server = await asyncio.to_thread(lambda: ground.server(database_url=url))
        to_api = Wire(server.api_url)
        wires = {"worker-API": to_api, **({"API-database": to_database} if is_remote else {})}
        async with to_api.open() as far_url, client(server.api_url) as api:
            flow = await a_flow(api)
            body = {**pool, "on_lost": "reschedule", "max_rescues": 100}
            await sent(api, "POST", "/work_pools/", body)
            beat = {"FOREBAY_WORKER_HEARTBEAT_SECONDS": str(HEARTBEAT_SECONDS)}
            for name, address in (("near", server.api_url), ("far", far_url)):
                ground.worker(address, POOL, "--name", name, **beat)
            await online(api, POOL, 2)
            give_up_at = time.monotonic() + ground.options.seconds
            for plan in _plans(ground, [*wires]):
                if tally.cuts and time.monotonic() > give_up_at:
                    break
                await _cut_once(wires, api, flow, eyes, tally, plan)
            ends = Counter([await _until_ended(api, run, FINISH_SECONDS) for run in tally.runs])
        unmatched = await contradictions(eyes)
        await asyncio.to_thread(ground.end)  # while there are ways
    executions, overlaps = _overlaps(notes)
    slowest = round(max(tally.converged), 1)
    return {
        "cuts": sum(tally.cuts.values()),
        "kinds": dict(sorted(tally.cuts.items())),
        "runs": len(tally.runs),
        "ends": dict(ends),
        "executions": executions,
        "overlapping": overlaps,
        "rescues": tally.rescues,
        "false_rescues": tally.false_rescues,
        "converge_max_s": slowest,
        "contradictions": unmatched,
        "ok": set(ends) == {"COMPLETED"}
        and overlaps == tally.false_rescues == unmatched == 0
        and executions >= len(tally.runs)
        and slowest <= CONVERGE_BOUND_SECONDS,
    }


def play(ground: Ground) -> Figures:
    """Every figure of the cuts."""
    return asyncio.run(cut(ground))


if __name__ == "__main__":
    main("cuts", play, db="postgres", seconds=1800)
