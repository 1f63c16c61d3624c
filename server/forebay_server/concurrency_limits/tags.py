"""Limits of tags of task runs: limits whose name begins with `tag:`, held by task runs.

Source: Prefect 3.8.4 `/concurrency_limits`, which keeps them in the same way.
"""

import random
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select

from forebay.wire.concurrency_limits import (
    ConcurrencyLeaseHolder,
    GlobalConcurrencyLimitCreate,
    HolderType,
    TagConcurrencyLimit,
    TagConcurrencyLimitCreate,
)
from forebay_server.concurrency_limits import queries, rules, slots
from forebay_server.concurrency_limits.tables import concurrency_limits, concurrency_slots
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.errors import Conflict, NotFound, SlotsTaken

PREFIX = "tag:"


def is_of_tag(tag: str) -> Condition:
    """The condition for the limit of a tag."""
    return concurrency_limits.c.name == PREFIX + tag


def _is_of_any_tag() -> Condition:
    return concurrency_limits.c.name.startswith(PREFIX, autoescape=True)


async def upsert(
    db: Transaction, body: TagConcurrencyLimitCreate
) -> tuple[TagConcurrencyLimit, bool]:
    """The limit of a tag, made or changed, and whether it is new."""
    create = GlobalConcurrencyLimitCreate(name=PREFIX + body.tag, limit=body.concurrency_limit)
    try:
        await queries.create(db, create)
        is_new = True
    except Conflict:
        row = await queries.lock(db, is_of_tag(body.tag))
        await queries.update(db, row, {"limit": body.concurrency_limit})
        is_new = False
    return await read(db, is_of_tag(body.tag)), is_new


async def read(db: Transaction, condition: Condition) -> TagConcurrencyLimit:
    """The limit of a tag, with who holds its slots. Raises `NotFound`."""
    found = await _filter(db, condition, 1, 0)
    if not found:
        raise NotFound("Concurrency limit not found: no limit of a tag is meant by that.")
    return found[0]


async def filter(db: Transaction, limit: int, offset: int) -> list[TagConcurrencyLimit]:
    """Limits of tags, by tag."""
    return await _filter(db, _is_of_any_tag(), limit, offset)


async def _filter(
    db: Transaction, condition: Condition, limit: int, offset: int
) -> list[TagConcurrencyLimit]:
    at = await db.now()
    statement = select(concurrency_limits).where(condition, _is_of_any_tag())
    page = statement.order_by(concurrency_limits.c.name).limit(limit).offset(offset)
    rows = await db.rows(page)
    holders = await _holders(db, [row.id for row in rows], at)
    return [_to_wire(row, holders.get(row.id, [])) for row in rows]


async def _holders(
    db: Transaction, limit_ids: Sequence[UUID], at: datetime
) -> dict[UUID, list[UUID]]:
    if not limit_ids:
        return {}
    statement = queries.held(at).where(
        concurrency_slots.c.limit_id.in_(limit_ids),
        concurrency_slots.c.holder_type == HolderType.TASK_RUN,
    )
    holders: dict[UUID, list[UUID]] = {}
    for row in await db.rows(statement.order_by(concurrency_slots.c.id)):
        holders.setdefault(row.limit_id, []).append(row.holder_id)
    return holders


def _to_wire(row: Row[Any], holders: list[UUID]) -> TagConcurrencyLimit:
    return TagConcurrencyLimit(
        id=row.id,
        created=row.created,
        updated=row.updated,
        tag=row.name.removeprefix(PREFIX),
        concurrency_limit=row.limit,
        active_slots=holders,
    )


async def delete(db: Transaction, condition: Condition) -> None:
    """Delete the limit of a tag. Raises `NotFound`."""
    await queries.delete(db, condition & _is_of_any_tag(), "tag")


async def reset(db: Transaction, tag: str, task_run_ids: Sequence[UUID]) -> None:
    """Free every slot of a tag, and give one to each of `task_run_ids`. Raises `NotFound`."""
    row = await queries.lock(db, is_of_tag(tag), tag)
    await slots.delete_slots(db, concurrency_slots.c.limit_id == row.id)
    limits = await slots.measure(db, [row])
    for id in dict.fromkeys(task_run_ids):
        await slots.occupy(db, limits, 1, _hold(id))


async def take(db: Transaction, tags: Sequence[str], task_run_id: UUID) -> Sequence[Row[Any]]:
    """Take a slot of every tag that has a limit, or of none; one that is held is enough.

    Returns the limits. Raises `SlotsTaken`.
    """
    rows = await slots.lock(db, concurrency_limits.c.name.in_([PREFIX + tag for tag in tags]))
    limits = await slots.measure(db, [row for row in rows if row.active])
    held = await db.rows(select(concurrency_slots.c.limit_id).where(_is_held_by(task_run_id)))
    held_ids = {row.limit_id for row in held}
    wanted = [limit for limit in limits if limit.id not in held_ids]
    if never := [limit for limit in wanted if limit.limit == 0]:
        # Asking again cannot help: nobody holds a slot that could become free.
        raise SlotsTaken(
            f"Locked: the limit {never[0].name} is 0.",
            retry_after_seconds=rules.MAX_WAIT_SECONDS * (1 + random.random()),
        )
    slots.refuse_full(wanted, 1)
    await slots.occupy(db, wanted, 1, _hold(task_run_id))
    return rows


async def give_back(db: Transaction, tags: Sequence[str], task_run_id: UUID) -> Sequence[Row[Any]]:
    """Give back what a task run holds of these tags; their limits."""
    rows = await slots.lock(db, concurrency_limits.c.name.in_([PREFIX + tag for tag in tags]))
    is_theirs = concurrency_slots.c.limit_id.in_([row.id for row in rows])
    await slots.delete_slots(db, _is_held_by(task_run_id) & is_theirs)
    return rows


def by_id(id: UUID) -> Condition:
    """The condition for a limit of a tag by id."""
    return concurrency_limits.c.id == id


def _is_held_by(task_run_id: UUID) -> Condition:
    return (concurrency_slots.c.holder_id == task_run_id) & (
        concurrency_slots.c.holder_type == HolderType.TASK_RUN
    )


def _hold(task_run_id: UUID) -> slots.Hold:
    return slots.Hold(holder=ConcurrencyLeaseHolder(type=HolderType.TASK_RUN, id=task_run_id))
