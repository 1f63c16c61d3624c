"""Which priority a queue gets and who makes room for it. Knows neither HTTP nor SQL.

The priorities of a pool's queues are distinct: every way to set one passes through here.
"""

from collections.abc import Collection
from dataclasses import dataclass

from forebay.wire.base import MAX_INT
from forebay_server.errors import Invalid


@dataclass(frozen=True)
class Place:
    """A queue's priority; queues with `priority <= theirs < moved_below` move down by one."""

    priority: int
    moved_below: int


def place(taken: Collection[int], wanted: int | None = None) -> Place:
    """Where a queue stands among others, whose priorities are `taken`.

    Without a wish it takes the smallest free priority. With one it takes that, and whoever is
    in its place moves down, pushing the next only where no gap is left between them. Raises
    `Invalid` when the last one would be pushed beyond what can be stored.
    Source: Prefect 3.8.4 `bulk_update_work_queue_priorities`.
    """
    numbers = frozenset(taken)
    free = 1 if wanted is None else wanted
    while free in numbers:
        free += 1
    if free > MAX_INT:
        raise Invalid(f"No priority is free between {wanted} and {MAX_INT}.")
    return Place(free, free) if wanted is None else Place(wanted, free)
