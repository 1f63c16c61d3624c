"""Workers whose clocks are wrong, each otherwise, jump and drift: no lease and no schedule minds.

`python -m tests.reliability.worker_clocks`. In real time: `wrong_clock` starts each worker. The
clocks of servers and their database are meant in `clocks`.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx2 as httpx

from tests.reliability import wrong_clock
from tests.reliability.clients import a_flow, a_run, client, online, sent
from tests.reliability.ground import Figures, Ground, Process, main
from tests.reliability.observers import Eyes, at, contradictions, key, looking

DRIFT = 0.01  # of every other worker ahead, of the others back
BEAT_SECONDS = 1  # hence leases of 4
SWEEP_SECONDS = 0.5
LATE_BOUND_SECONDS = 5.0
EARLY_SECONDS = 0.05  # what a clock that drifts makes of half a second
WAIT_SECONDS = 30.0
FIRE_EVERY_SECONDS = 1
WORK_SECONDS = 0.1
POOL = "clocks"
SCRIPT = """
echo $FOREBAY_FLOW_RUN_ID $(date +%s.%N) >> $1
exec sleep $2
"""


@dataclass
class World:
    """What there is, and what was seen of it."""

    ground: Ground
    api: httpx.AsyncClient
    eyes: Eyes
    workers: dict[str, Process] = field(default_factory=dict)  # by name

    @property
    def notes(self) -> Path:
        """Where executions note when they begin, by the true clock."""
        return self.ground.folder / "notes"

    async def open(self, api_url: str, workers: int) -> str:
        """Start workers of a new pool, each with a clock of its own; a flow."""
        script = self.ground.folder / "work.sh"
        script.write_text(SCRIPT)
        self.notes.touch()
        command = f"sh {script} {self.notes} {{{{ seconds }}}}"
        variables = {"type": "object", "properties": {"seconds": {"type": "number"}}}
        template = {"job_configuration": {"command": command}, "variables": variables}
        pool = {"name": POOL, "type": "process", "base_job_template": template}
        moved_on = {"on_lost": "reschedule", "max_rescues": 100}
        await sent(self.api, "POST", "/work_pools/", {**pool, **moved_on})
        for number in range(workers):
            drift = DRIFT if number % 2 == 0 else -DRIFT
            name = f"worker-{number}"
            self.workers[name] = self.ground.worker(
                api_url,
                POOL,
                *("--name", name, "--grace", "0"),
                program=(sys.executable, "-P", wrong_clock.__file__, str(number), str(drift)),
                FOREBAY_WORKER_HEARTBEAT_SECONDS=str(BEAT_SECONDS),
            )
        await online(self.api, POOL, workers)
        return await a_flow(self.api)

    async def holders(self) -> dict[str, str]:
        """The worker that holds each run which is started."""
        rows = await self.eyes.rows(
            "SELECT flow_run_id, worker_name FROM claim JOIN flow_run ON flow_run.id = flow_run_id "
            "WHERE ended_at IS NULL AND state_type = 'RUNNING'"
        )
        return {key(run): worker for run, worker in rows}

    async def rescues(self) -> int:
        """How often a worker was taken for lost."""
        found = await self.eyes.rows(
            "SELECT count(*) FROM flow_run_state WHERE message LIKE 'Worker % was lost%'"
        )
        return int(found[0][0])

    async def held(self, flow: str) -> str:
        """A run that goes on without end, once somebody has it in hand."""
        run = key(await a_run(self.api, flow, POOL, job_variables={"seconds": 3600}))
        deadline = time.monotonic() + WAIT_SECONDS
        while run not in await self.holders():
            if time.monotonic() > deadline:
                raise RuntimeError("nobody took a run in hand")
            await asyncio.sleep(0.02)
        return run

    async def handed_back(self) -> tuple[int, int]:
        """How many runs wait for another worker, and how many of them for a time to come."""
        rows = await self.eyes.rows(
            "SELECT next_scheduled_start_time FROM flow_run "
            "WHERE state_type = 'SCHEDULED' AND NOT auto_scheduled"
        )
        return len(rows), sum(at(due) > datetime.now(UTC) for (due,) in rows)


@dataclass(frozen=True)
class Fires:
    """What became of a schedule's times."""

    fires: int
    missed: int
    doubled: int
    early: int
    late_max_s: float


