"""Workers are told to end with runs in every phase: each run ends, or is handed back at once.

`python -m tests.reliability.drain_worker` (each way in each phase; `--tier night` 17 times);
servers are meant in `drain`.
"""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.reliability.clients import a_flow, a_run, client, online, sent
from tests.reliability.ground import Figures, Ground, Process, main
from tests.reliability.observers import Eyes, at, contradictions, key, looking

ROUNDS = {"quick": 1, "night": 17}  # of the whole plan; 510 workers
AT_ONCE = 3
PHASE_SECONDS = 30.0  # to get where the signal is meant
CREATE_EVERY_SECONDS = 0.05
LATE_RUNS = 5  # that are made when the worker has been told, and that nobody may begin
FIRST_SECONDS = 1.5  # the first run goes on past a short grace
WORK_SECONDS = (0.05, 0.4)
BEAT_SECONDS = 2  # by which a worker hears that it is asked to end
CLAIM_SECONDS = 0.06  # in which a run that is being made may come to a worker that waits
PATIENCE_SECONDS = 0.5  # of who signals again and again, at most
DRAIN_BOUND_SECONDS = 15.0
UNFINISHED = ("PENDING", "RUNNING", "CANCELLING")

SCRIPT = """
echo begin $FOREBAY_FLOW_RUN_ID >> $1
sleep $2
echo end $FOREBAY_FLOW_RUN_ID >> $1
"""
_RUNS = """
SELECT id, state_type, infrastructure_pid, next_scheduled_start_time FROM flow_run
WHERE work_queue_id IN (SELECT work_queue.id FROM work_queue JOIN work_pool
ON work_pool.id = work_queue.work_pool_id WHERE work_pool.name = '{pool}')
"""


@dataclass(frozen=True)
class Ending:
    """How a worker is told to end, and what may then become of what it has begun."""

    grace: float = 10.0
    on_lost: str = "crash"
    is_told_again: bool = False
    is_asked: bool = False  # by the API instead of a signal
    outcomes: tuple[str, ...] = ("COMPLETED",)


ENDINGS = {
    "patient": Ending(),
    "hasty": Ending(grace=0.2, outcomes=("COMPLETED", "CRASHED")),
    "rescheduled": Ending(grace=0.2, on_lost="reschedule", outcomes=("COMPLETED", "SCHEDULED")),
    "insistent": Ending(is_told_again=True, outcomes=("COMPLETED", "CRASHED")),
    "asked": Ending(is_asked=True),
}
PHASES = ("idle", "claiming", "claimed", "starting", "running", "reporting")
PLAN = tuple((ending, phase) for phase in PHASES for ending in ENDINGS)


@dataclass(frozen=True)
class Seen:
    """A run as the database and the notes of executions show it."""

    state: str
    infrastructure: str | None
    due: Any
    begun: int
    ended: int

    @property
    def phase(self) -> str:
        """How far it has come."""
        if self.state == "PENDING":
            return "claimed" if self.infrastructure is None else "starting"
        if self.state == "RUNNING":
            return "reporting" if self.ended else "running"
        return "waiting" if self.state == "SCHEDULED" else "over"


@dataclass
class Tally:
    """What was seen of workers that ended."""

    phases: Counter[str] = field(default_factory=Counter)  # of runs, when the worker was told
    exit_codes: Counter[int] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    left: list[str] = field(default_factory=list)  # unfinished, though their worker has ended
    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@dataclass
class Site:
    """A pool with a worker, and its runs."""

    ground: Ground
    api: httpx.AsyncClient
    eyes: Eyes
    flow: str
    pool: str
    rng: random.Random

    @property
    def notes(self) -> Path:
        """Where executions note their begins and ends."""
        return self.ground.folder / f"{self.pool}.notes"

    async def open(self, api_url: str, ending: Ending) -> Process:
        """Make the pool; its worker, once it is online."""
        script = self.ground.folder / f"{self.pool}.sh"
        script.write_text(SCRIPT)
        self.notes.touch()
        variables = {"type": "object", "properties": {"seconds": {"type": "number"}}}
        template = {
            "job_configuration": {"command": f"sh {script} {self.notes} {{{{ seconds }}}}"},
            "variables": variables,
        }
        pool = {"name": self.pool, "type": "process", "base_job_template": template}
        await sent(self.api, "POST", "/work_pools/", {**pool, "on_lost": ending.on_lost})
        options = ("--name", self.pool, "--grace", str(ending.grace))
        beat = {"FOREBAY_WORKER_HEARTBEAT_SECONDS": str(BEAT_SECONDS)}
        worker = self.ground.worker(api_url, self.pool, *options, **beat)
        await online(self.api, self.pool)
        return worker

    async def create(self, is_told: asyncio.Event) -> None:
        """Make runs until the worker has been told to end, and some more."""
        late, seconds = 0, FIRST_SECONDS
        while late < LATE_RUNS:
            late += is_told.is_set()
            await a_run(self.api, self.flow, self.pool, job_variables={"seconds": seconds})
            seconds = self.rng.uniform(*WORK_SECONDS)
            await asyncio.sleep(CREATE_EVERY_SECONDS)

    async def look(self) -> list[Seen]:
        """Every run of the pool."""
        rows = await self.eyes.rows(_RUNS.format(pool=self.pool))
        notes = Counter(self.notes.read_text().splitlines())
        noted = {line.replace("-", ""): number for line, number in notes.items()}
        return [
            Seen(state, pid, due, noted.get(f"begin {key(id)}", 0), noted.get(f"end {key(id)}", 0))
            for id, state, pid, due in rows
        ]

    async def tell(self, worker: Process, ending: Ending) -> None:
        """Tell the worker to end."""
        if ending.is_asked:
            await sent(self.api, "POST", f"/work_pools/{self.pool}/workers/{self.pool}/drain")
        else:
            worker.popen.send_signal(signal.SIGTERM)


