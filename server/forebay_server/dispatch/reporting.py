"""Taking in what a worker reports of many of its runs at once. Knows no HTTP.

Runs that are claimed move on together: their limits take no part, so only they and their claims
are locked. Whatever needs more, such as a run that lost its claim, is left to be proposed by
itself, in a transaction of its own and with the locks in their one order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, bindparam, select, update

from forebay.wire.states import State, StateCreate, StateType, Verdict
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.tables import claims
from forebay_server.db.bulk import Rows, insert_and_update
from forebay_server.db.engine import Transaction
from forebay_server.db.prepared import Prepared, is_one_of
from forebay_server.events.emit import flow_run_states_changed
from forebay_server.flow_runs import rules, transitions
from forebay_server.flow_runs.bookkeeping import history_values, new_state, state_columns
from forebay_server.flow_runs.facts import Accept, ClaimChange, Decision, Proposer, Reject
from forebay_server.flow_runs.tables import flow_run_states, flow_runs
from forebay_server.work_pools.notices import pool_changed
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues


@dataclass(frozen=True)
class Report:
    """A state that a run has come to, and who says so."""

    run_id: UUID
    state: StateCreate
    proposer: Proposer


@dataclass
class Taken:
    """What was decided at once; the `rest` is to be proposed run by run."""

    verdicts: dict[UUID, Verdict] = field(default_factory=dict)
    rest: list[Report] = field(default_factory=list)
    strangers: list[UUID] = field(default_factory=list)  # runs of no queue of this pool


async def take(
    db: Transaction, pool_name: str, worker_name: str, reports: Sequence[Report]
) -> Taken:
    """Decide about the reports of claimed runs and write what was decided, all together."""
    asked = {"pool_name": pool_name, "run_ids": sorted(report.run_id for report in reports)}
    claimed: set[UUID] = {row.id for row in await db.run(_lock_claimed(db.dialect), asked)}
    members = claimed
    if len(claimed) < len(reports):
        members = {row.id for row in (await db.execute(_members(db.dialect), asked)).all()}
    by_run: dict[UUID, Row[Any]] = {}
    if claimed:
        values = {"run_ids": sorted(claimed), "worker_name": worker_name}
        statement = transitions.facts_statement(db.dialect, is_many=True)
        by_run = {row.id: row for row in await db.run(statement, values)}
    taken = Taken(strangers=[r.run_id for r in reports if r.run_id not in members])
    entered: list[tuple[Row[Any], State, ClaimChange]] = []
    for report in reports:
        row = by_run.get(report.run_id)
        if row is None:
            if report.run_id in members:
                taken.rest.append(report)
            continue
        at = row.now or await db.now()
        facts = transitions.facts_of(row, at, report.proposer)
        decision = rules.decide(facts, report.state)
        if not _is_plain(row, decision):
            taken.rest.append(report)
            continue
        state = facts.run.state
        if isinstance(decision, Accept) and decision.state is not None:
            state = new_state(row.id, decision.state, at, previous=state.timestamp)
            entered.append((row, state, decision.claim))
        taken.verdicts[row.id] = transitions.verdict(decision, state)
    if entered:
        await _write(db, entered)
    return taken


def _is_plain(row: Row[Any], decision: Decision) -> bool:
    """Whether nothing but the run, its history and its claim changes."""
    if row.limit_id is not None or isinstance(decision, Reject):
        return False
    if not isinstance(decision, Accept) or decision.state is None:
        return True
    is_waiting = decision.state.type is StateType.SCHEDULED
    return decision.policy is None and decision.claim is not ClaimChange.TAKE and not is_waiting


async def _write(db: Transaction, entered: Sequence[tuple[Row[Any], State, ClaimChange]]) -> None:
    states = [state for _, state, _ in entered]
    await insert_and_update(
        db,
        new=[Rows(flow_run_states, [history_values(state) for state in states])],
        changed=Rows(flow_runs, [_columns(row, state) for row, state, _ in entered]),
    )
    released = [row for row, _, claim in entered if claim is ClaimChange.RELEASE]
    if released:
        at = max(state.timestamp for state in states)
        ids = sorted(row.id for row in released)
        await db.run(_release(db.dialect), {"run_ids": ids, "at": at})
        for pool_id in {row.pool_id for row in released}:
            pool_changed(db, pool_id)
    flow_run_states_changed(db, states)


def _columns(row: Row[Any], state: State) -> Mapping[str, Any]:
    # Every run has the same columns, so that they fit one statement.
    kept = ("expected_start_time", "start_time", "total_run_time_seconds", "run_count")
    return {
        "id": row.id,
        **{name: row._mapping[name] for name in kept},
        **state_columns(row, state),
    }


@cache
def _members(dialect: str) -> Select[Any]:
    """Which of the runs are on a queue of the pool."""
    return (
        select(flow_runs.c.id)
        .join(work_queues, flow_runs.c.work_queue_id == work_queues.c.id)
        .join(work_pools, work_queues.c.work_pool_id == work_pools.c.id)
        .where(
            work_pools.c.name == bindparam("pool_name"),
            is_one_of(flow_runs.c.id, "run_ids", dialect),
        )
    )


@cache
def _lock_claimed(dialect: str) -> Prepared:
    """Those of the runs with a live claim, locked with it, in the order of their ids."""
    claimed = _members(dialect).join(claims, claims.c.flow_run_id == flow_runs.c.id)
    claimed = claimed.where(claim_queries.is_live()).order_by(flow_runs.c.id)
    return Prepared(claimed.with_for_update(key_share=True, of=[flow_runs, claims]))


@cache
def _release(dialect: str) -> Prepared:
    return Prepared(
        update(claims)
        .where(is_one_of(claims.c.flow_run_id, "run_ids", dialect), claim_queries.is_live())
        .values(ended_at=bindparam("at"), updated=bindparam("at"))
    )
