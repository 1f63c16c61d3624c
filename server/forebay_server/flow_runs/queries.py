"""Statements that create, read, change and delete flow runs; transitions are elsewhere."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, func, insert, select
from sqlalchemy import delete as sql_delete
from sqlalchemy import update as sql_update
from sqlalchemy.dialects import postgresql, sqlite

from forebay.wire.flow_runs import CreatedBy, FlowRun, FlowRunPolicy, FlowRunUpdate, Labels
from forebay.wire.states import HOLDING, TERMINAL, State, StateCreate, StateDetails, StateType
from forebay_server.artifacts import queries as artifacts
from forebay_server.claims.tables import claims
from forebay_server.db.columns import now as process_now
from forebay_server.db.engine import Transaction
from forebay_server.errors import BadRequest, Conflict, Invalid, NotFound
from forebay_server.events.emit import flow_run_states_changed
from forebay_server.flow_runs import transitions
from forebay_server.flow_runs.bookkeeping import (
    NoCounters,
    current_state,
    history_values,
    new_state,
    state_columns,
    stored_policy,
)
from forebay_server.flow_runs.facts import Proposer
from forebay_server.flow_runs.filters import FlowRunSort, RunCriteria
from forebay_server.flow_runs.names import random_name
from forebay_server.flow_runs.tables import FlowRunRow, flow_run_states, flow_runs
from forebay_server.logs.tables import logs
from forebay_server.work_pools.job_variables import check_known
from forebay_server.work_pools.notices import pool_changed, runs_placed
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues

SCHEDULED_NOW = StateCreate(type=StateType.SCHEDULED)
MISSING = "Flow run not found"
RUNS_PER_STATEMENT = 500  # PostgreSQL takes 32,767 values at once


async def create(db: Transaction, run: FlowRunRow, state: StateCreate | None) -> FlowRunRow:
    """Store `run` in its first state (none: SCHEDULED now) and return it completed.

    On a queue nothing is pending or running without a claim: such a first state is proposed
    once the run is scheduled, and the limits may refuse it.
    """
    first = await _complete(db, run, _stored_first(run, state))
    into = insert(flow_runs).values(run.model_dump())
    history = insert(flow_run_states).values(history_values(first))
    if db.dialect == "sqlite":
        await db.execute(into)
        await db.execute(history)
    else:
        await db.execute(into.add_cte(history.cte("history")))  # one journey instead of two
    flow_run_states_changed(db, [first])
    _tell_placed(db, [run])
    return await _after_first(db, run, state)


async def create_once(
    db: Transaction, run: FlowRunRow, state: StateCreate | None, *, refuses_reused: bool = False
) -> tuple[FlowRunRow, bool]:
    """Store `run` unless its flow has one with its idempotency key; the run and whether it is new.

    The unique constraint decides, so that two requests at once make one run. With
    `refuses_reused`, raises `Conflict` when the known run was asked for in other words.
    """
    first = await _complete(db, run, _stored_first(run, state))
    if not await _insert_new(db, [run]):
        known = await db.row(
            select(flow_runs).where(
                flow_runs.c.flow_id == run.flow_id,
                flow_runs.c.idempotency_key == run.idempotency_key,
            )
        )
        assert known is not None  # what the insert conflicted with
        if refuses_reused and known.request_digest not in (None, run.request_digest):
            raise Conflict(
                "This idempotency_key was given to another run; use a new one, or ask for that "
                "run in the same words.",
                existing_id=str(known.id),
            )
        return FlowRunRow(**known._mapping), False
    await db.execute(insert(flow_run_states).values(history_values(first)))
    flow_run_states_changed(db, [first])
    _tell_placed(db, [run])
    return await _after_first(db, run, state), True


async def create_many(
    db: Transaction, runs: Sequence[tuple[FlowRunRow, StateCreate | None]]
) -> list[UUID]:
    """Store the runs whose idempotency keys are new, all at once; the ids of those stored.

    First states that a claim belongs to (`HOLDING`) are not for this way of creating runs.
    """
    firsts = {run.id: await _complete(db, run, state) for run, state in runs}
    stored: list[UUID] = []
    for start in range(0, len(runs), RUNS_PER_STATEMENT):
        part = runs[start : start + RUNS_PER_STATEMENT]
        stored += await _insert_new(db, [run for run, _ in part])
    if stored:
        rows = [history_values(firsts[id]) for id in stored]
        await db.execute(insert(flow_run_states), rows)
        flow_run_states_changed(db, [firsts[id] for id in stored])
        new = set(stored)
        _tell_placed(db, [run for run, _ in runs if run.id in new])
    return stored


def _tell_placed(db: Transaction, runs: Sequence[FlowRunRow]) -> None:
    runs_placed(db, [(run.work_queue_id, run.next_scheduled_start_time) for run in runs])


def _stored_first(run: FlowRunRow, state: StateCreate | None) -> StateCreate:
    return SCHEDULED_NOW if state is None or _needs_claim(run, state) else state


def _needs_claim(run: FlowRunRow, state: StateCreate) -> bool:
    return state.type in HOLDING and run.work_queue_id is not None


async def _after_first(db: Transaction, run: FlowRunRow, state: StateCreate | None) -> FlowRunRow:
    """The run as it is once its creator's claim was proposed, where one was asked for."""
    if state is None or not _needs_claim(run, state):
        return run
    await transitions.propose(db, run.id, state, Proposer("creator"))
    stored = await db.row(select(flow_runs).where(flow_runs.c.id == run.id))
    assert stored is not None  # just inserted
    return FlowRunRow(**stored._mapping)


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