async def _stop(site: Site, api_url: str, ending: Ending, phase: str, tally: Tally) -> None:
    """Tell a worker to end when a run has come to `phase`, and see what becomes of all."""
    worker = await site.open(api_url, ending)
    is_told = asyncio.Event()
    creating = None
    if phase != "idle":
        creating = asyncio.create_task(site.create(is_told))
        await _until(site, phase)
    seen = await site.look()
    began = time.monotonic()
    await site.tell(worker, ending)
    is_told.set()
    tally.phases.update(
        {phase} if phase in ("idle", "claiming") else {each.phase for each in seen}
    )
    if ending.is_told_again:
        await asyncio.sleep(site.rng.uniform(0, PATIENCE_SECONDS))
        while worker.popen.poll() is None:
            worker.popen.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.005)
    tally.exit_codes[await asyncio.to_thread(worker.end)] += 1
    tally.seconds.append(time.monotonic() - began)
    ends = await site.look()
    if creating is not None:
        await creating
    now = datetime.now(UTC)
    for each in ends:
        tally.ends[each.state] += 1
        if each.state in UNFINISHED:
            tally.left.append(f"{site.pool}: {each}")
        elif not _is_fair(each, ending, now):
            tally.wrong.append(f"{site.pool}: {each}")


async def _until(site: Site, phase: str) -> None:
    """Return when a run has come to `phase`, or is on its way to a worker that waits for it."""
    if phase == "claiming":
        await asyncio.sleep(site.rng.uniform(0, CLAIM_SECONDS))
        return
    give_up_at = time.monotonic() + PHASE_SECONDS
    while all(each.phase != phase for each in await site.look()):
        if time.monotonic() > give_up_at:
            return  # it was passed too fast each time; what was seen is counted
        await asyncio.sleep(0.002)


def _is_fair(seen: Seen, ending: Ending, now: datetime) -> bool:
    """Whether a run whose worker has ended is where it may be, and was carried out so often."""
    if seen.state == "SCHEDULED":
        is_fair = seen.begun == 0 or "SCHEDULED" in ending.outcomes
        return is_fair and at(seen.due) <= now + timedelta(seconds=1)
    if seen.state == "COMPLETED":
        return seen.begun == seen.ended == 1
    return seen.state in ending.outcomes and seen.begun == 1


async def stop_workers(ground: Ground, plan: Sequence[tuple[str, str]], rounds: int) -> Figures:
    """Every stop of the plan, some at once."""
    api_url = ground.server().api_url
    rng = random.Random(ground.options.seed)
    tally = Tally()
    turns = asyncio.Semaphore(AT_ONCE)
    async with client(api_url) as api:
        flow = await a_flow(api)

        async def stop(number: int, ending: str, phase: str, seed: float) -> None:
            pool = f"{ending}-{phase}-{number}"
            async with turns, looking(ground.database_url) as eyes:
                site = Site(ground, api, eyes, flow, pool, random.Random(seed))
                await _stop(site, api_url, ENDINGS[ending], phase, tally)

        for number in range(rounds):
            stops = (stop(number, ending, phase, rng.random()) for ending, phase in plan)
            await asyncio.gather(*stops)
    async with looking(ground.database_url) as eyes:
        unmatched = await contradictions(eyes)
    slowest = round(max(tally.seconds), 1)
    return {
        "stops": len(tally.seconds),
        "phases": dict(sorted(tally.phases.items())),
        "exit_codes": {str(code): number for code, number in tally.exit_codes.items()},
        "ends": dict(sorted(tally.ends.items())),
        "left": tally.left,
        "wrong": tally.wrong,
        "contradictions": unmatched,
        "drain_max_s": slowest,
        "ok": not tally.left
        and not tally.wrong
        and unmatched == 0
        and set(tally.exit_codes) == {0}
        and {phase for _, phase in plan} <= set(tally.phases)
        and slowest <= DRAIN_BOUND_SECONDS,
    }


def play(ground: Ground, plan: Sequence[tuple[str, str]] = PLAN) -> Figures:
    """Every figure of the stops."""
    return asyncio.run(stop_workers(ground, plan, ROUNDS[ground.options.tier]))


if __name__ == "__main__":
    main("drain_worker", play)
