"""P9 to P11: creating runs, heartbeats, and changing many queues at once."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from time import perf_counter

from bench import seeds
from bench.lanes import Lane, drive
from bench.meter import median
from bench.stage import Figure, Stage

LANES = 8
WORKERS = (1_000, 10_000)
INTERVAL_SECONDS = 5.0
MOST_OF_A_CORE = 0.25
QUEUES = 500
CLIENTS = 10
MOST_GROWTH = 1.2
EDGE = 50  # queues whose cost is compared at either end


async def measure(stage: Stage) -> list[Figure]:
    """CPU of one operation each."""
    async with stage.lane() as lane:
        await seeds.pool(lane, "creates")
        deployment = await seeds.deployment(lane, "creates")
    return [
        *await _runs(stage, deployment),
        *await _heartbeats(stage),
        *await _queues(stage),
    ]


async def _runs(stage: Stage, deployment: str) -> list[Figure]:
    async def create(lane: Lane, _number: int) -> int:
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": _now()}}
        await lane.ok("POST", f"/deployments/{deployment}/create_flow_run", {"state": state})
        return 1

    cost = await drive(stage.urls, LANES, stage.seconds, stage.meter(), create)
    return [
        Figure("P9", f"runs created singly by {LANES} clients", stage.db, cost.rate, "/s"),
        Figure("P9", "CPU of one", stage.db, cost.each, "ms"),
    ]


async def _heartbeats(stage: Stage) -> list[Figure]:
    figures = []
    for workers in WORKERS:
        turn: Counter[int] = Counter()

        async def beat(
            lane: Lane, number: int, workers: int = workers, turn: Counter[int] = turn
        ) -> int:
            turn[number] += LANES
            body = {"name": f"worker {(turn[number] + number) % workers}"}
            await lane.ok("POST", "/work_pools/creates/workers/heartbeat", body)
            return 1

        cost = await drive(stage.urls, LANES, stage.seconds, stage.meter(), beat)
        what = f"heartbeats of {workers:,} workers"
        figures.append(Figure("P10", f"{what}: CPU of one", stage.db, cost.each, "ms"))
        share = cost.each / 1000 * workers / INTERVAL_SECONDS
        most = MOST_OF_A_CORE if workers == max(WORKERS) else None
        every = f"{what} every {INTERVAL_SECONDS:.0f} s: cores"
        figures.append(Figure("P10", every, stage.db, share, "", most))
    return figures


async def _queues(stage: Stage) -> list[Figure]:
    """Ten clients create, re-prioritise and delete the queues of one pool."""
    async with stage.lane() as lane:
        await seeds.pool(lane, "queues")
    failed = 0
    figures = []
    for verb in ("create", "change the priority of", "delete"):
        took: list[float] = []
        left = iter(range(QUEUES))
        lanes = [await Lane(stage.urls[n % len(stage.urls)]).__aenter__() for n in range(CLIENTS)]

        async def keep_on(
            lane: Lane,
            verb: str = verb,
            left: Iterator[int] = left,
            took: list[float] = took,
        ) -> None:
            nonlocal failed
            for number in left:
                path = "/work_pools/queues/queues"
                began = perf_counter()
                if verb == "create":
                    answer = await lane.send("POST", path, {"name": f"q{number}"})
                elif verb == "delete":
                    answer = await lane.send("DELETE", f"{path}/q{number}")
                else:
                    body = {"priority": number % 20 + 1}
                    answer = await lane.send("PATCH", f"{path}/q{number}", body)
                took.append(perf_counter() - began)
                failed += answer.status >= 300

        await asyncio.gather(*(keep_on(lane) for lane in lanes))
        for lane in lanes:
            await lane.__aexit__()
        growth = median(took[-EDGE:]) / median(took[:EDGE])
        what = f"{CLIENTS} clients {verb} {QUEUES} queues: the last by the first"
        figures.append(Figure("P11", what, stage.db, growth, "", MOST_GROWTH))
    figures.append(Figure("P11", "failed of them", stage.db, failed, "", 0))
    return figures


def _now() -> str:
    return datetime.now(UTC).isoformat()
