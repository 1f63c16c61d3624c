"""P10: heartbeats of many workers, which are all known already."""

from collections import Counter
from itertools import count
from uuid import UUID

from bench import seeds
from bench.figures import Figure
from bench.lanes import Lane, Work, drive
from bench.stage import Stage

LANES = 8
WORKERS = (1_000, 10_000)
INTERVAL_SECONDS = 5.0
MOST_OF_A_CORE = 0.25


def beats(pool: str, workers: int, counted: Counter[str]) -> Work:
    """The heartbeat of the next of `workers`; `failed` requests are counted."""
    turns = count()

    async def beat(lane: Lane, _number: int) -> int:
        body = {"name": f"worker {next(turns) % workers}", "heartbeat_interval_seconds": 5}
        answer = await lane.send("POST", f"/work_pools/{pool}/workers/heartbeat", body)
        counted["failed"] += answer.status >= 300
        return int(answer.status < 300)

    return beat


async def measure(stage: Stage) -> list[Figure]:
    """CPU of one, and what all workers cost at their interval."""
    figures = []
    for workers in WORKERS:
        pool = f"beating-{workers}"
        async with stage.lane() as lane:
            made = await seeds.pool(lane, pool)
        await seeds.workers(stage.database, UUID(made["id"]), workers)
        counted: Counter[str] = Counter()
        work = beats(pool, workers, counted)
        cost = await drive(stage.urls, LANES, stage.seconds, stage.meter(), work)
        share = cost.each / 1000 * workers / INTERVAL_SECONDS
        most = MOST_OF_A_CORE if workers == max(WORKERS) else None
        what = f"heartbeats of {workers:,} workers"
        every = f"{what} every {INTERVAL_SECONDS:.0f} s: cores"
        figures += [
            Figure("P10", f"{what}: rate", stage.db, cost.rate, "/s"),
            Figure("P10", f"{what}: CPU of one", stage.db, cost.each, "ms"),
            Figure("P10", every, stage.db, share, bound=most),
            Figure("P10", f"{what}: failed", stage.db, counted["failed"], bound=0),
        ]
    return figures
