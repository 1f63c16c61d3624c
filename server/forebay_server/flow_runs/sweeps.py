"""What happens to runs because time has passed: they get late, or their cancelling ends."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy import select

from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay_server.db.bulk import Rows, insert_and_update
from forebay_server.db.engine import Transaction
from forebay_server.events.emit import flow_run_states_changed
from forebay_server.flow_runs import transitions
from forebay_server.flow_runs.bookkeeping import history_values, new_state, state_columns
from forebay_server.flow_runs.facts import Proposer
from forebay_server.flow_runs.rules import LATE
from forebay_server.flow_runs.tables import flow_run_states, flow_runs

LATE_AFTER = timedelta(seconds=15)
CANCELLING_FOR_AT_MOST = timedelta(seconds=300)
CLEANER = Proposer("cancellation")


async def mark_late(db: Transaction, limit: int) -> int:
    """Name up to `limit` runs Late that should have begun a while ago; how many.

    Source: Prefect 3.8.4 `MarkLateRuns`: only runs named Scheduled, which stay claimable.
    """
    at = await db.now()
    overdue = (
        select(flow_runs)
        .where(
            flow_runs.c.state_type == StateType.SCHEDULED,
            flow_runs.c.state_name == "Scheduled",
            flow_runs.c.next_scheduled_start_time <= at - LATE_AFTER,
        )
        .order_by(flow_runs.c.next_scheduled_start_time)
        .limit(limit)
        .with_for_update(skip_locked=True, key_share=True)
    )
    states, changes = [], []
    kept = ("expected_start_time", "start_time", "total_run_time_seconds")
    for run in await db.rows(overdue):
        details = StateDetails(scheduled_time=run.next_scheduled_start_time)
        late = StateCreate(type=StateType.SCHEDULED, name=LATE, state_details=details)
        state = new_state(run.id, late, at, previous=run.state_timestamp)
        states.append(state)
        # Every run has the same columns, so that they fit one statement.
        same = {name: run._mapping[name] for name in kept}
        changes.append({"id": run.id, **same, **state_columns(run, state)})
    if states:
        new = Rows(flow_run_states, [history_values(state) for state in states])
        await insert_and_update(db, new=[new], changed=Rows(flow_runs, changes))
        flow_run_states_changed(db, states)
    return len(states)


async def overdue_cancellations(db: Transaction, limit: int) -> list[UUID]:
    """Runs that have been CANCELLING for too long; nothing is locked."""
    at = await db.now()
    statement = select(flow_runs.c.id).where(
        flow_runs.c.state_type == StateType.CANCELLING,
        flow_runs.c.state_timestamp <= at - CANCELLING_FOR_AT_MOST,
    )
    return [row.id for row in await db.rows(statement.limit(limit))]


async def end_cancellation(db: Transaction, run_id: UUID) -> None:
    """Make a CANCELLING run CANCELLED; one that has moved on since stays as it is.

    Source: Prefect 3.8.4 `CancellationCleanup`.
    """
    chosen = select(flow_runs.c.id).where(
        flow_runs.c.id == run_id, flow_runs.c.state_type == StateType.CANCELLING
    )
    if await db.row(chosen.with_for_update(skip_locked=True, key_share=True)) is None:
        return
    seconds = CANCELLING_FOR_AT_MOST.total_seconds()
    message = f"Cancelling took longer than {seconds:.0f} seconds."
    state = StateCreate(type=StateType.CANCELLED, message=message)
    await transitions.propose(db, run_id, state, CLEANER)
