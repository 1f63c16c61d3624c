"""P7, P14: how soon a waiting worker has a run, and what waiting costs."""

import asyncio
import time

from bench import seeds
from bench.lanes import Lane
from bench.meter import percentile, resident_mib
from bench.stage import Figure, Stage

RUNS = 200
MOST_MEDIAN_MS, MOST_SLOWEST_MS = 20.0, 100.0
WAITING = 5_000
SETTLE_SECONDS = 3.0
MOST_OF_A_CORE = 0.02
MOST_KIB = 40.0


async def measure(stage: Stage) -> list[Figure]:
    """Latency of one waiting worker; then the cost of thousands."""
    async with stage.lane() as lane:
        await seeds.pool(lane, "waits")
        deployment = await seeds.deployment(lane, "waits")
        await seeds.pool(lane, "idle")
    return [*await _latency(stage, deployment), *await _idle(stage)]


async def _latency(stage: Stage, deployment: str) -> list[Figure]:
    """From the request that creates a run to the answer that hands it to a worker."""
    created: dict[str, float] = {}
    took: list[float] = []

    async def work() -> None:
        async with Lane(stage.urls[-1]) as lane:
            body = {"worker_name": "waiter", "limit": 10, "wait_seconds": 10}
            while len(took) < RUNS:
                claimed = await lane.ok("POST", "/work_pools/waits/claim", body)
                now = time.perf_counter()
                took.extend(now - created[run["flow_run"]["name"]] for run in claimed["runs"])

    working = asyncio.create_task(work())
    async with stage.lane() as lane:
        for number in range(RUNS):
            name = f"run {number}"
            created[name] = time.perf_counter()
            path = f"/deployments/{deployment}/create_flow_run"
            await lane.ok("POST", path, {"name": name, "state": {"type": "SCHEDULED"}})
            await asyncio.sleep(0.02)
    await working
    middle, slowest = percentile(took, 0.5) * 1000, percentile(took, 0.99) * 1000
    what = "run created → worker holds it"
    return [
        Figure("P7", f"{what}: p50", stage.db, middle, "ms", MOST_MEDIAN_MS),
        Figure("P7", f"{what}: p99", stage.db, slowest, "ms", MOST_SLOWEST_MS),
    ]


async def _idle(stage: Stage) -> list[Figure]:
    """Workers who wait for what does not come."""
    server = stage.servers[0]
    before = resident_mib(server.pid)
    lanes = [Lane(stage.urls[0]) for _ in range(WAITING)]

    async def wait(lane: Lane, number: int) -> None:
        async with lane:
            body = {"worker_name": f"idle {number}", "limit": 1, "wait_seconds": 60}
            await lane.ok("POST", "/work_pools/idle/claim", body)

    waiting = [asyncio.create_task(wait(lane, n)) for n, lane in enumerate(lanes)]
    meter = stage.meter()
    while True:  # until the last has arrived and looked
        meter.start()
        await asyncio.sleep(SETTLE_SECONDS)
        cost = meter.stop(1)
        if cost.server_ms < 0.2 * SETTLE_SECONDS * 1000:
            break
    after = resident_mib(server.pid)
    meter.start()
    await asyncio.sleep(2 * SETTLE_SECONDS)
    cost = meter.stop(1)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    share = cost.each / (cost.seconds * 1000)
    kib = (after - before) * 1024 / WAITING
    what = f"{WAITING:,} workers waiting"
    return [
        Figure("P14", f"{what}: cores", stage.db, share, "", MOST_OF_A_CORE),
        Figure("P14", f"{what}: memory of each", stage.db, kib, "KiB", MOST_KIB),
    ]
