"""Claiming the next runs of a pool in one transaction. Knows no HTTP and no waiting."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Row

from forebay.wire.claims import ClaimedDeployment, ClaimedPool, ClaimedRun
from forebay.wire.states import State, StateCreate, StateDetails, StateType, VerdictStatus
from forebay_server.claims.rules import lease_seconds
from forebay_server.claims.tables import claims
from forebay_server.db.bulk import Rows, insert_and_update
from forebay_server.db.columns import now as process_now
from forebay_server.db.engine import Transaction
from forebay_server.dispatch import queries, rules
from forebay_server.dispatch.queries import Asked
from forebay_server.errors import NotFound
from forebay_server.events.emit import flow_run_states_changed
from forebay_server.flow_runs import polling, transitions
from forebay_server.flow_runs.bookkeeping import (
    current_state,
    history_values,
    new_state,
    state_columns,
)
from forebay_server.flow_runs.callers import claim_value
from forebay_server.flow_runs.facts import Accept, ClaimChange, Decision, Facts, Intake, Proposer
from forebay_server.flow_runs.queries import to_wire
from forebay_server.flow_runs.rules import decide
from forebay_server.flow_runs.tables import FlowRunRow, flow_run_states, flow_runs

MAX_ROUNDS = 5  # a run that its deployment's limit refuses makes room for another


@dataclass(frozen=True)
class Outcome:
    """What a try to claim found."""

    pool_id: UUID
    pool_updated: datetime
    now: datetime  # by the database's clock
    next_due: dict[UUID, datetime | None]  # of each queue asked for: its first run yet to come
    unmarked_queue_ids: Sequence[UUID]  # asked for, and not marked as polled lately
    runs: list[ClaimedRun] = field(default_factory=list)
    is_cut: bool = False  # whether there may be more for others
    pool: ClaimedPool | None = None  # where there are runs and the caller does not know it


@dataclass(frozen=True)
class Holder:
    """Who claims, and for how long without a heartbeat; null follows from their interval."""

    proposer: Proposer
    worker_name: str
    lease_seconds: float | None = None
    known_pool: datetime | None = None  # when the pool that it knows was changed last


async def claim(db: Transaction, asked: Asked, holder: Holder) -> Outcome:
    """Claim the first runs that may be claimed, by queue priority, time and id.

    Limits and pauses hold as for a proposed PENDING, and the rules of states are the same. An
    attempt that has claimed before gets those claims again. Raises `NotFound` for a pool or a
    queue that does not exist.
    """
    outcome = await _claim(db, asked, holder)
    if not outcome.runs or outcome.pool_updated == holder.known_pool:
        return outcome
    pool = await queries.read_pool(db, outcome.pool_id)
    return replace(outcome, pool=ClaimedPool.model_validate(pool))


async def _claim(db: Transaction, asked: Asked, holder: Holder) -> Outcome:
    found = await queries.lock_pool(db, asked)
    _require_all(asked, found)
    if found[0].is_repeat:
        rows = await queries.attempted_runs(db, asked, found[0].pool_id)
        return replace(
            _nothing(found), runs=[_claimed(row, row.epoch, {}, found[0].now) for row in rows]
        )
    runs: list[ClaimedRun] = []
    for _ in range(MAX_ROUNDS):
        room = asked.limit - len(runs)
        rows = await _grant(db, asked, found, room)
        taken = await _take(db, asked, holder, rows, found[0].heartbeat_interval_seconds)
        runs += taken
        if len(taken) == len(rows):
            break
        found = await queries.lock_pool(db, replace(asked, attempt=None))
    is_cut = len(runs) == asked.limit or len(taken) < len(rows)
    return replace(_nothing(found), runs=runs, is_cut=is_cut)


def _require_all(asked: Asked, found: Sequence[Row[Any]]) -> None:
    if not found:
        raise NotFound(f'Work pool "{asked.pool_name}" not found.')
    names = {row.name for row in found}
    for name in asked.queue_names:
        if name not in names:
            raise NotFound(f"Work pool queue '{asked.pool_name}/{name}' not found.")


def _nothing(found: Sequence[Row[Any]]) -> Outcome:
    pool, at = found[0], process_now()
    queues = [row for row in found if row.id is not None]
    return Outcome(
        pool_id=pool.pool_id,
        pool_updated=pool.pool_updated,
        now=pool.now,
        next_due={row.id: row.next_due for row in queues},
        unmarked_queue_ids=[row.id for row in queues if not polling.is_marked(row, at)],
    )


async def _grant(
    db: Transaction, asked: Asked, found: Sequence[Row[Any]], room: int
) -> list[Row[Any]]:
    """Locked runs that may be claimed without exceeding a limit."""
    chosen: list[Row[Any]] = []
    for batch in polling.batches([row for row in found if row.has_due]):
        left = room - len(chosen)
        rows = await queries.lock_runs(db, asked, batch, left)
        if not rows:
            continue
        limit = batch[0].pool_limit
        free = None if limit is None else limit - rows[0].pool_held - len(chosen)
        chosen += rules.granted(rows, left, free)
        if len(chosen) == room or (free is not None and free <= 0):
            break
    return chosen


async def _take(
    db: Transaction,
    asked: Asked,
    holder: Holder,
    rows: Sequence[Row[Any]],
    interval_seconds: float | None,
) -> list[ClaimedRun]:
    """Claim locked runs that were granted; those that are claimed, in their order."""
    details = StateDetails(transition_id=asked.attempt)
    pending = StateCreate(type=StateType.PENDING, state_details=details)
    lease = holder.lease_seconds or lease_seconds(interval_seconds)
    taken: dict[UUID, ClaimedRun] = {}
    plain: list[tuple[Row[Any], State, Facts]] = []
    for row in rows:
        facts = Facts(transitions.run_facts(row), row.now, None, Intake(), None, holder.proposer)
        accepted = _accepted_at_once(row, decide(facts, pending))
        if accepted is not None:
            state = new_state(row.id, accepted, row.now, row.state_timestamp)
            plain.append((row, state, facts))
            continue
        proposed = await transitions.propose(
            db, row.id, pending, holder.proposer, worker_name=holder.worker_name, lease=lease
        )
        verdict = proposed.verdict
        if verdict.status is VerdictStatus.ACCEPT and verdict.state is not None:
            taken[row.id] = _claimed(row, row.epoch + 1, _changes(row, verdict.state), row.now)
    if plain:
        taken |= await _write(db, plain, holder.worker_name, lease)
    return [taken[row.id] for row in rows if row.id in taken]


def _accepted_at_once(row: Row[Any], decision: Decision) -> StateCreate | None:
    """The state that the run enters, unless a rule objects or its deployment has a limit.

    That limit is locked and counted for one run at a time, so such a run is proposed by itself.
    """
    is_limited = row.deployment_global_concurrency_limit_id_ is not None
    if is_limited or not isinstance(decision, Accept) or decision.policy is not None:
        return None
    return decision.state if decision.claim is ClaimChange.TAKE else None


async def _write(
    db: Transaction,
    plain: Sequence[tuple[Row[Any], State, Facts]],
    worker_name: str,
    lease: float,
) -> dict[UUID, ClaimedRun]:
    """Write states with their claims, histories and runs, all together."""
    changed = {row.id: _changes(row, state) for row, state, _ in plain}
    new_claims = [
        transitions.claim_values(row, state, facts, worker_name=worker_name, lease=lease)
        for row, state, facts in plain
    ]
    states = [state for _, state, _ in plain]
    await insert_and_update(
        db,
        new=[
            Rows(claims, new_claims),
            Rows(flow_run_states, [history_values(state) for state in states]),
        ],
        changed=Rows(flow_runs, [{"id": id, **columns} for id, columns in changed.items()]),
    )
    flow_run_states_changed(db, states)
    return {row.id: _claimed(row, row.epoch + 1, changed[row.id], row.now) for row, _, _ in plain}


def _changes(row: Row[Any], state: State) -> dict[str, Any]:
    # Every run has the same columns, so that they fit one statement.
    columns = {"expected_start_time": row.expected_start_time, **state_columns(row, state)}
    return {**columns, "epoch": row.epoch + 1, "infrastructure_pid": None}


def _claimed(row: Row[Any], epoch: int, changes: dict[str, Any], now: datetime) -> ClaimedRun:
    """A row as the answer shows it after `changes`."""
    # Not a row object, which costs more to make than everything else here.
    stored = cast(FlowRunRow, SimpleNamespace(**{**row._mapping, **changes}))
    deployment = None
    if row.deployment_id_ is not None:
        deployment = ClaimedDeployment(
            id=row.deployment_id_,
            name=row.deployment_name_,
            job_variables=row.deployment_job_variables_,
            path=row.deployment_path_,
            entrypoint=row.deployment_entrypoint_,
            pull_steps=row.deployment_pull_steps_,
        )
    assert current_state(stored) is not None  # a claimed run is PENDING
    # An attempt that is repeated finds the run PENDING, and its time where it was expected.
    due = row.next_scheduled_start_time or row.expected_start_time
    return ClaimedRun(
        flow_run=to_wire(stored, work_pool_id=row.pool_id, work_queue_name=row.queue_name),
        claim=claim_value(row.id, epoch),
        deployment=deployment,
        due_in_seconds=max(0.0, (due - now).total_seconds()) if due else 0.0,
    )
