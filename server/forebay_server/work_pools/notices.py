"""Tells who waits for runs that some may be claimed now, or from a time on. Knows no table."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from forebay_server.db.broker import Topic
from forebay_server.db.engine import Transaction


@dataclass(frozen=True)
class WorkNotice:
    """Something changed in a pool, or in one of its queues; at least one of the two is known."""

    pool_id: UUID | None = None
    queue_id: UUID | None = None  # None: in all of its queues
    due: datetime | None = None  # None: now


WORK: Topic[WorkNotice] = Topic("work")

# Told too often, it costs somebody a look; told too little, somebody waits in vain.


def pool_changed(db: Transaction, pool_id: UUID) -> None:
    """Tell, after the commit, that any queue of a pool may give runs that it did not give: a slot
    is free, the limit is another, the pool was resumed or is gone."""
    db.publish(WORK, [WorkNotice(pool_id)])


def queue_changed(db: Transaction, queue_id: UUID, pool_id: UUID | None = None) -> None:
    """Tell the same of one queue. Of a new one the pool must be named: nobody knows it yet."""
    db.publish(WORK, [WorkNotice(pool_id, queue_id)])


def run_placed(db: Transaction, pool_id: UUID, queue_id: UUID, due: datetime | None) -> None:
    """Tell of one run whose pool is known."""
    db.publish(WORK, [WorkNotice(pool_id, queue_id, due)])


def runs_placed(db: Transaction, placed: Iterable[tuple[UUID | None, datetime | None]]) -> None:
    """Tell of runs by queue and time, of each queue the earliest; a run needs both to be taken."""
    earliest: dict[UUID, datetime] = {}
    for queue_id, due in placed:
        if queue_id is not None and due is not None:
            earliest[queue_id] = min(due, earliest.get(queue_id, due))
    if earliest:
        db.publish(WORK, [WorkNotice(queue_id=id, due=due) for id, due in earliest.items()])
