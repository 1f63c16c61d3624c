"""How many of the next runs may be claimed. Pure: no SQL, no clock."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar
from uuid import UUID


class Candidate(Protocol):
    """A locked run; of its queue what was true under the lock."""

    @property
    def work_queue_id(self) -> UUID: ...
    @property
    def queue_limit(self) -> int | None: ...
    @property
    def queue_held(self) -> int: ...


C = TypeVar("C", bound=Candidate)


def granted(candidates: Iterable[C], room: int, pool_free: int | None) -> list[C]:
    """The first runs that keep every limit; null is without limit. The order stays."""
    most = room if pool_free is None else min(room, pool_free)
    taken: Counter[UUID] = Counter()
    chosen: list[C] = []
    for run in candidates:
        if len(chosen) >= most:
            break
        limit = run.queue_limit
        if limit is not None and run.queue_held + taken[run.work_queue_id] >= limit:
            continue
        taken[run.work_queue_id] += 1
        chosen.append(run)
    return chosen
