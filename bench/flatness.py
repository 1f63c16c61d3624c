"""P6: whether polls and claims cost the same at every size of the database.

A second server on a small database of its own is measured in turns with the one that grows.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from bench import seeds
from bench.claims import claiming
from bench.figures import Figure
from bench.lanes import Lane, drive
from bench.meter import Cost, in_turns, middle
from bench.stage import Stage

SMALL = 100  # due runs
BACKLOGS = (1_000, 10_000, 100_000)
QUEUES = 5
FEW_IN_FRONT, MANY_IN_FRONT = QUEUES - 1, 50
OTHER_POOLS = 10_000
ROUNDS = 3
LANES = 2
CLAIMED = 60  # by one measurement, one run each; as many are made due again
MOST_GROWTH, MOST_GROWTH_BESIDE = 1.2, 1.1


@dataclass(frozen=True)
class Side:
    """A pool with due runs, and what is measured with it."""

    stage: Stage
    pool: str
    pool_id: UUID
    example: seeds.Example

    async def add(self, number: int) -> None:
        """So many due runs more."""
        await seeds.backlog(self.stage.database, self.example, number)

    async def polls(self) -> Cost:
        """Poll ten runs, for half of the time of other measurements."""

        async def poll(lane: Lane, number: int) -> int:
            worker = {"x-prefect-worker-name": f"worker {number}"}
            path = f"/work_pools/{self.pool}/get_scheduled_flow_runs"
            assert len(await lane.ok("POST", path, {"limit": 10}, worker)) == 10
            return 1

        stage = self.stage
        return await drive(stage.urls, LANES, stage.seconds / 2, stage.meter(), poll)

    async def claims(self) -> Cost:
        """Claim runs one by one; afterwards none is held and as many are due as before."""
        stage = self.stage
        claimed: list[str] = []
        work = claiming(self.pool, 1, claimed)
        cost = await drive(stage.urls, LANES, 60.0, stage.meter(), work, most=CLAIMED)
        async with stage.lane() as lane:
            for type in ("RUNNING", "COMPLETED"):
                reports = [{"claim": claim, "state": {"type": type}} for claim in claimed]
                body = {"worker_name": "worker 0", "reports": reports}
                await lane.ok("POST", f"/work_pools/{self.pool}/report", body)
        await self.add(CLAIMED)
        return cost


async def measure(stage: Stage) -> list[Figure]:
    """Polls and claims as queues, pools and due runs become more."""
    async with stage.beside() as small:
        against = partial(compare, await side_of(small, "small"))
        figures = []
        plain = await side_of(stage, "plain")
        for what, front in IN_FRONT.items():
            figures += await against(await front(stage), what, MOST_GROWTH_BESIDE)
        await seeds.other_pools(stage.database, plain.pool_id, OTHER_POOLS)
        figures += await against(plain, f"{OTHER_POOLS:,} other pools", MOST_GROWTH_BESIDE)
        grown = await side_of(stage, "grown")
        have = SMALL
        for size in BACKLOGS:
            await grown.add(size - have)
            have = size
            figures += await against(grown, f"{size:,} due runs", MOST_GROWTH)
        return figures


async def compare(small: Side, grown: Side, what: str, most: float) -> list[Figure]:
    """Time and CPU of a poll and of a claim with `grown`, each by those with `small`."""
    figures = []
    for name in ("polls", "claims"):
        measures = {"small": getattr(small, name), "grown": getattr(grown, name)}
        costs = await in_turns(ROUNDS, measures)
        for unit, of in (("CPU", _cpu), ("median time", _time)):
            base = middle(costs["small"], of)
            growth = middle(costs["grown"], of) / base
            line = f"{name} with {what} by those with {SMALL} due runs: {unit}"
            figures.append(Figure("P6", line, grown.stage.db, growth, bound=most))
    return figures


async def side_of(
    stage: Stage, pool: str, *, queues: int = QUEUES - 1, queue: str = "default"
) -> Side:
    """A pool with further queues and a hundred due runs in one of them."""
    async with stage.lane() as lane:
        made = await seeds.pool(lane, pool, queues=queues)
        deployment = await seeds.deployment(lane, pool, queue, name=pool)
        example = await seeds.due_run(lane, stage.database, deployment)
    side = Side(stage, pool, UUID(made["id"]), example)
    await side.add(SMALL - 1)
    return side


async def _behind_empty(number: int, stage: Stage) -> Side:
    """Runs in a queue behind so many that have none."""
    return await side_of(stage, f"behind-{number}", queues=number, queue=f"queue-{number - 1}")


async def _behind_closed(pool: str, change: dict[str, object], stage: Stage) -> Side:
    """Runs in the last queue; those in front have due runs too, which must not be claimed."""
    names = ("default", *(f"queue-{number}" for number in range(FEW_IN_FRONT)))
    side = await side_of(stage, pool, queue=names[-1])
    async with stage.lane() as lane:
        for name in names[:-1]:
            deployment = await seeds.deployment(lane, pool, name, name=f"{pool} {name}")
            example = await seeds.due_run(lane, stage.database, deployment)
            await seeds.backlog(stage.database, example, SMALL)
            await lane.ok("PATCH", f"/work_pools/{pool}/queues/{name}", change)
        if "concurrency_limit" in change:  # one run of each is held, and the queue is full
            await claiming(pool, FEW_IN_FRONT)(lane, 0)
    return side


IN_FRONT: dict[str, Callable[[Stage], Awaitable[Side]]] = {
    f"{FEW_IN_FRONT} empty queues in front": partial(_behind_empty, FEW_IN_FRONT),
    f"{MANY_IN_FRONT} empty queues in front": partial(_behind_empty, MANY_IN_FRONT),
    f"{FEW_IN_FRONT} paused queues in front": partial(
        _behind_closed, "behind-paused", {"is_paused": True}
    ),
    f"{FEW_IN_FRONT} full queues in front": partial(
        _behind_closed, "behind-full", {"concurrency_limit": 1}
    ),
}


def _cpu(cost: Cost) -> float:
    return cost.each


def _time(cost: Cost) -> float:
    return cost.middle_ms
