"""Proposing a state: one transaction that locks, reads the facts, decides and writes."""

import logging
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, case, func, null, select

from forebay.wire.flow_runs import FlowRunPolicy
from forebay.wire.states import (
    HOLDING,
    AbortDetails,
    AcceptDetails,
    RejectDetails,
    State,
    StateCreate,
    StateType,
    Verdict,
    VerdictStatus,
    WaitDetails,
)
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.rules import lease_seconds
from forebay_server.claims.tables import claims
from forebay_server.db import together
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Transaction
from forebay_server.db.prepared import Prepared, is_one_of
from forebay_server.db.together import Change, inserted, updated
from forebay_server.errors import NotFound
from forebay_server.events.emit import flow_run_states_changed
from forebay_server.flow_runs import deployment_slots, rules
from forebay_server.flow_runs.bookkeeping import (
    current_state,
    history_values,
    new_state,
    state_columns,
    stored_policy,
)
from forebay_server.flow_runs.facts import (
    Abort,
    Accept,
    Claim,
    ClaimChange,
    Decision,
    DeploymentSlots,
    Facts,
    Intake,
    Proposer,
    Reject,
    Run,
    Wait,
)
from forebay_server.flow_runs.tables import flow_run_states, flow_runs
from forebay_server.work_pools.notices import pool_changed, run_placed
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues
from forebay_server.workers.tables import workers

logger = logging.getLogger(__name__)

DECIDING = (  # columns of a run that a decision or what it writes rests on; not the large ones
    "id",
    "deployment_id",
    "work_queue_id",
    "empirical_policy",
    "parent_task_run_id",
    "infrastructure_pid",
    "state_id",
    "state_type",
    "state_name",
    "state_timestamp",
    "state_message",
    "state_data",
    "state_details",
    "run_count",
    "expected_start_time",
    "start_time",
    "total_run_time_seconds",
    "epoch",
)
BACKOFF_SECONDS = (8.0, 12.0)  # of a run that found no slot: 10, spread out


@dataclass(frozen=True)
class Outcome:
    """What came of a proposal."""

    verdict: Verdict
    is_written: bool  # whether the run has a new state
    epoch: int | None  # of the run's live claim; told to nobody whose proposal was refused


async def propose(
    db: Transaction,
    run_id: UUID,
    proposed: StateCreate,
    proposer: Proposer,
    *,
    worker_name: str | None = None,
    lease: float | None = None,
    is_forced: bool = False,
) -> Outcome:
    """Decide about `proposed` and write what was decided, with claim and history.

    `worker_name` is whose heartbeats will renew a claim that is taken now; its lease in seconds
    follows from their interval unless given. Raises `NotFound`.
    """
    await _lock(db, run_id, proposed)
    found = await db.run(
        facts_statement(db.dialect), {"run_id": run_id, "worker_name": worker_name}
    )
    if not found:
        raise NotFound("Flow run not found")
    row = found[0]
    at = row.now or await db.now()
    deployment, limit = await deployment_slots.read(db, row, proposed, at)
    facts = facts_of(row, at, proposer, deployment, is_forced=is_forced)
    decision = rules.decide(facts, proposed)
    epoch = facts.claim.epoch if facts.claim else None
    state = facts.run.state
    is_written = False
    if isinstance(decision, Accept | Reject) and decision.state is not None:
        state = new_state(run_id, decision.state, at, previous=facts.run.state.timestamp)
        if decision.slot is ClaimChange.TAKE and limit is not None:
            await deployment_slots.take(db, limit, row, state)
        lease = lease or lease_seconds(row.heartbeat_interval_seconds)
        epoch = await _write(db, row, facts, decision, state, worker_name, lease)
        is_written = True
    is_accepted = isinstance(decision, Accept)
    return Outcome(verdict(decision, state), is_written, epoch if is_accepted else None)


def verdict(decision: Decision, state: State | None) -> Verdict:
    """`decision` as the API answers it; `state` is the run's, now, if there is a run."""
    match decision:
        case Accept():
            return Verdict(state=state, status=VerdictStatus.ACCEPT, details=AcceptDetails())
        case Reject(reason=reason):
            details = RejectDetails(reason=reason)
            return Verdict(state=state, status=VerdictStatus.REJECT, details=details)
        case Wait(seconds=seconds, reason=reason):
            wait = WaitDetails(delay_seconds=seconds, reason=reason)
            return Verdict(state=state, status=VerdictStatus.WAIT, details=wait)
        case Abort(reason=reason):
            abort = AbortDetails(reason=reason)
            return Verdict(state=state, status=VerdictStatus.ABORT, details=abort)


