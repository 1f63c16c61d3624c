"""P6: whether dispatch costs the same beside millions of runs that have ended."""

from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy import text

from bench import seeds
from bench.claims import polls
from bench.delivery import by_own_protocol, by_stock_protocol
from bench.meter import Cost
from bench.stage import Figure, Stage, connect

FINISHED = 1_000_000
FINISHED_LARGE = 5_000_000
DUE = 15_000  # runs; more than are delivered before they are counted anew
LANES = 4
REPEATS = 3
POOL = "finished"
MOST_GROWTH = 1.1


async def measure(stage: Stage) -> list[Figure]:
    """CPU of a poll and of whole deliveries, with the finished runs by without them."""
    async with stage.lane() as lane:
        await seeds.pool(lane, POOL, queues=4)
        deployment = await seeds.deployment(lane, POOL, "queue-1")
        run = await seeds.due_run(lane, deployment)
    before = await _costs(stage, run)
    number = FINISHED_LARGE if stage.is_large else FINISHED
    await seeds.finished(stage.database, run, number)
    await _settle(stage)
    after = await _costs(stage, run)
    figures = []
    for what, cost in before.items():
        beside = f"{what} with {number:,} finished runs"
        grown = after[what] / cost
        figures += [
            Figure("P6", what, stage.db, cost, "ms"),
            Figure("P6", beside, stage.db, after[what], "ms"),
            Figure("P6", f"{beside} by one without", stage.db, grown, "", MOST_GROWTH),
        ]
    return figures


async def _settle(stage: Stage) -> None:
    """Have the database do now what it would do by itself beside what is measured."""
    if stage.db == "sqlite":
        async with stage.database.read() as db:
            await db.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
    else:
        connection = await connect(stage.ground.database_url)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
        await connection.close()


async def _costs(stage: Stage, run: UUID) -> dict[str, float]:
    """CPU of each operation in milliseconds, the least of some repeats."""

    async def stock() -> Cost:
        return (await by_stock_protocol(stage, LANES, POOL))[0]

    operations: dict[str, Callable[[], Awaitable[Cost]]] = {
        "a poll of 10": lambda: polls(stage, POOL),
        "a run by claims of 10 and reports": lambda: by_own_protocol(stage, LANES, POOL),
        "a run by polls and proposals": stock,
    }
    found: dict[str, float] = {}
    for what, operation in operations.items():
        for _ in range(REPEATS):
            await seeds.backlog(stage.database, run, DUE)
            cost = (await operation()).each
            found[what] = min(cost, found.get(what, cost))
    return found