# ------------------------------------------------------------------------ changing and deleting


async def update(
    db: Transaction, id: UUID, body: FlowRunUpdate, *, refuses_unknown: bool = False
) -> None:
    """Change the fields that are set on `body`. Raises `NotFound`, `BadRequest`, `Invalid`.

    With `refuses_unknown` also for job variables that the template of its pool does not declare.
    """
    values = body.model_dump(exclude_unset=True)
    for required in ("name", "parameters", "empirical_policy", "tags"):
        if values.get(required, values) is None:
            raise Invalid(f"{required} must not be null.")
    if body.empirical_policy is not None:
        values["empirical_policy"] = stored_policy(body.empirical_policy)
    if "job_variables" in values:
        await _require_unstarted(db, id)
        if refuses_unknown:
            check_known(await _template(db, id), body.job_variables)
    result = await db.execute(
        sql_update(flow_runs).where(flow_runs.c.id == id).values(**values, updated=await db.now())
    )
    if result.rowcount == 0:
        raise NotFound(MISSING)


async def _require_unstarted(db: Transaction, id: UUID) -> None:
    chosen = select(flow_runs.c.state_type, flow_runs.c.deployment_id)
    run = await db.row(chosen.where(flow_runs.c.id == id).with_for_update(key_share=True))
    if run is None:
        raise NotFound(MISSING)
    if run.state_type != StateType.SCHEDULED:
        raise BadRequest(
            f"Job variables can be changed while a run is scheduled; this one is {run.state_type}."
        )
    if run.deployment_id is None:
        raise BadRequest("Job variables can be changed on runs of a deployment only.")


async def require_claim(db: Transaction, id: UUID, epoch: int) -> None:
    """Raise `Conflict` when that claim of the run is over; the run stays locked as it is."""
    await db.row(
        select(flow_runs.c.id).where(flow_runs.c.id == id).with_for_update(key_share=True)
    )
    live = select(claims.c.epoch).where(claims.c.flow_run_id == id, claims.c.ended_at.is_(None))
    if await db.scalar(live) != epoch:
        raise Conflict(f"Claim {epoch} of this run has ended; it is no longer yours.")


async def _template(db: Transaction, id: UUID) -> dict[str, Any]:
    chosen = (
        select(work_pools.c.base_job_template)
        .join(work_queues, work_queues.c.work_pool_id == work_pools.c.id)
        .join(flow_runs, flow_runs.c.work_queue_id == work_queues.c.id)
    )
    return await db.scalar(chosen.where(flow_runs.c.id == id)) or {}


async def add_labels(db: Transaction, id: UUID, labels: Labels) -> None:
    """Add `labels` to the run's; equal keys are replaced. Raises `NotFound`."""
    chosen = select(flow_runs.c.labels).where(flow_runs.c.id == id)
    run = await db.row(chosen.with_for_update(key_share=True))
    if run is None:
        raise NotFound(MISSING)
    merged = {**run.labels, **labels}
    change = sql_update(flow_runs).where(flow_runs.c.id == id)
    await db.execute(change.values(labels=merged, updated=await db.now()))


