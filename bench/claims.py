"""P4, P6: claims through HTTP, and whether polls and claims cost the same at every size."""

from uuid import UUID

from bench import floors, seeds
from bench.lanes import Lane, drive
from bench.meter import Cost
from bench.stage import Figure, Stage

BATCHES = (1, 10, 100)
BACKLOGS = (100, 1_000, 10_000, 100_000)
EMPTY_QUEUES = 50
OTHER_POOLS = 10_000
CLAIMED_EACH = 20_000  # runs more for every measurement of claims
REPEATS = 3
LEAST_OF_FLOOR = 0.5
MOST_GROWTH, MOST_GROWTH_BESIDE = 1.2, 1.1
LANES = 4


async def claims(stage: Stage, pool: str, batch: int) -> Cost:
    """Claim runs of a pool, `batch` at a time."""

    async def claim(lane: Lane, number: int) -> int:
        body = {"worker_name": f"worker {number}", "limit": batch}
        return len((await lane.ok("POST", f"/work_pools/{pool}/claim", body))["runs"])

    return await drive(stage.urls, LANES, stage.seconds, stage.meter(), claim)


async def polls(stage: Stage, pool: str) -> Cost:
    """Poll a pool, ten runs at a time."""

    async def poll(lane: Lane, number: int) -> int:
        worker = {"x-prefect-worker-name": f"worker {number}"}
        path = f"/work_pools/{pool}/get_scheduled_flow_runs"
        assert len(await lane.ok("POST", path, {"limit": 10}, worker)) == 10
        return 1

    return await drive(stage.urls, LANES, stage.seconds, stage.meter(), poll)


async def measure(stage: Stage) -> list[Figure]:
    """Rates against the floor, then CPU of one operation as the database grows."""
    async with stage.lane() as lane:
        made = await seeds.pool(lane, "claims", queues=4)
        deployment = await seeds.deployment(lane, "claims", "queue-3")
        run = await seeds.due_run(lane, deployment)
        for number in range(EMPTY_QUEUES):
            if number == 0:
                await seeds.pool(lane, "behind", queues=EMPTY_QUEUES + 1)
        behind = await seeds.deployment(lane, "behind", f"queue-{EMPTY_QUEUES}", name="behind")
        last = await seeds.due_run(lane, behind)
    figures = await _growth(stage, run, last, UUID(made["id"]))
    return figures + await _rates(stage, run)


async def _rates(stage: Stage, run: UUID) -> list[Figure]:
    figures = []
    for batch in BATCHES:
        await seeds.backlog(stage.database, run, CLAIMED_EACH)
        cost = await claims(stage, "claims", batch)
        what = f"claims of {batch}"
        figures.append(Figure("P4", f"{what}: runs", stage.db, cost.rate, "/s"))
        figures.append(Figure("P4", f"{what}: CPU of a run", stage.db, cost.each, "ms"))
        if batch == 10 and stage.db == "postgres":
            await seeds.backlog(stage.database, run, 4 * CLAIMED_EACH)
            floor = (await floors.calls(stage, f"/claim/claims/{batch}", LANES, batch)).rate
            share = cost.rate / floor
            what = f"{what}: rate by the hand-written one's"
            figures.append(
                Figure("P4", what, stage.db, share, "", LEAST_OF_FLOOR, True, floor=floor)
            )
    return figures


async def _growth(stage: Stage, run: UUID, last: UUID, pool: UUID) -> list[Figure]:
    """CPU of a poll at each size by that at the first one; the middle of repeats in turn."""
    figures = []
    first = await _poll_ms(stage, "claims", run, BACKLOGS[0])
    have = BACKLOGS[0]
    for size in BACKLOGS[1:]:
        await seeds.backlog(stage.database, run, size - have)
        have = size
        growth = await _poll_ms(stage, "claims", run, 0) / first
        what = f"a poll at {size:,} due runs by one at {BACKLOGS[0]}"
        figures.append(Figure("P6", what, stage.db, growth, "", MOST_GROWTH))
    await seeds.backlog(stage.database, last, BACKLOGS[0])
    beside = await _poll_ms(stage, "behind", last, 0) / first
    what = f"a poll with {EMPTY_QUEUES} empty queues in front by one without"
    figures.append(Figure("P6", what, stage.db, beside, "", MOST_GROWTH_BESIDE))
    before = await _poll_ms(stage, "claims", run, 0)
    await seeds.other_pools(stage.database, pool, OTHER_POOLS)
    grown = await _poll_ms(stage, "claims", run, 0) / before
    what = f"a poll with {OTHER_POOLS:,} other pools by one without"
    figures.append(Figure("P6", what, stage.db, grown, "", MOST_GROWTH_BESIDE))
    return figures


async def _poll_ms(stage: Stage, pool: str, run: UUID, new: int) -> float:
    if new:
        await seeds.backlog(stage.database, run, new)
    return min([(await polls(stage, pool)).each for _ in range(REPEATS)])
