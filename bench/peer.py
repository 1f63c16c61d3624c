"""P1, P2, P9, P10: the same work by the original's server and by ours, in turns.

It is Prefect of `.venv-prefect`, without its services. It has a backlog of hundreds of due runs
where ours has thousands, which favours it: its polls grow with the backlog.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import seeds
from bench.creates import BULK, in_bulk, rows, singly
from bench.delivery import by_stock_protocol, completed
from bench.figures import Figure
from bench.heartbeats import beats
from bench.lanes import Lane, Work, drive
from bench.meter import Cost, Meter, in_turns, middle
from bench.stage import Stage
from tests.acceptance.prefect_server import start_prefect_server

PREFECT = Path(__file__).parents[1] / ".venv-prefect" / "bin" / "prefect"
OPEN = {"PREFECT_SERVER_API_AUTH_STRING": None, "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": None}
NAMES = ("ours", "the peer's")
ROUNDS = 5
PATIENCE = 2.0  # it has so many times our time, as it does less
# Where many of its writers get in each other's way on SQLite, its requests wait for up to a minute
# after each round.
CROWD_ROUNDS, MUCH_PATIENCE = 3, 6.0
POOL = "peers"
HUNDREDS_DUE = 3  # made for the peer before each number of workers
DUE_A_SECOND = 1_000  # made for ours
LEAST_DELIVERED = {
    "postgres": {1: 12.0, 8: 25.0, 32: 40.0},
    "sqlite": {1: 15.0, 8: 40.0, 32: 60.0},
}
CREATING, LEAST_SINGLY, LEAST_IN_BULK = 8, 8.0, 40.0
BEATING, LEAST_BEATS = (1, 32), 10.0
WORKERS = 100
RECOVERY_SECONDS = 120.0


@dataclass
class Side:
    """One of the two servers."""

    url: str
    meter: Meter
    lane: Lane
    deployment: str
    counted: Counter[str]  # what its workers counted

    async def rows(self, lane: Lane) -> int:
        """How many runs of its deployment the server knows."""
        return await rows(lane, self.deployment)

    async def told(self, effect: Callable[[Lane], Awaitable[int]]) -> int:
        """What the server says, once it answers again: the peer has to come to itself first."""
        async with asyncio.timeout(RECOVERY_SECONDS):
            while True:
                try:
                    return await effect(self.lane)
                except RuntimeError:
                    await asyncio.sleep(1)


@dataclass
class Both:
    """The two, and how long each is measured."""

    stage: Stage
    ours: Side
    theirs: Side
    example: seeds.Example  # of a due run of ours

    async def compare(
        self,
        what: str,
        lanes: int,
        work: Callable[[Side], Work],
        *,
        is_crowd: bool = False,
    ) -> dict[str, list[Cost]]:
        """Costs of both, in turns, told as they come; a crowd gets in the peer's way on SQLite."""

        async def run(side: Side, seconds: float) -> Cost:
            cost = await drive([side.url], lanes, seconds, side.meter, work(side))
            whose = NAMES[side is self.theirs]
            print(f"         {what}, {whose}: {cost.rate:.1f}/s", file=sys.stderr, flush=True)
            return cost

        seconds = self.stage.seconds
        patience = MUCH_PATIENCE if is_crowd else PATIENCE
        return await in_turns(
            CROWD_ROUNDS if is_crowd else ROUNDS,
            {
                "ours": partial(run, self.ours, seconds),
                "theirs": partial(run, self.theirs, seconds * patience),
            },
        )


async def measure(stage: Stage) -> list[Figure]:
    """Our rate by the peer's in each kind of work, and CPU of both."""
    async with _both(stage) as both:
        return [*await _deliver(both), *await _create(both), *await _beat(both)]


async def _deliver(both: Both) -> list[Figure]:
    db, sides = both.stage.db, (both.ours, both.theirs)
    figures = []
    for lanes, least in LEAST_DELIVERED[db].items():
        number = int(DUE_A_SECOND * both.stage.seconds * ROUNDS)
        await seeds.backlog(both.stage.database, both.example, number)
        await _make_due(both.theirs)

        def work(side: Side, lanes: int = lanes) -> Work:
            return by_stock_protocol(lanes, POOL, side.counted)

        before = {side.url: await side.told(completed) for side in sides}
        target = "P1" if db == "postgres" else "P2"
        what = f"a run by the stock protocol, {lanes} workers"
        costs = await both.compare(what, lanes, work, is_crowd=db == "sqlite" and lanes > 1)
        figures += _ratios(target, what, db, costs, least)
        for side, name in zip(sides, NAMES, strict=True):
            counted = side.counted
            wasted = counted["wasted"] / max(counted["proposed"], 1)
            figures.append(Figure("P8", f"{what}, in turns: wasted, {name}", db, wasted))
            differ = await side.told(completed) - before[side.url] - counted["delivered"]
            figures.append(Figure("P8", f"{what}, in turns: miscounted, {name}", db, differ))
            counted.clear()
    return figures