async def delete(db: Transaction, id: UUID) -> None:
    """Delete a run with its history, claim, logs and artifacts. Raises `NotFound`."""
    statement = sql_delete(flow_runs).where(flow_runs.c.id == id)
    pool_id = select(work_queues.c.work_pool_id).where(
        work_queues.c.id == flow_runs.c.work_queue_id
    )
    deleted = await db.row(
        statement.returning(flow_runs.c.id, pool_id.scalar_subquery().label("work_pool_id"))
    )
    if deleted is None:
        raise NotFound(MISSING)
    if deleted.work_pool_id is not None:
        pool_changed(db, deleted.work_pool_id)  # with the run its claim is gone, if it had one
    await db.execute(sql_delete(logs).where(logs.c.flow_run_id == id))
    await artifacts.delete(db, artifacts.is_of_run(id))


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


async def read(db: Transaction, id: UUID) -> FlowRun:
    """One run. Raises `NotFound`."""
    row = await db.row(placed_runs().where(flow_runs.c.id == id))
    if row is None:
        raise NotFound(MISSING)
    return placed_to_wire(row)


async def filter(
    db: Transaction, criteria: RunCriteria, sort: FlowRunSort, limit: int, offset: int
) -> list[FlowRun]:
    """Runs that fulfil all criteria, in a total order."""
    page = _seen(db, select(flow_runs.c.id).where(*criteria.conditions()))
    page = page.order_by(*sort.columns())
    page_ids = page.limit(limit).offset(offset).subquery("page")
    runs = placed_runs().join(page_ids, page_ids.c.id == flow_runs.c.id)
    return [placed_to_wire(row) for row in await db.rows(runs.order_by(*sort.columns()))]


async def count(db: Transaction, criteria: RunCriteria) -> int:
    """How many runs fulfil all criteria."""
    statement = select(func.count()).select_from(flow_runs).where(*criteria.conditions())
    return int(await db.scalar(_seen(db, statement)))


def _seen(db: Transaction, statement: Select[Any]) -> Select[Any]:
    """`statement`, narrowed to runs on the queues of the one pool that its caller may see."""
    if db.pool_id is None:
        return statement
    queues = select(work_queues.c.id).where(work_queues.c.work_pool_id == db.pool_id)
    return statement.where(flow_runs.c.work_queue_id.in_(queues))


async def history(db: Transaction, run_id: UUID) -> list[State]:
    """The states that a run went through, the oldest first."""
    states = select(flow_run_states).where(flow_run_states.c.flow_run_id == run_id)
    return [_to_state(row) for row in await db.rows(states.order_by(flow_run_states.c.timestamp))]


async def read_state(db: Transaction, id: UUID) -> State:
    """One state of some run's history. Raises `NotFound`."""
    row = await db.row(select(flow_run_states).where(flow_run_states.c.id == id))
    if row is None:
        raise NotFound("Flow run state not found")
    return _to_state(row)


def _to_state(row: Row[Any]) -> State:
    return State(
        id=row.id,
        type=StateType(row.type),
        name=row.name,
        timestamp=row.timestamp,
        message=row.message,
        data=row.data,
        state_details=StateDetails.model_validate(row.state_details),
    )


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
        estimated_run_time=estimated_run_time(row),
        estimated_start_time_delta=estimated_delay(row),
        auto_scheduled=row.auto_scheduled,
        infrastructure_document_id=row.infrastructure_document_id,
        infrastructure_pid=row.infrastructure_pid,
        created_by=CreatedBy.model_validate(row.created_by) if row.created_by else None,
        work_pool_id=work_pool_id,
        work_pool_name=work_pool_name,
        state=current_state(row) if with_state else None,
        job_variables=row.job_variables,
    )


def estimated_run_time(row: FlowRunRow | Row[Any]) -> float:
    """Seconds spent running until now, by this process's clock."""
    total = float(row.total_run_time_seconds)
    if row.state_type == StateType.RUNNING and row.state_timestamp is not None:
        total += max(0.0, (process_now() - row.state_timestamp).total_seconds())
    return total


def estimated_delay(row: FlowRunRow | Row[Any]) -> float:
    """Seconds between the time at which a run should have started and its start, or now."""
    if row.expected_start_time is None:
        return 0.0
    if row.start_time is None and row.state_type in TERMINAL:
        return 0.0
    started = row.start_time or process_now()
    return max(0.0, (started - row.expected_start_time).total_seconds())
