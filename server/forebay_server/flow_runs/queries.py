"""Statements that create and read flow runs. Transitions between states are elsewhere."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from forebay.wire.flow_runs import CreatedBy, FlowRun, FlowRunPolicy
from forebay.wire.states import TERMINAL, State, StateCreate, StateDetails, StateType
from forebay_server.db.columns import now as process_now
from forebay_server.db.engine import Transaction
from forebay_server.flow_runs.bookkeeping import (
    NoCounters,
    new_state,
    state_columns,
    stored_details,
)
from forebay_server.flow_runs.names import random_name
from forebay_server.flow_runs.tables import (
    FlowRunRow,
    FlowRunStateRow,
    flow_run_states,
    flow_runs,
)
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues

SCHEDULED_NOW = StateCreate(type=StateType.SCHEDULED)


async def create(db: Transaction, run: FlowRunRow, state: StateCreate | None) -> FlowRunRow:
    """Store `run` in its first state (none: SCHEDULED now) and return it completed."""
    first = await _complete(db, run, state)
    await db.execute(insert(flow_runs).values(run.model_dump()))
    await db.execute(insert(flow_run_states).values(history_row(first).model_dump()))
    return run


async def create_once(
    db: Transaction, run: FlowRunRow, state: StateCreate | None
) -> tuple[FlowRunRow, bool]:
    """Store `run` unless its flow has one with its idempotency key; the run and whether it is new.

    The unique constraint decides, so that two requests at once make one run.
    """
    first = await _complete(db, run, state)
    if not await _insert_new(db, [run]):
        known = await db.row(
            select(flow_runs).where(
                flow_runs.c.flow_id == run.flow_id,
                flow_runs.c.idempotency_key == run.idempotency_key,
            )
        )
        assert known is not None  # what the insert conflicted with
        return FlowRunRow(**known._mapping), False
    await db.execute(insert(flow_run_states).values(history_row(first).model_dump()))
    return run, True


async def create_many(
    db: Transaction, runs: Sequence[tuple[FlowRunRow, StateCreate | None]]
) -> list[UUID]:
    """Store the runs whose idempotency keys are new, all at once; the ids of those stored."""
    firsts = {run.id: await _complete(db, run, state) for run, state in runs}
    if not runs:
        return []
    stored = await _insert_new(db, [run for run, _ in runs])
    if stored:
        rows = [history_row(firsts[id]).model_dump() for id in stored]
        await db.execute(insert(flow_run_states), rows)
    return stored


async def _complete(db: Transaction, run: FlowRunRow, state: StateCreate | None) -> State:
    """Fill in what follows from the run's first state, which is returned."""
    at = await db.now()
    first = new_state(run.id, state or SCHEDULED_NOW, at)
    run.name = run.name or random_name()
    run.labels = {**run.labels, **_own_labels(run)}
    run.created = at
    for column, value in state_columns(NoCounters(run.empirical_policy), first).items():
        setattr(run, column, value)
    return first


def _own_labels(run: FlowRunRow) -> dict[str, str]:
    labels = {"prefect.flow.id": str(run.flow_id)}
    if run.deployment_id is not None:
        labels["prefect.deployment.id"] = str(run.deployment_id)
    return labels


async def _insert_new(db: Transaction, runs: Sequence[FlowRunRow]) -> list[UUID]:
    """Insert the runs that conflict with nothing; their ids."""
    values = [run.model_dump() for run in runs]
    into = sqlite.insert if db.dialect == "sqlite" else postgresql.insert
    statement = into(flow_runs).values(values)
    statement = statement.on_conflict_do_nothing(
        index_elements=[flow_runs.c.flow_id, flow_runs.c.idempotency_key]
    )
    return [row.id for row in await db.rows(statement.returning(flow_runs.c.id))]


def history_row(state: State) -> FlowRunStateRow:
    """`state` as a line of its run's history."""
    run_id = state.state_details.flow_run_id
    assert run_id is not None  # filled in by `new_state`
    return FlowRunStateRow(
        id=state.id,
        created=state.timestamp,
        updated=state.timestamp,
        flow_run_id=run_id,
        timestamp=state.timestamp,
        type=str(state.type),
        name=state.name or state.type.capitalize(),
        message=state.message,
        data=state.data,
        state_details=stored_details(state.state_details),
    )