async def _create(both: Both) -> list[Figure]:
    db, sides = both.stage.db, (both.ours, both.theirs)
    figures = []
    for how, make, least in (
        ("singly", singly, LEAST_SINGLY),
        (f"{BULK} at a time", in_bulk, LEAST_IN_BULK),
    ):

        def work(side: Side, make: Callable[[str, Counter[str]], Work] = make) -> Work:
            return make(side.deployment, side.counted)

        what = f"runs created {how} by {CREATING} clients"
        before = {side.url: await side.told(side.rows) for side in sides}
        costs = await both.compare(what, CREATING, work, is_crowd=db == "sqlite")
        figures += _ratios("P9", what, db, costs, least)
        for side, name in zip(sides, NAMES, strict=True):
            differ = await side.told(side.rows) - before[side.url] - side.counted["created"]
            figures.append(Figure("P9", f"{what}, in turns: miscounted, {name}", db, differ))
            side.counted.clear()
    return figures


async def _beat(both: Both) -> list[Figure]:
    figures = []
    for lanes in BEATING:
        what = f"heartbeats, {lanes} at a time"
        costs = await both.compare(what, lanes, lambda side: beats(POOL, WORKERS, side.counted))
        figures += _ratios("P10", what, both.stage.db, costs, LEAST_BEATS)
    return figures


def _ratios(
    target: str, what: str, db: str, costs: dict[str, list[Cost]], least: float
) -> list[Figure]:
    """Rates and CPU, ours by theirs; where the peer did nothing, it is taken to have done one."""
    ours, theirs = costs["ours"], costs["theirs"]
    theirs = [replace(cost, operations=max(cost.operations, 1)) for cost in theirs]
    rate, their_rate = middle(ours, _rate), middle(theirs, _rate)
    cpu, their_cpu = middle(ours, _cpu), middle(theirs, _cpu)
    by = f"{what}: rate by the peer's"
    return [
        Figure(target, by, db, rate / their_rate, "", least, is_least=True, peer=their_rate),
        Figure(target, f"{what}, in turns: rate", db, rate, "/s", peer=their_rate),
        Figure(target, f"{what}, in turns: CPU of one", db, cpu, "ms", peer=their_cpu),
    ]


@asynccontextmanager
async def _both(stage: Stage) -> AsyncIterator[Both]:
    async with _peer(stage) as (url, meter), Lane(url) as their_lane, stage.lane() as our_lane:
        ours = await _side(stage.urls[0], stage.meter(), our_lane)
        theirs = await _side(url, meter, their_lane)
        example = await seeds.due_run(our_lane, stage.database, ours.deployment)
        yield Both(stage, ours, theirs, example)


async def _side(url: str, meter: Meter, lane: Lane) -> Side:
    await seeds.pool(lane, POOL, queues=4)
    deployment = await seeds.deployment(lane, POOL, "queue-1")
    return Side(url, meter, lane, deployment, Counter())


async def _make_due(side: Side) -> None:
    """Hundreds of due runs, one request after the other, as many at once get in their own way."""
    make = in_bulk(side.deployment, side.counted)
    for _ in range(HUNDREDS_DUE):
        await make(side.lane, 0)
    side.counted.clear()


@asynccontextmanager
async def _peer(stage: Stage) -> AsyncIterator[tuple[str, Meter]]:
    """The original's server on a database of its own, of the stage's kind."""
    if not PREFECT.exists():
        raise FileNotFoundError(f"{PREFECT} is missing; run: make peers")
    home = stage.ground.folder / "prefect"
    home.mkdir()
    settings: dict[str, str | None] = dict(OPEN)
    if stage.db == "postgres":
        url = await asyncio.to_thread(stage.new_database, "prefect", is_empty=True)
        settings["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = url
    running = await asyncio.to_thread(start_prefect_server, PREFECT, home, **settings)
    try:
        yield running.api_url, Meter([running.process.pid], stage.database_pid)
    finally:
        running.process.terminate()
        await asyncio.to_thread(running.process.wait)


def _rate(cost: Cost) -> float:
    return cost.rate


def _cpu(cost: Cost) -> float:
    return cost.each
