"""Statements about claims: taking, renewing and ending them, and counting slots."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, ScalarSelect, and_, bindparam, func, select, true
from sqlalchemy import update as sql_update

from forebay_server.claims.tables import SweepRow, claims, sweeps
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.db.prepared import Prepared, is_one_of
from forebay_server.db.together import Change, updated

MAX_EXTENSIONS = 3
SWEEP = "claims"

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
    worker: tuple[UUID, str],
    lease_seconds: float,
    at: datetime,
    run_ids: Sequence[UUID] | None = None,
) -> None:
    """Extend the live claims of a worker, its pool's id and its name, to `lease_seconds` from `at`.

    With `run_ids` the claims of these runs only, and the rest run out.
    """
    pool_id, name = worker
    values: dict[str, Any] = {
        "pool_id": pool_id,
        "holder_name": name,
        "seconds": lease_seconds,
        "until": at + timedelta(seconds=lease_seconds),
        "at": at,
    }
    if run_ids is not None:
        values["run_ids"] = list(run_ids)
    await db.run(_renew(db.dialect, of_runs=run_ids is not None), values)


@cache
def _renew(dialect: str, *, of_runs: bool) -> Prepared:
    is_its = and_(
        claims.c.work_pool_id == bindparam("pool_id"),
        claims.c.worker_name == bindparam("holder_name"),
        is_live(),
        is_one_of(claims.c.flow_run_id, "run_ids", dialect) if of_runs else true(),
    )
    values = {
        "lease_seconds": bindparam("seconds"),
        "expires_at": bindparam("until"),
        "extensions": 0,
        "updated": bindparam("at"),
    }
    return Prepared(sql_update(claims).where(is_its).values(values))


async def extend_all(db: Transaction) -> int:
    """Give live claims their whole leases again, when time cannot be trusted; how many.

    Not without end: one whose worker was not heard of since it was given `MAX_EXTENSIONS` runs
    out.
    """
    at = await db.now()
    may_be_extended = (is_live(), claims.c.extensions < MAX_EXTENSIONS)
    lengths = await db.rows(select(claims.c.lease_seconds).where(*may_be_extended).distinct())
    extended = 0
    for (seconds,) in lengths:
        expires_at = at + timedelta(seconds=seconds)
        result = await db.execute(
            sql_update(claims)
            .where(*may_be_extended, claims.c.lease_seconds == seconds)
            .values(expires_at=expires_at, extensions=claims.c.extensions + 1)
        )
        extended += result.rowcount
    return extended


async def last_sweep(db: Transaction) -> datetime | None:
    """When any process last looked for expired claims."""
    at: datetime | None = await db.scalar(select(sweeps.c.at).where(sweeps.c.name == SWEEP))
    return at


async def mark_swept(db: Transaction, last: datetime | None) -> bool:
    """Note that claims are looked at now; False when another process did since `last`."""
    at = await db.now()
    if last is None:
        row = SweepRow(name=SWEEP, at=at, created=at, updated=at)
        return await insert_new(db, sweeps, row.model_dump()) == 1
    statement = sql_update(sweeps).where(sweeps.c.name == SWEEP, sweeps.c.at == last)
    return (await db.execute(statement.values(at=at, updated=at))).rowcount == 1


async def expired(db: Transaction, limit: int) -> Sequence[Row[Any]]:
    """Claims whose lease has run out, the longest dead first; nothing is locked."""
    at = await db.now()
    statement = select(claims).where(is_live(), claims.c.expires_at <= at)
    return await db.rows(statement.order_by(claims.c.expires_at).limit(limit))
