"""P7, P14: how soon a waiting worker has a run, and what waiting costs."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from statistics import median

from bench import seeds
from bench.figures import Figure
from bench.lanes import Lane
from bench.meter import percentile, resident_mib
from bench.stage import Stage
from bench.statements import telling

RUNS = 200
APART_SECONDS = 0.02
AHEAD_SECONDS = 0.5
MOST_MEDIAN_MS, MOST_SLOWEST_MS = 20.0, 100.0
WAITING = 5_000
TOGETHER, PAUSE_SECONDS = 50, 0.2  # as they arrive
WAIT_SECONDS = 60  # of their requests; the measurement is over before
SETTLE_SECONDS, COUNTED_SECONDS = 3.0, 7
MOST_OF_A_CORE = 0.02
MOST_KIB = 40.0


async def measure(stage: Stage) -> list[Figure]:
    """Latency of one waiting worker; then the cost of thousands."""
    figures = []
    for what, ahead in (("created", 0.0), ("becomes due", AHEAD_SECONDS)):
        figures += await _latency(stage, what, ahead)
    return [*figures, *await _idle(stage)]


async def _latency(stage: Stage, what: str, ahead: float) -> list[Figure]:
    """From the time of a run, or the request that creates it, to the answer that hands it out."""
    pool = f"waits-{ahead:g}"
    async with stage.lane() as lane:
        await seeds.pool(lane, pool)
        deployment = await seeds.deployment(lane, pool, name=pool)
    due: dict[str, float] = {}
    took: list[float] = []

    async def work() -> None:
        async with Lane(stage.urls[-1]) as lane:
            body = {"worker_name": "waiter", "limit": 10, "wait_seconds": 10}
            while len(took) < RUNS:
                claimed = await lane.ok("POST", f"/work_pools/{pool}/claim", body)
                now = time.perf_counter()
                took.extend(now - due[run["flow_run"]["name"]] for run in claimed["runs"])

    working = asyncio.create_task(work())
    async with stage.lane() as lane:
        for number in range(RUNS):
            name = f"run {number}"
            at = datetime.now(UTC) + timedelta(seconds=ahead)
            due[name] = time.perf_counter() + ahead
            details = {"scheduled_time": at.isoformat()} if ahead else {}
            body = {"name": name, "state": {"type": "SCHEDULED", "state_details": details}}
            await lane.ok("POST", f"/deployments/{deployment}/create_flow_run", body)
            await asyncio.sleep(APART_SECONDS)
    await working
    shown = f"run {what} → worker holds it"
    return [
        Figure("P7", f"{shown}: p{hundredth}", stage.db, ms, "ms", most)
        for hundredth, most in ((50, MOST_MEDIAN_MS), (99, MOST_SLOWEST_MS))
        for ms in (percentile(took, hundredth / 100) * 1000,)
    ]


async def _idle(stage: Stage) -> list[Figure]:
    """Workers who wait for what does not come."""
    async with stage.lane() as lane:
        await seeds.pool(lane, "idle")
    server = stage.servers[0]
    unasked = await _statements(stage)
    before = resident_mib(server.pid)
    lanes = [Lane(stage.urls[0]) for _ in range(WAITING)]

    async def wait(lane: Lane, number: int) -> None:
        async with lane:
            body = {"worker_name": f"idle {number}", "limit": 1, "wait_seconds": WAIT_SECONDS}
            await lane.ok("POST", "/work_pools/idle/claim", body)

    waiting = []
    for number, lane in enumerate(lanes):
        waiting.append(asyncio.create_task(wait(lane, number)))
        if number % TOGETHER == 0:  # thousands in one moment are told to come back
            await asyncio.sleep(PAUSE_SECONDS)
    meter = stage.meter()
    while True:  # until the last has arrived and looked
        meter.start()
        await asyncio.sleep(SETTLE_SECONDS)
        cost = meter.stop(1)
        if cost.server_ms < 0.2 * SETTLE_SECONDS * 1000:
            break
    after = resident_mib(server.pid)
    meter.start()
    asked = await _statements(stage)
    cost = meter.stop(1)
    given_up = sum(task.done() for task in waiting)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    if given_up:
        raise RuntimeError(f"{given_up} of the workers did not wait to the end")
    share = cost.each / (cost.seconds * 1000)
    kib = (after - before) * 1024 / WAITING
    what = f"{WAITING:,} workers waiting"
    figures = [
        Figure("P14", f"{what}: cores", stage.db, share, bound=MOST_OF_A_CORE),
        Figure("P14", f"{what}: memory of each", stage.db, kib, "KiB", MOST_KIB),
    ]
    if asked is not None and unasked is not None:
        more = f"{what}: statements for them"
        figures.append(Figure("P14", more, stage.db, asked - unasked, "/s", 0))
    return figures


async def _statements(stage: Stage) -> float | None:
    """The median of statements a second, in which the services' do not show.

    Takes as long where nothing tells of statements, which is so on SQLite.
    """
    if stage.db != "postgres":
        await asyncio.sleep(COUNTED_SECONDS)
        return None
    async with telling(stage) as log:
        log.new()
        counts = []
        for _ in range(COUNTED_SECONDS):
            await asyncio.sleep(1)
            counts.append(log.new())
        return median(counts)
