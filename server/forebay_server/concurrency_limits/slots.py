"""Taking slots and giving them back. Every limit touched is locked first, in order of name.

An expired lease is ended by whoever next wants its slots, so a lease that is renewed and one
that is counted as expired are never the same.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, func, select

from forebay.wire.concurrency_limits import ConcurrencyLeaseHolder
from forebay_server.concurrency_limits import queries, rules
from forebay_server.concurrency_limits.rules import Limit
from forebay_server.concurrency_limits.tables import (
    ConcurrencyLeaseRow,
    ConcurrencySlotRow,
    concurrency_leases,
    concurrency_limits,
    concurrency_slots,
)
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.errors import Conflict, SlotsTaken

SWEPT_AT_ONCE = 1000  # leases in one transaction


@dataclass(frozen=True)
class Hold:
    """For whom slots are taken, and for how long; without seconds until they are given back."""

    seconds: float | None = None
    holder: ConcurrencyLeaseHolder | None = None
    flow_run_id: UUID | None = None  # whose claim keeps the lease alive


@dataclass(frozen=True)
class Taken:
    """Slots that were taken, and the lease on them where one was asked for."""

    limits: Sequence[Row[Any]]
    lease_id: UUID | None


async def lock(db: Transaction, condition: Condition) -> Sequence[Row[Any]]:
    """The limits that fulfil `condition`, locked in the one order that knows no deadlock."""
    statement = select(concurrency_limits).where(condition)
    statement = statement.order_by(concurrency_limits.c.name)
    return await db.rows(statement.with_for_update(key_share=True))


async def measure(db: Transaction, rows: Sequence[Row[Any]]) -> list[Limit]:
    """What is taken of limits that are locked; their expired leases are ended first."""
    if not rows:
        return []
    at = await db.now()
    is_one_of = concurrency_slots.c.limit_id.in_([row.id for row in rows])
    dead = (
        select(concurrency_slots.c.lease_id)
        .join(concurrency_leases, concurrency_leases.c.id == concurrency_slots.c.lease_id)
        .where(is_one_of, ~queries.is_live(at))
    )
    # The time stands here again: on PostgreSQL a lease renewed meanwhile is looked at anew.
    is_dead = (concurrency_leases.c.id.in_(dead), concurrency_leases.c.expires_at <= at)
    await db.execute(sa.delete(concurrency_leases).where(*is_dead))
    count = select(concurrency_slots.c.limit_id, func.sum(concurrency_slots.c.slots).label("held"))
    counted = await db.rows(count.where(is_one_of).group_by(concurrency_slots.c.limit_id))
    held: dict[UUID, int] = {row.limit_id: row.held for row in counted}
    return [_limit(row, held.get(row.id, 0), at) for row in rows]


def _limit(row: Row[Any], held: int, at: datetime) -> Limit:
    return Limit(
        id=row.id,
        name=row.name,
        limit=row.limit,
        taken=queries.taken(row, held, at),
        slot_decay_per_second=row.slot_decay_per_second,
        avg_slot_occupancy_seconds=row.avg_slot_occupancy_seconds,
    )


async def take(
    db: Transaction, names: Sequence[str], slots: int, hold: Hold, *, is_rate: bool = False
) -> Taken:
    """Take slots of every limit named, or of none; names without a limit are left out.

    Inactive limits are named in the answer and not kept. With `is_rate` slots leave by decay
    only. Raises `SlotsTaken`, and `Invalid` for what could never be granted.
    """
    rows = await lock(db, concurrency_limits.c.name.in_(names))
    limits = await measure(db, [row for row in rows if row.active])
    rules.check_request(limits, slots, is_rate=is_rate)
    refuse_full(limits, slots)
    return Taken(rows, await occupy(db, limits, slots, hold, is_rate=is_rate))


def refuse_full(limits: Sequence[Limit], slots: int) -> None:
    """Raise `SlotsTaken` when one of the limits has too few free slots."""
    if blocking := rules.blocking(limits, slots):
        names = ", ".join(f"'{limit.name}'" for limit in blocking)
        raise SlotsTaken(
            f"Locked: too few free slots of {names}.",
            retry_after_seconds=rules.wait_seconds(blocking, slots, random.random()),
        )


async def occupy(
    db: Transaction, limits: Sequence[Limit], slots: int, hold: Hold, *, is_rate: bool = False
) -> UUID | None:
    """Write that slots of locked limits are taken; the caller has checked that they are free."""
    at = await db.now()
    lease_id = None
    if hold.seconds is not None:
        lease = ConcurrencyLeaseRow(
            created=at,
            updated=at,
            expires_at=at + timedelta(seconds=hold.seconds),
            flow_run_id=hold.flow_run_id,
        )
        lease_id = lease.id
        await db.execute(sa.insert(concurrency_leases).values(lease.model_dump()))
    for limit in limits:
        if limit.decays:
            await _set_level(db, limit, limit.taken + slots, at)
    # Slots that decay are written down only where a lease will give them back.
    counted = [limit for limit in limits if not limit.decays or (lease_id and not is_rate)]
    taken = [
        ConcurrencySlotRow(
            created=at,
            updated=at,
            limit_id=limit.id,
            lease_id=lease_id,
            slots=slots,
            holder_type=hold.holder.type if hold.holder else None,
            holder_id=hold.holder.id if hold.holder else None,
        ).model_dump()
        for limit in counted
    ]
    if taken:
        await db.execute(sa.insert(concurrency_slots).values(taken))
    return lease_id


async def _set_level(db: Transaction, limit: Limit, taken: float, at: datetime) -> None:
    drained_at = rules.drained_at(taken, limit.slot_decay_per_second, at)
    statement = sa.update(concurrency_limits).where(concurrency_limits.c.id == limit.id)
    await db.execute(statement.values(drained_at=drained_at))


async def renew(db: Transaction, condition: Condition, seconds: float) -> bool:
    """Let a live lease run out `seconds` from now; whether there is one that is meant."""
    at = await db.now()
    statement = sa.update(concurrency_leases).where(condition, queries.is_live(at))
    values = {"expires_at": at + timedelta(seconds=seconds), "updated": at}
    return (await db.execute(statement.values(values))).rowcount > 0


async def end_lease(db: Transaction, lease_id: UUID) -> None:
    """Give back what a lease holds; one that has ended is no error."""
    is_its = concurrency_slots.c.lease_id == lease_id
    ids = select(concurrency_slots.c.limit_id).where(is_its)
    limits = await measure(db, await lock(db, concurrency_limits.c.id.in_(ids)))
    at = await db.now()
    held = {row.limit_id: row for row in await db.rows(select(concurrency_slots).where(is_its))}
    await db.execute(sa.delete(concurrency_leases).where(concurrency_leases.c.id == lease_id))
    for limit in limits:
        if mine := held.get(limit.id):
            await _given_back(db, limit, mine.slots, (at - mine.created).total_seconds())


async def give_back(
    db: Transaction, names: Sequence[str], slots: int, occupancy_seconds: float | None
) -> Sequence[Row[Any]]:
    """Give back slots that were taken without a lease, the oldest first; of these limits.

    What a lease or a named holder has is not touched: it is not the caller's to give.
    """
    rows = await lock(db, concurrency_limits.c.name.in_(names))
    for limit in await measure(db, rows):
        if not limit.decays:
            await free_unnamed(db, limit.id, slots)
        await _given_back(db, limit, slots, occupancy_seconds)
    return rows


async def free_unnamed(db: Transaction, limit_id: UUID, slots: int) -> int:
    """Free slots without lease and holder, the oldest first; how many there were to free."""
    unnamed = (
        concurrency_slots.c.limit_id == limit_id,
        concurrency_slots.c.lease_id.is_(None),
        concurrency_slots.c.holder_id.is_(None),
    )
    oldest = select(concurrency_slots).where(*unnamed).order_by(concurrency_slots.c.id)
    left = slots
    emptied: list[UUID] = []
    for row in await db.rows(oldest.limit(slots)):
        if row.slots > left:
            rest = sa.update(concurrency_slots).where(concurrency_slots.c.id == row.id)
            await db.execute(rest.values(slots=row.slots - left))
            left = 0
        else:
            emptied.append(row.id)
            left -= row.slots
        if left == 0:
            break
    await delete_slots(db, concurrency_slots.c.id.in_(emptied))
    return slots - left


async def delete_slots(db: Transaction, condition: Condition) -> int:
    """Free the slots that fulfil `condition`; how many rows. Their limits are locked."""
    return (await db.execute(sa.delete(concurrency_slots).where(condition))).rowcount


async def _given_back(
    db: Transaction, limit: Limit, slots: int, occupancy_seconds: float | None
) -> None:
    """Lower the level of a limit that decays, and learn how long slots are held."""
    values: dict[str, Any] = {}
    if limit.decays:
        left = max(0.0, limit.taken - slots)
        values["drained_at"] = rules.drained_at(left, limit.slot_decay_per_second, await db.now())
    if occupancy_seconds is not None:
        average = limit.avg_slot_occupancy_seconds
        seconds = average + rules.OCCUPANCY_WEIGHT * (occupancy_seconds - average)
        values["avg_slot_occupancy_seconds"] = seconds
    if values:
        statement = sa.update(concurrency_limits).where(concurrency_limits.c.id == limit.id)
        await db.execute(statement.values(values))


async def update(db: Transaction, row: Row[Any], changes: dict[str, Any]) -> None:
    """Change a locked limit; `active_slots` among the changes takes or frees slots.

    Where slots begin or cease to decay, what is taken stays so. Raises as `queries.update`.
    """
    if changes.get("active_slots", ...) is None:
        raise Conflict("active_slots must not be null; leave it out to keep what it is.")
    slots = changes.pop("active_slots", None)
    (before,) = await measure(db, [row])
    await queries.update(db, row, changes)
    changed = await queries.lock(db, concurrency_limits.c.id == row.id)
    (after,) = await measure(db, [changed])
    if slots is not None:
        await set_taken(db, after, slots)
    elif before.slot_decay_per_second != after.slot_decay_per_second:
        kept = rules.shown(before.taken)
        await set_taken(db, after, kept if after.decays else max(kept, int(after.taken)))


async def set_taken(db: Transaction, limit: Limit, slots: int) -> None:
    """Make `slots` taken of a locked limit: add unnamed ones, or free unnamed ones and leases."""
    excess = int(limit.taken) - slots
    if limit.decays:
        await _set_level(db, limit, slots, await db.now())
    elif excess < 0:
        await occupy(db, [limit], -excess, Hold())
    elif excess > 0:
        excess -= await free_unnamed(db, limit.id, excess)
        mine = select(concurrency_slots).where(concurrency_slots.c.limit_id == limit.id)
        for row in await db.rows(mine.order_by(concurrency_slots.c.id).limit(max(excess, 0))):
            if excess > 0:
                await delete_slots(db, concurrency_slots.c.id == row.id)
                excess -= row.slots


async def sweep(db: Transaction) -> int:
    """Delete leases that have run out; how many. Their slots were free before."""
    at = await db.now()
    dead = select(concurrency_leases.c.id).where(
        concurrency_leases.c.expires_at <= at, ~queries.is_live(at)
    )
    statement = sa.delete(concurrency_leases).where(
        concurrency_leases.c.id.in_(
            dead.order_by(concurrency_leases.c.expires_at).limit(SWEPT_AT_ONCE)
        ),
        concurrency_leases.c.expires_at <= at,
    )
    return (await db.execute(statement)).rowcount