async def _scheduled(world: World, flow: str, seconds: float) -> Fires:
    """Let a schedule fire for so long, then compare its times with what was carried out."""
    body = {
        "name": "every second",
        "flow_id": flow,
        "work_pool_name": POOL,
        "job_variables": {"seconds": WORK_SECONDS},
        "schedules": [{"schedule": {"interval": FIRE_EVERY_SECONDS}, "active": True}],
    }
    deployment = str((await sent(world.api, "POST", "/deployments/", body))["id"])
    await asyncio.sleep(seconds)
    until = datetime.now(UTC)
    await asyncio.sleep(LATE_BOUND_SECONDS / 2)
    await sent(world.api, "PATCH", f"/deployments/{deployment}", {"paused": True})
    rows = await world.eyes.rows(
        "SELECT id, expected_start_time, state_type FROM flow_run WHERE auto_scheduled"
    )
    return _judged([(key(id), at(due), state) for id, due, state in rows], until, _begun(world))


def _begun(world: World) -> dict[str, list[float]]:
    """When each run was begun."""
    begun: dict[str, list[float]] = {}
    for line in world.notes.read_text().splitlines():
        run, _, seconds = line.partition(" ")
        begun.setdefault(key(run), []).append(float(seconds))
    return begun


def _judged(
    runs: Sequence[tuple[str, datetime, str]], until: datetime, begun: dict[str, list[float]]
) -> Fires:
    """Compare the runs that a schedule has made, and those that were begun, with its times."""
    made = Counter(due for _, due, _ in runs if due <= until)
    expected = round((max(made) - min(made)).total_seconds() / FIRE_EVERY_SECONDS) + 1
    unfinished = sum(due <= until and state != "COMPLETED" for _, due, state in runs)
    missed = expected - len(made) + unfinished
    doubled = sum(made.values()) - len(made) + sum(len(times) > 1 for times in begun.values())
    delays = [begun[run][0] - due.timestamp() for run, due, _ in runs if run in begun]
    early = sum(delay < -EARLY_SECONDS for delay in delays)
    return Fires(expected, missed, doubled, early, round(max(delays), 2))


async def turn_wrong(ground: Ground, workers: int) -> Figures:
    """Nothing ends and nothing fires wrongly; and what is handed back is due at once."""
    server = ground.server(FOREBAY_SWEEP_SECONDS=str(SWEEP_SECONDS))
    async with client(server.api_url) as api, looking(ground.database_url) as eyes:
        world = World(ground, api, eyes)
        flow = await world.open(server.api_url, workers)
        began = time.monotonic()
        runs = [await world.held(flow) for _ in range(workers)]
        fires = await _scheduled(world, flow, ground.options.seconds)
        holders = await world.holders()
        wrong = await world.rescues() + len(set(runs) - holders.keys())
        jumps = workers * int((time.monotonic() - began) / wrong_clock.JUMP_EVERY_SECONDS)
        exit_codes, put_off = Counter[int](), 0
        for worker in world.workers.values():
            exit_codes[await asyncio.to_thread(worker.stop)] += 1
            handed_back, late = await world.handed_back()
            put_off += late
        unmatched = await contradictions(eyes)
    return {
        "workers": workers,
        "jumps": jumps,
        "holders": len({holders.get(run) for run in runs}),
        "wrong_expiries": wrong,
        **asdict(fires),
        "handed_back": handed_back,
        "put_off": put_off,
        "exit_codes": {str(code): number for code, number in exit_codes.items()},
        "contradictions": unmatched,
        "ok": wrong == fires.missed == fires.doubled == fires.early == put_off == unmatched == 0
        and handed_back == workers
        and set(exit_codes) == {0}
        and fires.fires > 0
        and fires.late_max_s <= LATE_BOUND_SECONDS,
    }


def play(ground: Ground, workers: int = len(wrong_clock.OFFSETS)) -> Figures:
    """Every figure of workers whose clocks are wrong."""
    return asyncio.run(turn_wrong(ground, workers))


if __name__ == "__main__":
    main("worker_clocks", play, seconds=60)
