"""Every statement about task runs."""

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, func, select

from forebay.wire.states import State, StateCreate, StateType
from forebay.wire.task_runs import TaskRun, TaskRunCreate, TaskRunPolicy
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import NotFound
from forebay_server.flow_runs.bookkeeping import (
    NoCounters,
    current_state,
    new_state,
    state_columns,
)
from forebay_server.flow_runs.facts import Accept, Reject
from forebay_server.flow_runs.names import random_name
from forebay_server.flow_runs.queries import estimated_delay, estimated_run_time
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flow_runs.transitions import Outcome, verdict
from forebay_server.logs.tables import logs
from forebay_server.task_runs import rules
from forebay_server.task_runs.criteria import TaskRunCriteria
from forebay_server.task_runs.filters import TaskRunSort
from forebay_server.task_runs.rules import TaskFacts
from forebay_server.task_runs.shown import shown_task_runs, source
from forebay_server.task_runs.tables import TaskRunRow, task_runs

PENDING = StateCreate(type=StateType.PENDING)


async def create(db: Transaction, body: TaskRunCreate) -> tuple[TaskRun, bool]:
    """The task run and whether it is new: a call that is known by its keys is not made again.

    The run that it names must exist: a foreign key sees to that.
    """
    at = await db.now()
    given = body.model_dump(exclude={"id", "state", "name", "empirical_policy", "task_inputs"})
    row = TaskRunRow(
        **{**given, "labels": body.labels or {}},
        id=body.id or new_id(),
        name=body.name or random_name(),
        empirical_policy=body.empirical_policy.model_dump(mode="json", exclude_defaults=True),
        task_inputs=body.model_dump(mode="json", include={"task_inputs"})["task_inputs"],
        created=at,
        updated=at,
    )
    first = _state(row, new_state(row.flow_run_id, body.state or PENDING, at))
    for column, value in state_columns(NoCounters(row.empirical_policy), first).items():
        setattr(row, column, value)
    is_new = await insert_new(db, task_runs, row.model_dump()) == 1
    is_meant = task_runs.c.id == row.id
    if not is_new and body.flow_run_id is not None:
        is_known = sa.and_(
            task_runs.c.flow_run_id == body.flow_run_id,
            task_runs.c.task_key == body.task_key,
            task_runs.c.dynamic_key == body.dynamic_key,
        )
        is_meant = sa.or_(is_known, is_meant)
    return to_wire(_found(await db.row(shown_task_runs().where(is_meant)))), is_new


async def read(db: Transaction, id: UUID) -> TaskRun:
    """One task run. Raises `NotFound`."""
    return to_wire(_found(await db.row(shown_task_runs().where(task_runs.c.id == id))))


async def filter(
    db: Transaction, criteria: TaskRunCriteria, sort: TaskRunSort, limit: int, offset: int
) -> list[TaskRun]:
    """Task runs that fulfil all criteria, in a total order."""
    statement = shown_task_runs().where(*criteria.conditions()).order_by(*sort.columns())
    return [to_wire(row) for row in await db.rows(statement.limit(limit).offset(offset))]


async def count(db: Transaction, criteria: TaskRunCriteria) -> int:
    """How many task runs fulfil all criteria."""
    statement = select(func.count()).select_from(source).where(*criteria.conditions())
    return int(await db.scalar(statement))


async def rename(db: Transaction, id: UUID, name: str) -> None:
    """Give a task run another name. Raises `NotFound`."""
    statement = sa.update(task_runs).where(task_runs.c.id == id)
    if not (await db.execute(statement.values(name=name, updated=await db.now()))).rowcount:
        raise NotFound("Task run not found")


async def delete(db: Transaction, id: UUID) -> None:
    """Delete a task run with its logs. Raises `NotFound`."""
    if not (await db.execute(sa.delete(task_runs).where(task_runs.c.id == id))).rowcount:
        raise NotFound("Task run not found")
    await db.execute(sa.delete(logs).where(logs.c.task_run_id == id))


async def propose(db: Transaction, id: UUID, proposed: StateCreate, *, is_forced: bool) -> Outcome:
    """Decide about `proposed` and write what was decided. Raises `NotFound`."""
    await db.execute(select(task_runs.c.id).where(task_runs.c.id == id).with_for_update())
    row = _found(await db.row(shown_task_runs().where(task_runs.c.id == id)))
    flow_run = await db.row(select(flow_runs).where(flow_runs.c.id == row.flow_run_id))
    at = await db.now()
    state = _current(row)
    count = 0 if flow_run is None else flow_run.run_count
    facts = TaskFacts(
        state=state,
        now=at,
        run_count=row.run_count,
        policy=TaskRunPolicy.model_validate(row.empirical_policy),
        flow_state=None if flow_run is None else current_state(flow_run),
        is_again=row.flow_run_run_count < count,
    )
    decision = rules.decide(facts, proposed, is_forced=is_forced)
    is_written = isinstance(decision, Accept | Reject) and decision.state is not None
    if isinstance(decision, Accept | Reject) and decision.state is not None:
        state = _state(row, new_state(row.flow_run_id, decision.state, at, state.timestamp))
        columns = state_columns(row, state)
        if state.type is StateType.RUNNING:
            columns["flow_run_run_count"] = count
        await db.execute(sa.update(task_runs).where(task_runs.c.id == id).values(**columns))
    return Outcome(verdict(decision, state), is_written, epoch=None)


def _found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise NotFound("Task run not found")
    return row


def _state(row: TaskRunRow | Row[Any], state: State, **details: Any) -> State:
    """`state`, which tells what it is a state of."""
    whole = {"flow_run_id": row.flow_run_id, "task_run_id": row.id, **details}
    changed = state.state_details.model_copy(update=whole)
    return state.model_copy(update={"state_details": changed})


def _current(row: Row[Any]) -> State:
    state = current_state(row)
    assert state is not None  # every task run is stored with its first state
    if row.child_flow_run_id is None:
        return _state(row, state)
    return _state(row, state, child_flow_run_id=row.child_flow_run_id)


def to_wire(row: Row[Any]) -> TaskRun:
    """A row of `shown_task_runs` as the API answers it."""
    computed = {
        "state": _current(row),
        "total_run_time": row.total_run_time_seconds,
        "estimated_run_time": estimated_run_time(row),
        "estimated_start_time_delta": estimated_delay(row),
    }
    return TaskRun.model_validate({**row._mapping, **computed})
