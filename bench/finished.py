"""P6: whether dispatch costs the same beside millions of runs that have ended."""

from collections import Counter
from collections.abc import Callable
from functools import partial

from bench import seeds
from bench.delivery import by_own_protocol, by_stock_protocol
from bench.figures import Figure
from bench.flatness import MOST_GROWTH_BESIDE, ROUNDS, Side, compare, side_of
from bench.lanes import Work, drive
from bench.meter import Cost, in_turns, middle
from bench.stage import Stage

FINISHED = 200_000
FINISHED_LARGE = 5_000_000
DELIVERED_A_SECOND = 2_000  # more than are delivered
LANES = 4
POOL = "finished"
PROTOCOLS: dict[str, Callable[[Counter[str]], Work]] = {
    "runs by claims of 10 and reports": partial(by_own_protocol, POOL),
    "runs by polls and proposals": partial(by_stock_protocol, LANES, POOL),
}


async def measure(stage: Stage) -> list[Figure]:
    """CPU and time of polls and claims, and CPU of whole deliveries, by those without them."""
    async with stage.beside() as few:
        small, grown = await side_of(few, POOL), await side_of(stage, POOL)
        number = FINISHED_LARGE if stage.is_large else FINISHED
        await seeds.finished(stage.database, grown.example, number)
        beside = f"{number:,} finished runs"
        figures = await compare(small, grown, beside, MOST_GROWTH_BESIDE)
        for what, protocol in PROTOCOLS.items():
            costs = await in_turns(
                ROUNDS,
                {
                    "small": partial(_delivered, small, protocol),
                    "grown": partial(_delivered, grown, protocol),
                },
            )
            growth = middle(costs["grown"], _cpu) / middle(costs["small"], _cpu)
            line = f"{what} with {beside} by those without: CPU"
            figures.append(Figure("P6", line, stage.db, growth, bound=MOST_GROWTH_BESIDE))
        return figures


async def _delivered(side: Side, protocol: Callable[[Counter[str]], Work]) -> Cost:
    """Deliver runs, of which there are enough."""
    stage = side.stage
    await side.add(int(DELIVERED_A_SECOND * stage.seconds))
    return await drive(stage.urls, LANES, stage.seconds, stage.meter(), protocol(Counter()))


def _cpu(cost: Cost) -> float:
    return cost.each
