"""Task runs as they are read: one that stands for a subflow has the state of that subflow.

Prefect 3.8.4 copies each state of a subflow to its task run; read where it is, it costs the
transitions nothing and cannot be out of date.
"""

from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, case, select

from forebay_server.flow_runs.tables import flow_runs
from forebay_server.task_runs.tables import task_runs

child = flow_runs.alias("child")
_candidates = flow_runs.alias("candidates")
_latest = (
    select(_candidates.c.id)
    .where(_candidates.c.parent_task_run_id == task_runs.c.id)
    .order_by(_candidates.c.id.desc())
    .limit(1)
    .correlate(task_runs)
    .scalar_subquery()
)
_OF_CHILD = (
    "state_id",
    "state_type",
    "state_name",
    "state_timestamp",
    "state_message",
    "state_data",
    "state_details",
    "run_count",
    "expected_start_time",
    "next_scheduled_start_time",
    "start_time",
    "end_time",
    "total_run_time_seconds",
)

# What statements about task runs select from.
source: FromClause = task_runs.outerjoin(child, child.c.id == _latest)


def shown(name: str) -> ColumnElement[Any]:
    """A column of task runs as it is read."""
    column: ColumnElement[Any] = task_runs.c[name]
    if name in _OF_CHILD:
        return case((child.c.id.is_(None), column), else_=child.c[name])
    return column


def shown_task_runs() -> Select[Any]:
    """Task runs with all their columns, and the id of their subflow."""
    columns = [shown(column.name).label(column.name) for column in task_runs.c]
    return select(*columns, child.c.id.label("child_flow_run_id")).select_from(source)
