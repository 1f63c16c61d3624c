"""Claims that pass to another worker, because what was started outlives the one that held it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, insert, literal, or_, select, update

from forebay.wire.claims import AdoptableQuery, Adoption
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.rules import lease_seconds
from forebay_server.claims.tables import claims
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Transaction
from forebay_server.errors import Conflict, NotFound
from forebay_server.flow_runs import queries as runs
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools.tables import work_pools
from forebay_server.workers import queries as worker_queries
from forebay_server.workers.tables import workers


@dataclass(frozen=True)
class Adopter:
    """Who takes over."""

    holder: str
    worker_name: str


async def adoptable(db: Transaction, pool_name: str, query: AdoptableQuery) -> Sequence[Row[Any]]:
    """Placed runs with infrastructure whose claims that worker may take over. Locks nothing."""
    is_meant = await _is_left(db)
    if query.is_restarted:
        is_meant = or_(is_meant, claims.c.worker_name == query.worker_name)
    found = (
        runs.placed_runs()
        .join(claims, and_(claims.c.flow_run_id == flow_runs.c.id, claim_queries.is_live()))
        .outerjoin(workers, _holds_it())
        .where(claims.c.work_pool_id == _pool_id(pool_name), is_meant)
        .where(flow_runs.c.infrastructure_pid.is_not(None))
        .order_by(claims.c.expires_at, flow_runs.c.id)
    )
    return await db.rows(found.limit(query.limit))


async def adopt(db: Transaction, pool_name: str, adoption: Adoption, adopter: Adopter) -> int:
    """Give the run's claim to `adopter`; the new epoch.

    The run is locked first, so that of two adopters the second finds the claim of the first, and
    a sweep either has moved the run on before or finds a claim that is renewed. The claim passes
    while its slot stays taken. Raises `NotFound` for a run that is not the pool's, `Conflict` when
    there is no claim, another infrastructure, or a holder that is alive.
    """
    is_run = flow_runs.c.id == adoption.flow_run_id
    run = await db.row(select(flow_runs).where(is_run).with_for_update(key_share=True))
    claim = await db.row(
        select(claims, _mine_or_left(await _is_left(db), adopter.worker_name).label("may_pass"))
        .outerjoin(workers, _holds_it())
        .where(claims.c.flow_run_id == adoption.flow_run_id, claim_queries.is_live())
        .where(claims.c.work_pool_id == _pool_id(pool_name))
    )
    if run is None or claim is None:
        raise await _no_claim(db, pool_name, adoption.flow_run_id)
    if run.infrastructure_pid != adoption.infrastructure_id:
        raise Conflict("The run has another infrastructure than the one that was found.")
    if not claim.may_pass:
        raise Conflict(f"Worker {claim.worker_name or claim.holder} holds the run and is alive.")
    epoch: int = run.epoch + 1
    at = await db.now()
    lease = await _lease(db, claim.work_pool_id, adopter.worker_name)
    ended = update(claims).where(claims.c.id == claim.id)
    await db.execute(ended.values(ended_at=at, updated=at))
    taken = {
        **claim._mapping,
        "id": new_id(),
        "created": at,
        "updated": at,
        "epoch": epoch,
        "started_epoch": claim.started_epoch or claim.epoch,
        "holder": adopter.holder,
        "worker_name": adopter.worker_name,
        "lease_seconds": lease,
        "expires_at": at + timedelta(seconds=lease),
    }
    await db.execute(insert(claims).values({k: v for k, v in taken.items() if k in claims.c}))
    await db.execute(update(flow_runs).where(is_run).values(epoch=epoch, updated=at))
    return epoch


async def _no_claim(db: Transaction, pool_name: str, run_id: UUID) -> NotFound | Conflict:
    found = await db.row(runs.placed_runs().where(flow_runs.c.id == run_id))
    if found is None or found.work_pool_name != pool_name:
        return NotFound("Flow run not found")
    return Conflict(f"Nobody holds the run any more; it is {found.state_type}.")


def _pool_id(name: str) -> ColumnElement[UUID]:
    return select(work_pools.c.id).where(work_pools.c.name == name).scalar_subquery()


def _holds_it() -> ColumnElement[bool]:
    return and_(
        workers.c.work_pool_id == claims.c.work_pool_id, workers.c.name == claims.c.worker_name
    )


async def _is_left(db: Transaction) -> ColumnElement[bool]:
    """Whether nobody looks after a claim: its lease is over, or its worker's heartbeats stopped."""
    at = await db.now()
    is_silent = worker_queries.is_silent(db, at)
    return or_(claims.c.expires_at <= at, and_(workers.c.id.is_not(None), is_silent))


def _mine_or_left(is_left: ColumnElement[bool], worker_name: str) -> ColumnElement[bool]:
    return or_(is_left, claims.c.worker_name == literal(worker_name))


async def _lease(db: Transaction, pool_id: UUID, worker_name: str) -> float:
    is_worker = and_(workers.c.work_pool_id == pool_id, workers.c.name == worker_name)
    announced = select(workers.c.heartbeat_interval_seconds).where(is_worker)
    return lease_seconds(await db.scalar(announced))
