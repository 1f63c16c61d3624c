"""Spreads what polls offer, so that many workers do not all propose the same runs first.

Kept in the memory of one process, which is enough: an offer is no claim, and two processes that
offer the same run cost a refused proposal. Knows neither HTTP nor SQL.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar
from uuid import UUID

REMEMBERED_SECONDS = 5.0  # within which an offered run has been proposed, or will not be
REMEMBERED_RUNS = 50  # the first ones of an offer, which are proposed first
REMEMBERED_CALLERS = 50  # in one pool


class Run(Protocol):
    """A due run."""

    @property
    def id(self) -> UUID: ...
    @property
    def work_queue_id(self) -> UUID: ...


R = TypeVar("R", bound=Run)


def spread(runs: Sequence[R], limit: int, weights: Mapping[UUID, float]) -> list[R]:
    """The first `limit` runs, where those with more weight come later within their queue.

    Runs of one queue change places among themselves only, so priorities hold; runs of one weight
    keep their order. When all fit the limit nothing is moved.
    """
    if len(runs) <= limit or not weights:
        return list(runs[:limit])
    by_queue: dict[UUID, list[R]] = defaultdict(list)
    for run in runs:
        by_queue[run.work_queue_id].append(run)
    places = {
        id: iter(sorted(queue, key=lambda run: weights.get(run.id, 0.0)))
        for id, queue in by_queue.items()
    }
    return [next(places[run.work_queue_id]) for run in runs[:limit]]


class RecentOffers:
    """Which runs were offered lately, to whom, and how far in front."""

    def __init__(self) -> None:
        self._pools: dict[UUID, dict[str, tuple[float, list[UUID]]]] = {}
        self._under_way: Counter[str] = Counter()

    @contextmanager
    def asking(self, pool_name: str, limit: int) -> Iterator[None]:
        """Count a poll while it is answered."""
        self._under_way[pool_name] += limit
        try:
            yield
        finally:
            self._under_way[pool_name] -= limit
            if not self._under_way[pool_name]:
                del self._under_way[pool_name]

    def asked_for(self, pool_name: str) -> int:
        """How many runs the polls of a pool ask for that are answered just now."""
        return self._under_way[pool_name]

    def note(self, pool_id: UUID, caller: str, runs: Sequence[Run], now: float) -> None:
        """Remember an offer; of one caller only its last. `now` is in seconds of any clock."""
        offers = self._pools.setdefault(pool_id, {})
        offers.pop(caller, None)
        offers[caller] = (now, [run.id for run in runs[:REMEMBERED_RUNS]])
        if len(offers) > REMEMBERED_CALLERS:
            del offers[next(iter(offers))]  # the oldest

    def weights(self, pool_id: UUID, caller: str, now: float) -> dict[UUID, float]:
        """How likely others are to propose a run now: the more so the further in front it was."""
        weights: dict[UUID, float] = defaultdict(float)
        offers = self._pools.get(pool_id, {})
        for other, (at, ids) in [*offers.items()]:
            if now - at > REMEMBERED_SECONDS:
                del offers[other]
            elif other != caller:
                for place, id in enumerate(ids, start=1):
                    weights[id] += 1 / place
        if not offers:
            self._pools.pop(pool_id, None)
        return weights
