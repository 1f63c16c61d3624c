"""What becomes of a run whose worker is lost: its lease ran out, or it never came back."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, update

from forebay.wire.states import StateCreate, StateType
from forebay.wire.work_pools import OnLost
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Transaction
from forebay_server.flow_runs import transitions
from forebay_server.flow_runs.facts import Proposer
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools.tables import work_pools

RESCUER = Proposer("rescuer")
CANCELLING_GRACE = timedelta(seconds=60)  # for infrastructure that may still be going away


@dataclass(frozen=True)
class Lost:
    """A run whose claim has expired."""

    state_type: StateType
    has_infrastructure: bool
    rescue_count: int
    on_lost: OnLost  # of its pool
    max_rescues: int
    expired_for: timedelta
    silence: str  # who has been silent for how long, for people


def fate(lost: Lost) -> StateCreate | None:
    """The state that a lost run gets; None while it is too early to say."""
    if lost.state_type is StateType.CANCELLING:
        if not lost.has_infrastructure:
            return StateCreate(type=StateType.CANCELLED, message=lost.silence)
        if lost.expired_for < CANCELLING_GRACE:
            return None
        return StateCreate(type=StateType.CRASHED, message=lost.silence)
    never_started = lost.state_type is StateType.PENDING and not lost.has_infrastructure
    may_reschedule = lost.on_lost == OnLost.RESCHEDULE and lost.rescue_count < lost.max_rescues
    if never_started or may_reschedule:
        return StateCreate(type=StateType.SCHEDULED, message=lost.silence)
    return StateCreate(type=StateType.CRASHED, message=lost.silence)


async def rescue(db: Transaction, claim_id: UUID, run_id: UUID) -> bool:
    """Move the run of an expired claim on and end the claim; whether there was need.

    A run that somebody else works on is left to them: the next sweep looks again.
    """
    run = await db.row(
        select(flow_runs)
        .where(flow_runs.c.id == run_id)
        .with_for_update(skip_locked=True, key_share=True)
    )
    if run is None:
        return False
    at = await db.now()
    claim = await db.row(
        select(claims, work_pools.c.on_lost, work_pools.c.max_rescues)
        .outerjoin(work_pools, work_pools.c.id == claims.c.work_pool_id)
        .where(claims.c.id == claim_id, claim_queries.is_live(), claims.c.expires_at <= at)
    )
    if claim is None:
        return False
    lost = Lost(
        state_type=StateType(run.state_type),
        has_infrastructure=run.infrastructure_pid is not None,
        rescue_count=run.rescue_count,
        on_lost=OnLost(claim.on_lost or OnLost.CRASH),
        max_rescues=claim.max_rescues or 0,
        expired_for=at - claim.expires_at,
        silence=_silence(claim, at),
    )
    state = fate(lost)
    if state is None:
        return False
    # Only a forced transition leaves CANCELLING for CRASHED.
    is_forced = lost.state_type is StateType.CANCELLING
    await transitions.propose(db, run_id, state, RESCUER, is_forced=is_forced)
    if state.type is StateType.SCHEDULED:
        change = update(flow_runs).where(flow_runs.c.id == run_id)
        await db.execute(change.values(rescue_count=run.rescue_count + 1, infrastructure_pid=None))
    return True


def _silence(claim: Row[Any], at: datetime) -> str:
    seconds = (at - claim.expires_at).total_seconds() + claim.lease_seconds
    holder = claim.worker_name or claim.holder
    return f"Worker {holder} was lost: no sign of it for {seconds:.0f} seconds."
