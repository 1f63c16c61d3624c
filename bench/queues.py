"""P11: ten clients change the queues of one pool, which has few or many of them."""

from collections import Counter
from collections.abc import Callable
from itertools import count
from statistics import median
from typing import Any

from bench import seeds
from bench.figures import Figure
from bench.lanes import Lane, Work, drive
from bench.meter import Cost
from bench.stage import Stage

SIZES = (10, 100, 500)
CLIENTS = 10
CHANGED = 50  # queues of one measurement; those created are deleted again
ROUNDS = 5
LONGEST_SECONDS = 60.0
MOST_GROWTH = 1.2
Request = tuple[str, str, dict[str, Any] | None]  # method, path below the queues', body


def _create(number: int, _size: int) -> Request:
    return "POST", "", {"name": f"new-{number}"}


def _delete(number: int, _size: int) -> Request:
    return "DELETE", f"/new-{number}", None


def _update(number: int, size: int) -> Request:
    body = {"description": f"{number}", "concurrency_limit": number}
    return "PATCH", f"/queue-{number % size}", body


def _move(number: int, size: int) -> Request:
    return "PATCH", f"/queue-{number % size}", {"priority": number * 7 % size + 1}


VERBS: dict[str, Callable[[int, int], Request]] = {
    "create": _create,
    "update": _update,
    "re-prioritise": _move,
    "delete": _delete,
}


async def measure(stage: Stage) -> list[Figure]:
    """CPU and time of each change with many queues by those with few."""
    async with stage.lane() as lane:
        for size in SIZES:
            await seeds.pool(lane, f"queues-{size}", queues=size)
    costs: dict[tuple[str, int], list[Cost]] = {}
    counted: Counter[str] = Counter()
    for _ in range(ROUNDS):
        for verb in VERBS:
            for size in SIZES:
                work = _changes(verb, size, counted)
                urls, meter = stage.urls, stage.meter()
                cost = await drive(urls, CLIENTS, LONGEST_SECONDS, meter, work, most=CHANGED)
                costs.setdefault((verb, size), []).append(cost)
    figures = []
    for verb in VERBS:
        cpu, times = (
            {size: median(of(cost) for cost in costs[verb, size]) for size in SIZES}
            for of in (_cpu, _time)
        )
        what = f"{CLIENTS} clients {verb} queues"
        for size in SIZES:
            here = f"{what}, {size} in the pool: CPU of one"
            figures.append(Figure("P11", here, stage.db, cpu[size], "ms"))
        few, many = SIZES[0], SIZES[-1]
        for name, each in (("CPU", cpu), ("median time", times)):
            growth = f"{what}: {name} at {many} by that at {few}"
            ratio = each[many] / each[few]
            figures.append(Figure("P11", growth, stage.db, ratio, bound=MOST_GROWTH))
    figures.append(Figure("P11", "failed of them", stage.db, counted["failed"], bound=0))
    return figures


def _changes(verb: str, size: int, counted: Counter[str]) -> Work:
    numbers = count()

    async def change(lane: Lane, _number: int) -> int:
        method, path, body = VERBS[verb](next(numbers), size)
        answer = await lane.send(method, f"/work_pools/queues-{size}/queues{path}", body)
        counted["failed"] += answer.status >= 300
        return int(answer.status < 300)

    return change


def _cpu(cost: Cost) -> float:
    return cost.each


def _time(cost: Cost) -> float:
    return cost.middle_ms
