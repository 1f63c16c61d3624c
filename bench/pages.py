"""P12: pages of lists, the first ones and deep ones."""

from uuid import UUID

from bench import seeds
from bench.figures import Figure
from bench.lanes import Lane, drive
from bench.stage import Stage

RUNS = 100_000
POOLS = 10_000
PAGE = 200
MOST_MS = 12.0
LANES = 2


async def measure(stage: Stage) -> list[Figure]:
    """CPU of a page of runs and of pools at both ends of the list and in its middle."""
    async with stage.lane() as lane:
        made = await seeds.pool(lane, "pages")
        deployment = await seeds.deployment(lane, "pages")
        example = await seeds.due_run(lane, stage.database, deployment)
    await seeds.backlog(stage.database, example, RUNS)
    await seeds.other_pools(stage.database, UUID(made["id"]), POOLS)
    figures = []
    for kind, number in (("flow_runs", RUNS), ("work_pools", POOLS)):
        for offset in (0, number // 2, number - PAGE):
            body = {"limit": PAGE, "offset": offset}

            async def read(lane: Lane, _number: int, kind: str = kind, body: object = body) -> int:
                assert len(await lane.ok("POST", f"/{kind}/filter", body)) == PAGE
                return 1

            cost = await drive(stage.urls, LANES, stage.seconds, stage.meter(), read)
            what = f"page of {PAGE} {kind} at offset {offset:,}: CPU"
            most = MOST_MS if kind == "flow_runs" else None
            figures.append(Figure("P12", what, stage.db, cost.each, "ms", most))
    return figures
