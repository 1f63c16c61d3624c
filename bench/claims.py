"""P4: claims through HTTP, one, ten and a hundred at a time, by a server written by hand for it."""

from bench import floor_sqlite, floors, seeds
from bench.figures import Figure
from bench.lanes import Lane, Work, drive
from bench.meter import Cost
from bench.stage import Stage

BATCHES = (1, 10, 100)
BOUNDED = 10  # the batch that the target is about
RUNS_A_SECOND = 10_000  # more than are claimed
LEAST_OF_FLOOR = 0.5
LANES = 4
LEASE_SECONDS = 900  # none lapses while something is measured


def claiming(pool: str, batch: int, claimed: list[str] | None = None) -> Work:
    """Claim runs of a pool, `batch` at a time; the claims are added to `claimed`.

    As our worker does, it tells which version of the pool it knows.
    """
    known: dict[str, str] = {}

    async def claim(lane: Lane, number: int) -> int:
        worker = {"worker_name": f"worker {number}", "lease_seconds": LEASE_SECONDS}
        body = {**worker, "limit": batch, **known}
        answer = await lane.ok("POST", f"/work_pools/{pool}/claim", body)
        if answer["work_pool"]:
            known["known_pool"] = answer["work_pool"]["updated"]
        runs = answer["runs"]
        if claimed is not None:
            claimed.extend(run["claim"] for run in runs)
        return len(runs)

    return claim


async def measure(stage: Stage) -> list[Figure]:
    """Rate and CPU of a claimed run, and the rate by the hand-written one's."""
    figures = []
    for batch in BATCHES:
        pool = f"claims-{batch}"
        await _due(stage, pool)
        work = claiming(pool, batch)
        cost = await drive(stage.urls, LANES, stage.seconds, stage.meter(), work)
        what = f"claims of {batch}"
        figures += [
            Figure("P4", f"{what}: rate of runs", stage.db, cost.rate, "/s"),
            Figure("P4", f"{what}: CPU of a run", stage.db, cost.each, "ms"),
        ]
        floor = await _floor(stage, batch)
        share = cost.rate / floor.rate
        # SQLite's floor has no HTTP in it, hence there is no bound for what we are of it.
        least = LEAST_OF_FLOOR if batch == BOUNDED and stage.db == "postgres" else None
        what = f"{what}: rate by the hand-written one's"
        figures.append(
            Figure("P4", what, stage.db, share, bound=least, is_least=True, floor=floor.rate)
        )
    if stage.db == "postgres":
        empty = await floors.calls(stage, "/empty", LANES)
        what = "an empty endpoint of FastAPI: CPU of a request"
        figures.append(Figure("P4", what, stage.db, empty.each, "ms"))
    return figures


async def _floor(stage: Stage, batch: int) -> Cost:
    """The same by hand, on a pool of its own, where no claims are counted but its own."""
    pool = f"floor-{batch}"
    await _due(stage, pool)
    if stage.db == "postgres":
        return await floors.calls(stage, f"/claim/{pool}/{batch}", LANES)
    return await floor_sqlite.claims(stage, pool, batch)


async def _due(stage: Stage, pool: str) -> None:
    """A pool with five queues and as many due runs as could be claimed."""
    async with stage.lane() as lane:
        await seeds.pool(lane, pool, queues=4)
        deployment = await seeds.deployment(lane, pool, "queue-3", name=pool)
        example = await seeds.due_run(lane, stage.database, deployment)
    await seeds.backlog(stage.database, example, int(RUNS_A_SECOND * max(stage.seconds, 1.0)))
