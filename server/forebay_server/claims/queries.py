"""Statements about claims: taking, renewing and ending them, and counting slots."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, ScalarSelect, func, select, true
from sqlalchemy import update as sql_update

from forebay_server.claims.tables import claims
from forebay_server.db.engine import Transaction
from forebay_server.db.together import Change, updated

_counted = claims.alias("counted")  # so that a count can stand beside a run's own claim


def is_live() -> ColumnElement[bool]:
    """Whether a claim still holds its run and its slots."""
    return claims.c.ended_at.is_(None)


def held_in_pool(pool_id: ColumnElement[UUID]) -> ScalarSelect[int]:
    """How many slots of a pool are taken."""
    return _held(_counted.c.work_pool_id == pool_id)


def held_in_queue(queue_id: ColumnElement[UUID]) -> ScalarSelect[int]:
    """How many slots of a queue are taken."""
    return _held(_counted.c.work_queue_id == queue_id)


def _held(is_there: ColumnElement[bool]) -> ScalarSelect[int]:
    counted = select(func.count()).select_from(_counted)
    return counted.where(is_there, _counted.c.ended_at.is_(None)).scalar_subquery()


_IS_LIVE = is_live()


def release(run_id: UUID, at: datetime) -> Change:
    """The change that ends the run's live claim, if it has one."""
    return updated(claims, {"ended_at": at, "updated": at}, only=_IS_LIVE, flow_run_id=run_id)


async def renew(
    db: Transaction,
    pool_id: UUID,
    worker_name: str,
    lease_seconds: float,
    run_ids: Sequence[UUID] | None = None,
) -> int:
    """Extend the live claims of a worker to `lease_seconds` from now; how many there are.

    With `run_ids` the claims of these runs only, and the rest run out.
    """
    at = await db.now()
    statement = (
        sql_update(claims)
        .where(claims.c.work_pool_id == pool_id, claims.c.worker_name == worker_name, is_live())
        .where(true() if run_ids is None else claims.c.flow_run_id.in_(run_ids))
        .values(
            lease_seconds=lease_seconds,
            expires_at=at + timedelta(seconds=lease_seconds),
            updated=at,
        )
    )
    return (await db.execute(statement)).rowcount


async def extend_all(db: Transaction) -> int:
    """Give every live claim its whole lease again, when the clock cannot be trusted."""
    at = await db.now()
    lengths = await db.rows(select(claims.c.lease_seconds).where(is_live()).distinct())
    extended = 0
    for (seconds,) in lengths:
        result = await db.execute(
            sql_update(claims)
            .where(is_live(), claims.c.lease_seconds == seconds)
            .values(expires_at=at + timedelta(seconds=seconds))
        )
        extended += result.rowcount
    return extended


async def expired(db: Transaction, limit: int) -> Sequence[Row[Any]]:
    """Claims whose lease has run out, the longest dead first; nothing is locked."""
    at = await db.now()
    statement = select(claims).where(is_live(), claims.c.expires_at <= at)
    return await db.rows(statement.order_by(claims.c.expires_at).limit(limit))
