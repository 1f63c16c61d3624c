"""Statements about limits themselves. Taking and giving back slots has a module of its own."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Row, Select, column, exists, func, or_, select
from sqlalchemy import table as named_table

from forebay.wire.concurrency_limits import (
    GlobalConcurrencyLimit,
    GlobalConcurrencyLimitCreate,
    MinimalConcurrencyLimit,
)
from forebay_server.concurrency_limits import rules
from forebay_server.concurrency_limits.tables import (
    ConcurrencyLimitRow,
    concurrency_leases,
    concurrency_limits,
    concurrency_slots,
)
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, NotFound

NOT_NULLABLE = ("name", "limit", "active", "slot_decay_per_second")

# Named as text, as foreign keys are: limits know claims by nothing but their end.
_claims = named_table("claim", column("flow_run_id"), column("ended_at"))


def is_live(at: datetime) -> ColumnElement[bool]:
    """Whether a lease holds its slots: it has not run out, or a worker answers for its run."""
    is_claimed = exists().where(
        _claims.c.flow_run_id == concurrency_leases.c.flow_run_id, _claims.c.ended_at.is_(None)
    )
    return or_(concurrency_leases.c.expires_at > at, is_claimed)


def held(at: datetime) -> Select[Any]:
    """Slots that are taken now, each with its lease where it has one."""
    joined = concurrency_slots.outerjoin(
        concurrency_leases, concurrency_leases.c.id == concurrency_slots.c.lease_id
    )
    return (
        select(concurrency_slots)
        .select_from(joined)
        .where(or_(concurrency_slots.c.lease_id.is_(None), is_live(at)))
    )


def with_slots(at: datetime) -> Select[Any]:
    """Limits with the slots that are held of each."""
    mine = held(at).where(concurrency_slots.c.limit_id == concurrency_limits.c.id)
    total = mine.with_only_columns(func.coalesce(func.sum(concurrency_slots.c.slots), 0))
    return select(concurrency_limits, total.scalar_subquery().label("held"))


def to_wire(row: Row[Any], at: datetime) -> GlobalConcurrencyLimit:
    """A row of `with_slots` as the API answers it."""
    return GlobalConcurrencyLimit.model_validate(
        {**row._mapping, "active_slots": rules.shown(taken(row, row.held, at))}
    )


def taken(row: Row[Any], held: int, at: datetime) -> float:
    """What is taken of a limit of which `held` slots are held."""
    decay: float = row.slot_decay_per_second
    return rules.level(row.drained_at, decay, at) if decay > 0 else held


def to_minimal(rows: Sequence[Row[Any]]) -> list[MinimalConcurrencyLimit]:
    """Limits as the answers about slots name them."""
    return [MinimalConcurrencyLimit.model_validate(row) for row in rows]


def is_meant(id_or_name: str) -> Condition:
    """The condition for the limit that a path names."""
    by_name: Condition = concurrency_limits.c.name == id_or_name
    try:
        return or_(by_name, concurrency_limits.c.id == UUID(id_or_name))
    except ValueError:
        return by_name


async def create(db: Transaction, body: GlobalConcurrencyLimitCreate) -> Row[Any]:
    """Make a limit. Raises `Conflict` with `existing_id` on a taken name."""
    rules.check_decay(body.limit, body.slot_decay_per_second)
    at = await db.now()
    row = ConcurrencyLimitRow(
        **body.model_dump(exclude={"active_slots", "denied_slots"}), created=at, updated=at
    )
    if not await insert_new(db, concurrency_limits, row.model_dump()):
        existing = await read(db, body.name)
        raise Conflict(
            f'A concurrency limit named "{body.name}" exists already; choose another name, or '
            "change the existing one.",
            existing_id=str(existing.id),
        )
    return await lock(db, concurrency_limits.c.id == row.id)


async def read(db: Transaction, id_or_name: str) -> Row[Any]:
    """A limit with its slots. Raises `NotFound`."""
    statement = with_slots(await db.now()).where(is_meant(id_or_name))
    return _found(await db.row(_named_first(statement, id_or_name)), id_or_name)


async def lock(db: Transaction, condition: Condition, name: str = "") -> Row[Any]:
    """The one limit that fulfils `condition`, locked. Raises `NotFound`."""
    statement = select(concurrency_limits).where(condition)
    return _found(
        await db.row(_named_first(statement, name).with_for_update(key_share=True)), name
    )


async def lock_named(db: Transaction, id_or_name: str) -> Row[Any]:
    """The limit that a path names, locked. Raises `NotFound`."""
    return await lock(db, is_meant(id_or_name), id_or_name)


def _named_first(statement: Select[Any], name: str) -> Select[Any]:
    """A limit's name may look like another's id."""
    return statement.order_by((concurrency_limits.c.name == name).desc()).limit(1)


def _found(row: Row[Any] | None, id_or_name: str) -> Row[Any]:
    if row is None:
        raise NotFound(f'Concurrency limit "{id_or_name}" not found.')
    return row


async def filter(
    db: Transaction, condition: Condition, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Limits with their slots, by name."""
    statement = with_slots(await db.now()).where(condition).order_by(concurrency_limits.c.name)
    return await db.rows(statement.limit(limit).offset(offset))


async def update(db: Transaction, row: Row[Any], changes: dict[str, Any]) -> None:
    """Change columns of a locked limit. Raises `Conflict` for a null, `Invalid`."""
    for key in NOT_NULLABLE:
        if changes.get(key, ...) is None:
            raise Conflict(f"{key} must not be null; leave it out to keep what it is.")
    rules.check_decay(
        changes.get("limit", row.limit),
        changes.get("slot_decay_per_second", row.slot_decay_per_second),
    )
    statement = sa.update(concurrency_limits).where(concurrency_limits.c.id == row.id)
    await db.execute(statement.values(**changes, updated=await db.now()))


async def delete(db: Transaction, condition: Condition, name: str) -> None:
    """Delete a limit with its slots; leases stay, for what else they hold. Raises `NotFound`."""
    row = await lock(db, condition, name)
    await db.execute(sa.delete(concurrency_limits).where(concurrency_limits.c.id == row.id))
