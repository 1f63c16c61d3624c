"""What a poll answers: due runs of a pool's queues. Nothing is claimed and nothing is locked.

The cost depends on the number of queues and of runs answered, never on the backlog: every queue
is asked for its first runs through an index, and only queues that have due runs are asked.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from itertools import groupby
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Row,
    Select,
    and_,
    bindparam,
    case,
    column,
    false,
    literal_column,
    or_,
    select,
    table,
    true,
    union_all,
    update,
)

from forebay.wire.work_queues import WorkQueueStatus
from forebay_server.claims import queries as claim_queries
from forebay_server.db.columns import UtcDateTime
from forebay_server.db.columns import now as process_now
from forebay_server.db.engine import Database, Transaction
from forebay_server.db.prepared import Prepared, is_one_of
from forebay_server.errors import NotFound
from forebay_server.flow_runs.offers import RecentOffers, spread
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues

QUEUES_PER_STATEMENT = 10
MOST_PER_STATEMENT = 100  # of one priority; SQLite joins at most 500 parts
MOST_FURTHER_RUNS = 500  # read beyond the limit, so that others than were offered can be chosen
SEEN_AGAIN_AFTER = timedelta(seconds=5)  # polls in between leave no mark

# Named as text: deployments build on runs, not the other way.
_deployments = table(
    "deployment",
    column("work_queue_id"),
    column("status"),
    column("last_polled", UtcDateTime()),
)


@dataclass(frozen=True)
class Poll:
    """Which runs are asked for; bounds are included."""

    pool_name: str
    queue_names: Sequence[str]  # none: all queues
    before: datetime | None
    after: datetime | None
    limit: int
    caller: str | None = None  # a worker that will propose what it is offered; else a mere look


@dataclass(frozen=True)
class Offer:
    """Due runs in the order in which they should be claimed, and what was polled."""

    pool_id: UUID
    runs: Sequence[Row[Any]]
    unmarked_queue_ids: Sequence[UUID]  # polled, and not marked as such lately


async def due_runs(db: Transaction, poll: Poll, recent: RecentOffers) -> Offer:
    """Runs that may be claimed now, by queue priority, time and id; free slots are respected.

    When more are due than the limit takes, those that other workers were offered lately come
    later within their queue. They do not when free slots are what bounds the answer: whoever
    proposes another run then finds no slot. Raises `NotFound` for a pool or a queue that does not exist.
    """
    if poll.caller is None:
        return await _due_runs(db, poll, None)
    with recent.asking(poll.pool_name, poll.limit):
        return await _due_runs(db, poll, recent)


async def _due_runs(db: Transaction, poll: Poll, recent: RecentOffers | None) -> Offer:
    """The offer; without `recent` it is made to nobody who will propose."""
    bounds = _Bounds(poll.before is not None, poll.after is not None)
    times = {"before": poll.before, "after": poll.after}
    asked = {"pool_name": poll.pool_name, "queue_names": list(poll.queue_names), **times}
    rows = await db.run(_queues(bounds, bool(poll.queue_names)), asked)
    _require_all(poll, rows)
    pool = rows[0]
    at = process_now()  # good enough for telling whether a mark is seconds old
    unmarked = [row.id for row in rows if row.id is not None and not is_marked(row, at)]
    room = poll.limit
    if recent is not None and poll.limit:
        offered = len(recent.weights(pool.pool_id, poll.caller or "", monotonic()))
        others = recent.asked_for(poll.pool_name) - poll.limit
        room += min(offered + others, MOST_FURTHER_RUNS)
    if pool.pool_free is not None:
        room = min(room, pool.pool_free)
    is_spread = room > poll.limit
    runs: list[Row[Any]] = []
    if not pool.pool_is_paused:
        waiting = [row for row in rows if row.has_due and _room(row, room) > 0]
        for queues in batches(waiting):
            if len(runs) >= room:
                break
            statement = _first_runs(bounds, len(queues), only_ids=is_spread)
            runs += await db.run(statement, {**_values(queues, room - len(runs)), **times})
    if recent is not None:
        # Anew, with what was offered while this waited for the database.
        weights = recent.weights(pool.pool_id, poll.caller or "", monotonic())
        runs = spread(runs, poll.limit, weights)
        recent.note(pool.pool_id, poll.caller or "", runs, monotonic())
    if is_spread and runs:
        place = {run.id: number for number, run in enumerate(runs)}
        found = await db.run(_whole(db.dialect), {"run_ids": [*place]})
        runs = sorted(found, key=lambda run: place[run.id])
    return Offer(pool.pool_id, runs, unmarked)


# Polls are frequent: their statements are built once for every shape, and take values by name.


class _Bounds(NamedTuple):
    """Which bounds of time a poll has."""

    has_before: bool
    has_after: bool

    def is_due(self) -> ColumnElement[bool]:
        """Whether a run is offered, as far as it goes."""
        due = flow_runs.c.next_scheduled_start_time
        retry_type = flow_runs.c.empirical_policy["retry_type"].as_string()
        return and_(
            # As text, so that the partial index is seen to cover it.
            flow_runs.c.state_type == literal_column("'SCHEDULED'"),
            due <= bindparam("before") if self.has_before else true(),
            due >= bindparam("after") if self.has_after else true(),
            retry_type.is_distinct_from("in_process"),  # its own process will go on with it
        )


@cache
def _queues(bounds: _Bounds, has_names: bool) -> Prepared:
    """The pool with each polled queue; a row without a queue when it has none of them."""
    limit = work_pools.c.concurrency_limit
    free = limit - claim_queries.held_in_pool(work_pools.c.id)
    pool = (
        select(
            work_pools.c.id,
            work_pools.c.is_paused,
            case((limit.is_not(None), free)).label("free"),
        )
        .where(work_pools.c.name == bindparam("pool_name"))
        .cte("pool")
        .prefix_with("MATERIALIZED")  # so that it is counted once and not for every queue
    )
    queue = work_queues.c
    is_polled = queue.work_pool_id == pool.c.id
    if has_names:
        is_polled &= queue.name.in_(bindparam("queue_names", expanding=True))
    # The first one, not just any: that is what the index on times is sure to be used for.
    first_due = (
        select(flow_runs.c.id)
        .where(flow_runs.c.work_queue_id == queue.id, bounds.is_due())
        .order_by(flow_runs.c.next_scheduled_start_time, flow_runs.c.id)
        .limit(1)
        .scalar_subquery()
    )
    queue_free = queue.concurrency_limit - claim_queries.held_in_queue(queue.id)
    return Prepared(
        select(
            pool.c.id.label("pool_id"),
            pool.c.is_paused.label("pool_is_paused"),
            pool.c.free.label("pool_free"),
            queue.id,
            queue.name,
            queue.priority,
            queue.status,
            queue.last_polled,
            case((queue.concurrency_limit.is_not(None), queue_free)).label("queue_free"),
            case((queue.is_paused, false()), else_=first_due.is_not(None)).label("has_due"),
        )
        .outerjoin_from(pool, work_queues, is_polled)
        .order_by(queue.priority, queue.id)
    )


def _require_all(poll: Poll, rows: Sequence[Row[Any]]) -> None:
    if not rows:
        raise NotFound(f'Work pool "{poll.pool_name}" not found.')
    found = {row.name for row in rows}
    for name in poll.queue_names:
        if name not in found:
            raise NotFound(f"Work pool queue '{poll.pool_name}/{name}' not found.")


def _room(queue: Row[Any], most: int) -> int:
    return most if queue.queue_free is None else min(most, int(queue.queue_free))


def batches(queues: Sequence[Row[Any]]) -> Iterator[list[Row[Any]]]:
    """The queues a few at a time; those of one priority stay together, as they share a rank."""
    batch: list[Row[Any]] = []
    for _, equals in groupby(queues, key=lambda queue: queue.priority):
        for queue in equals:
            if len(batch) == MOST_PER_STATEMENT:
                yield batch
                batch = []
            batch.append(queue)
        if len(batch) >= QUEUES_PER_STATEMENT:
            yield batch
            batch = []
    if batch:
        yield batch


def _values(queues: Sequence[Row[Any]], room: int) -> dict[str, Any]:
    """What `_first_runs` takes for these queues."""
    values: dict[str, Any] = {"room": room}
    for number, queue in enumerate(queues):
        values[f"queue_id_{number}"] = queue.id
        values[f"priority_{number}"] = queue.priority
        values[f"room_{number}"] = _room(queue, room)
    return values


@lru_cache(maxsize=200)
def _first_runs(bounds: _Bounds, queues: int, *, only_ids: bool) -> Prepared:
    """The first runs of each of so many queues, merged by priority, time and id."""
    due, id = flow_runs.c.next_scheduled_start_time, flow_runs.c.id
    parts = []
    for number in range(queues):
        priority = bindparam(f"priority_{number}", type_=Integer)
        first = (
            select(id, priority.label("priority"))
            .where(flow_runs.c.work_queue_id == bindparam(f"queue_id_{number}"), bounds.is_due())
            .order_by(due, id)
            .limit(bindparam(f"room_{number}", type_=Integer))
            .subquery()
        )
        parts.append(select(first))
    found = union_all(*parts).subquery("found")
    runs = select(id, flow_runs.c.work_queue_id) if only_ids else _runs_with_queue()
    runs = runs.join(found, found.c.id == id).order_by(found.c.priority, due, id)
    return Prepared(runs.limit(bindparam("room", type_=Integer)))


@cache
def _whole(dialect: str) -> Prepared:
    """Runs by their ids."""
    return Prepared(_runs_with_queue().where(is_one_of(flow_runs.c.id, "run_ids", dialect)))


def _runs_with_queue() -> Select[Any]:
    runs = select(flow_runs, work_queues.c.name.label("queue_name"))
    return runs.join(work_queues, work_queues.c.id == flow_runs.c.work_queue_id)


def is_marked(queue: Row[Any], at: datetime) -> bool:
    """Whether a queue was marked as polled so lately that another mark would say nothing new."""
    is_recent = queue.last_polled is not None and at - queue.last_polled < SEEN_AGAIN_AFTER
    return is_recent and queue.status != WorkQueueStatus.NOT_READY


async def mark_polled(database: Database, queue_ids: Sequence[UUID]) -> None:
    """Note that a worker polls these queues: they and their deployments are READY."""
    async with database.write() as db:
        at = await db.now()
        is_old = or_(
            work_queues.c.last_polled.is_(None),
            work_queues.c.last_polled <= at - SEEN_AGAIN_AFTER,
            work_queues.c.status == WorkQueueStatus.NOT_READY,
        )
        status = case(
            (work_queues.c.status == WorkQueueStatus.NOT_READY, WorkQueueStatus.READY.value),
            else_=work_queues.c.status,
        )
        # A queue that is locked is being polled or claimed from: waiting for it would say nothing
        # new, and might close a ring of those who wait.
        chosen = select(work_queues.c.id).where(work_queues.c.id.in_(queue_ids), is_old)
        locked = chosen.with_for_update(skip_locked=True, key_share=True)
        ids = [row.id for row in await db.rows(locked)]
        if not ids:
            return
        await db.execute(
            update(work_queues)
            .where(work_queues.c.id.in_(ids))
            .values(last_polled=at, status=status)
        )
        await db.execute(
            update(_deployments)
            .where(_deployments.c.work_queue_id.in_(ids))
            .values(last_polled=at, status="READY")
        )