# ------------------------------------------------------------------------------------- reading


def placed_runs() -> Select[Any]:
    """Runs with the pool and the name of the queue that they are placed on."""
    return (
        select(
            flow_runs,
            work_pools.c.id.label("work_pool_id"),
            work_pools.c.name.label("work_pool_name"),
            work_queues.c.name.label("placed_queue_name"),
        )
        .outerjoin(work_queues, flow_runs.c.work_queue_id == work_queues.c.id)
        .outerjoin(work_pools, work_queues.c.work_pool_id == work_pools.c.id)
    )


async def read(db: Transaction, id: UUID) -> FlowRun | None:
    """One run, if it exists."""
    row = await db.row(placed_runs().where(flow_runs.c.id == id))
    return None if row is None else placed_to_wire(row)


def placed_to_wire(row: Row[Any]) -> FlowRun:
    """A row of `placed_runs` as the API answers it."""
    return to_wire(
        row,
        work_pool_id=row.work_pool_id,
        work_pool_name=row.work_pool_name,
        work_queue_name=row.placed_queue_name,
    )


def to_wire(
    row: FlowRunRow | Row[Any],
    *,
    work_pool_id: UUID | None = None,
    work_pool_name: str | None = None,
    work_queue_name: str | None = None,
    with_state: bool = True,
) -> FlowRun:
    """A run as the API answers it; pool and queue are as the caller found them.

    The two estimates are by this process's clock.
    """
    return FlowRun(
        id=row.id,
        created=row.created,
        updated=row.updated,
        name=row.name,
        flow_id=row.flow_id,
        state_id=row.state_id,
        deployment_id=row.deployment_id,
        deployment_version=row.deployment_version,
        work_queue_id=row.work_queue_id,
        work_queue_name=work_queue_name or row.work_queue_name,
        flow_version=row.flow_version,
        parameters=row.parameters,
        idempotency_key=row.idempotency_key,
        context=row.context,
        empirical_policy=FlowRunPolicy.model_validate(row.empirical_policy),
        tags=row.tags,
        labels=row.labels,
        parent_task_run_id=row.parent_task_run_id,
        state_type=StateType(row.state_type) if row.state_type else None,
        state_name=row.state_name,
        run_count=row.run_count,
        expected_start_time=row.expected_start_time,
        next_scheduled_start_time=row.next_scheduled_start_time,
        start_time=row.start_time,
        end_time=row.end_time,
        total_run_time=row.total_run_time_seconds,
        estimated_run_time=_estimated_run_time(row),
        estimated_start_time_delta=_estimated_delay(row),
        auto_scheduled=row.auto_scheduled,
        infrastructure_document_id=row.infrastructure_document_id,
        infrastructure_pid=row.infrastructure_pid,
        created_by=CreatedBy.model_validate(row.created_by) if row.created_by else None,
        work_pool_id=work_pool_id,
        work_pool_name=work_pool_name,
        state=current_state(row) if with_state else None,
        job_variables=row.job_variables,
    )


def current_state(row: FlowRunRow | Row[Any]) -> State | None:
    """The state that a run has now; None before its first one."""
    if row.state_id is None or row.state_type is None or row.state_timestamp is None:
        return None
    return State(
        id=row.state_id,
        type=StateType(row.state_type),
        name=row.state_name,
        timestamp=row.state_timestamp,
        message=row.state_message,
        data=row.state_data,
        state_details=StateDetails.model_validate(row.state_details),
    )


def _estimated_run_time(row: FlowRunRow | Row[Any]) -> float:
    """Seconds spent running until now."""
    total = float(row.total_run_time_seconds)
    if row.state_type == StateType.RUNNING and row.state_timestamp is not None:
        total += max(0.0, (process_now() - row.state_timestamp).total_seconds())
    return total


def _estimated_delay(row: FlowRunRow | Row[Any]) -> float:
    """Seconds between the time at which a run should have started and its start, or now."""
    if row.expected_start_time is None:
        return 0.0
    if row.start_time is None and row.state_type in TERMINAL:
        return 0.0
    started = row.start_time or process_now()
    return max(0.0, (started - row.expected_start_time).total_seconds())