# ------------------------------------------------------------------------------------- locking


async def _lock(db: Transaction, run_id: UUID, proposed: StateCreate) -> None:
    """Hold whatever the decision rests on; on SQLite the one writer holds everything.

    The facts are read by a statement of their own: one that waited for a lock still sees the
    claims as they were when it began to wait.
    """
    if db.dialect == "sqlite":
        return
    for statement in _locks(proposed):
        if await db.run(statement, {"run_id": run_id}):
            return


def _locks(proposed: StateCreate) -> Iterator[Prepared]:
    """Statements to try until one finds the run."""
    may_claim = proposed.type in HOLDING
    is_first_claim = proposed.type is StateType.PENDING and proposed.name in (None, "Pending")
    if may_claim and not is_first_claim:
        yield _lock_claimed()
    if may_claim:
        yield _lock_placed()
    yield _lock_run()


@cache
def _lock_run() -> Prepared:
    run = select(flow_runs.c.id).where(flow_runs.c.id == bindparam("run_id"))
    return Prepared(run.with_for_update(key_share=True))


@cache
def _lock_claimed() -> Prepared:
    """A run that has its claim: the limits take no part, so pool and queue stay free.

    The claim is locked too: were it ended while this waits, the run would be found claimed.
    """
    claimed = select(flow_runs.c.id).join(claims, claims.c.flow_run_id == flow_runs.c.id)
    claimed = claimed.where(flow_runs.c.id == bindparam("run_id"), claim_queries.is_live())
    return Prepared(claimed.with_for_update(key_share=True, of=[flow_runs, claims]))


@cache
def _lock_placed() -> Prepared:
    """Pool, queue, run: PostgreSQL locks in the order of the `OF` list."""
    placed = (
        select(flow_runs.c.id)
        .join(work_queues, flow_runs.c.work_queue_id == work_queues.c.id)
        .join(work_pools, work_queues.c.work_pool_id == work_pools.c.id)
        .where(flow_runs.c.id == bindparam("run_id"))
    )
    return Prepared(
        placed.with_for_update(key_share=True, of=[work_pools, work_queues, flow_runs])
    )


# --------------------------------------------------------------------------------------- facts


@cache
def facts_statement(dialect: str, *, is_many: bool = False) -> Prepared:
    """The run with its claim, its pool and queue, their free slots, and the time.

    It takes `run_id`, with `is_many` the list `run_ids`, and `worker_name`.
    """
    is_asked = flow_runs.c.id == bindparam("run_id")
    if is_many:
        is_asked = is_one_of(flow_runs.c.id, "run_ids", dialect)
    is_unclaimed = claims.c.id.is_(None)
    pool_limit, queue_limit = work_pools.c.concurrency_limit, work_queues.c.concurrency_limit
    pool_free = pool_limit - claim_queries.held_in_pool(work_pools.c.id)
    queue_free = queue_limit - claim_queries.held_in_queue(work_queues.c.id)
    return Prepared(
        select(
            *(flow_runs.c[name] for name in DECIDING),
            work_pools.c.id.label("pool_id"),
            (work_pools.c.is_paused | work_queues.c.is_paused).label("is_paused"),
            # Counting is for those who may need it: without a limit or with a claim, nobody does.
            case((and_(pool_limit.is_not(None), is_unclaimed), pool_free)).label("pool_free"),
            case((and_(queue_limit.is_not(None), is_unclaimed), queue_free)).label("queue_free"),
            claims.c.holder.label("claim_holder"),
            claims.c.epoch.label("claim_epoch"),
            claims.c.started_epoch,
            workers.c.heartbeat_interval_seconds,
            *deployment_slots.columns,
            (null() if dialect == "sqlite" else func.clock_timestamp()).label("now"),
        )
        .outerjoin(work_queues, flow_runs.c.work_queue_id == work_queues.c.id)
        .outerjoin(work_pools, work_queues.c.work_pool_id == work_pools.c.id)
        .outerjoin(
            deployment_slots.deployments,
            deployment_slots.deployments.c.id == flow_runs.c.deployment_id,
        )
        .outerjoin(claims, and_(claims.c.flow_run_id == flow_runs.c.id, claim_queries.is_live()))
        .outerjoin(
            workers,
            and_(
                workers.c.work_pool_id == work_pools.c.id,
                workers.c.name == bindparam("worker_name"),
            ),
        )
        .where(is_asked)
    )


