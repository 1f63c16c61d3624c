"""Deletes runs that ended long ago, with all that belongs to them, a few at a time."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, delete, select

from forebay_server.artifacts import queries as artifacts
from forebay_server.db.engine import Transaction
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.logs.tables import logs
from forebay_server.task_runs.tables import task_runs

RUNS_AT_ONCE = 100  # in one transaction, so that others do not wait for long
LINES_AT_ONCE = 5_000  # of their logs: a single run may have millions


@dataclass(frozen=True)
class Deleted:
    """What one step deleted."""

    runs: int = 0
    lines: int = 0
    is_last: bool = True  # whether nothing more is old enough


async def delete_ended(db: Transaction, before: datetime) -> Deleted:
    """Delete the runs that ended first, all before `before`, with what belongs to them.

    That is their states, claims, inputs, task runs, artifacts and lines. A run that a task of
    another called goes when that one is gone. Of runs with many lines some lines go first; runs
    that somebody else has locked are left for the next time.
    """
    ids = [row.id for row in await db.rows(oldest(before))]
    if not ids:
        return await _delete_lines_of_none(db, before)
    lines = await _delete_lines(db, select(logs.c.id).where(logs.c.flow_run_id.in_(ids)))
    if lines == LINES_AT_ONCE:
        return Deleted(lines=lines, is_last=False)
    await artifacts.delete(db, artifacts.is_of_runs(ids))
    await db.execute(delete(flow_runs).where(flow_runs.c.id.in_(ids)))  # and what refers to them
    return Deleted(len(ids), lines, is_last=False)


def oldest(before: datetime) -> Select[tuple[UUID]]:
    """The statement that locks the runs which ended first, as many as are deleted at once."""
    # Not by EXISTS, for which PostgreSQL may read all tasks at once.
    caller = select(task_runs.c.id).where(task_runs.c.id == flow_runs.c.parent_task_run_id)
    return (
        select(flow_runs.c.id)
        .where(flow_runs.c.end_time < before, caller.scalar_subquery().is_(None))
        .order_by(flow_runs.c.end_time)
        .limit(RUNS_AT_ONCE)
        .with_for_update(skip_locked=True)
    )


async def _delete_lines_of_none(db: Transaction, before: datetime) -> Deleted:
    """Lines that name no run, as workers write them."""
    is_old = (logs.c.flow_run_id.is_(None), logs.c.timestamp < before)
    lines = await _delete_lines(db, select(logs.c.id).where(*is_old).order_by(logs.c.timestamp))
    return Deleted(lines=lines, is_last=lines < LINES_AT_ONCE)


async def _delete_lines(db: Transaction, chosen: Select[tuple[UUID]]) -> int:
    some = delete(logs).where(logs.c.id.in_(chosen.limit(LINES_AT_ONCE)))
    return (await db.execute(some)).rowcount