def facts_of(
    row: Row[Any],
    at: datetime,
    proposer: Proposer,
    deployment: DeploymentSlots | None = None,
    *,
    is_forced: bool = False,
) -> Facts:
    """A row of `facts_statement` as the rules see it."""
    intake = None
    if row.pool_id is not None:
        intake = Intake(row.is_paused, row.pool_free, row.queue_free)
    return Facts(
        run=run_facts(row),
        now=at,
        claim=_claim(row),
        intake=intake,
        deployment=deployment,
        proposer=proposer,
        is_forced=is_forced,
        backoff_seconds=random.uniform(*BACKOFF_SECONDS),
    )


def _claim(row: Row[Any]) -> Claim | None:
    if row.claim_epoch is None:
        return None
    return Claim(row.claim_holder, row.claim_epoch, row.started_epoch)


def run_facts(row: Row[Any]) -> Run:
    """What of a stored run takes part in decisions."""
    state = current_state(row)
    assert state is not None  # every run is stored with its first state
    return Run(
        state=state,
        run_count=row.run_count,
        policy=FlowRunPolicy.model_validate(row.empirical_policy),
        has_deployment=row.deployment_id is not None,
        has_infrastructure=row.infrastructure_pid is not None,
        is_subflow=row.parent_task_run_id is not None,
    )


# ------------------------------------------------------------------------------------- writing


async def _write(
    db: Transaction,
    row: Row[Any],
    facts: Facts,
    decision: Accept | Reject,
    state: State,
    worker_name: str | None,
    lease: float,
) -> int | None:
    """Write `state` with its claim and its line of history; the epoch of the live claim."""
    columns = state_columns(row, state)
    if decision.policy is not None:
        columns["empirical_policy"] = stored_policy(decision.policy)
    epoch = facts.claim.epoch if facts.claim else None
    changes: list[Change] = []
    if decision.claim is ClaimChange.TAKE:
        epoch = row.epoch + 1
        columns["epoch"] = epoch
        if state.type is StateType.PENDING:
            columns["infrastructure_pid"] = None  # what an earlier claim started is not its own
        claim = claim_values(row, state, facts, worker_name=worker_name, lease=lease)
        changes.append(inserted(claims, claim))
        if claim["is_forced"]:
            logger.warning(
                "a forced transition exceeded a concurrency limit",
                extra={"run_id": str(row.id), "holder": facts.proposer.holder},
            )
    elif decision.claim is ClaimChange.RELEASE:
        epoch = None
        changes.append(claim_queries.release(row.id, state.timestamp))
    if decision.slot is ClaimChange.RELEASE:
        changes.append(deployment_slots.release(row.id))
    changes.append(inserted(flow_run_states, history_values(state)))
    changes.append(updated(flow_runs, columns, id=row.id))
    await together.write(db, changes)
    flow_run_states_changed(db, [state])
    _tell_work(db, row, decision.claim, state)
    return epoch


def claim_values(
    row: Row[Any], state: State, facts: Facts, *, worker_name: str | None, lease: float
) -> dict[str, Any]:
    """The claim that entering `state` takes, as a row; `row` names the run's pool and queue."""
    return {
        "id": new_id(),
        "created": state.timestamp,
        "updated": state.timestamp,
        "flow_run_id": row.id,
        "work_pool_id": row.pool_id,
        "work_queue_id": row.work_queue_id,
        "epoch": row.epoch + 1,
        "holder": facts.proposer.holder,
        "worker_name": worker_name,
        "lease_seconds": lease,
        "expires_at": facts.now + timedelta(seconds=lease),
        "extensions": 0,
        "is_forced": _exceeds_limit(facts),
    }


def _tell_work(db: Transaction, row: Row[Any], claim: ClaimChange, state: State) -> None:
    """Tell who waits for work: of a slot that is free again, and of a run that can be claimed."""
    if row.pool_id is None:
        return
    if claim is ClaimChange.RELEASE:
        pool_changed(db, row.pool_id)
    elif state.type is StateType.SCHEDULED:
        run_placed(db, row.pool_id, row.work_queue_id, state.state_details.scheduled_time)


def _exceeds_limit(facts: Facts) -> bool:
    """Whether a claim that is taken now has no free slot, which only force allows."""
    return facts.intake is not None and not facts.intake.has_slot
