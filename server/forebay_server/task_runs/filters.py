"""What task runs can be filtered by themselves. Source: Prefect 3.8.4 `TaskRunFilter`."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from sqlalchemy import UnaryExpression, and_

from forebay_server.db.criteria import (
    Condition,
    Criteria,
    Filter,
    IdCriteria,
    Ids,
    NameCriteria,
    PassedTimeCriteria,
    StateCriteria,
    TagCriteria,
    TimeCriteria,
)
from forebay_server.task_runs.shown import child, shown
from forebay_server.task_runs.tables import task_runs


class SubflowCriteria(Criteria):
    """Whether a task run stands for a subflow."""

    exists_: bool | None = None


class TaskFlowRunCriteria(Filter):
    """Which runs the tasks are of; `is_null_: false` says nothing, as in the original."""

    any_: Ids | None = None
    is_null_: bool | None = False

    def conditions(self) -> Iterator[Condition]:
        """What a row of task runs must fulfil."""
        if self.any_ is not None:
            yield task_runs.c.flow_run_id.in_(self.any_)
        if self.is_null_:
            yield task_runs.c.flow_run_id.is_(None)


class TaskRunFilter(Filter):
    """Which task runs."""

    id: IdCriteria | None = None
    name: NameCriteria | None = None
    tags: TagCriteria | None = None
    state: StateCriteria | None = None
    start_time: PassedTimeCriteria | None = None
    end_time: PassedTimeCriteria | None = None
    expected_start_time: TimeCriteria | None = None
    subflow_runs: SubflowCriteria | None = None
    flow_run_id: TaskFlowRunCriteria | None = None

    def condition(self) -> Condition:
        """What a row of `shown.source` must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.id is not None:
            yield and_(*self.id.conditions(task_runs.c.id))
        if self.name is not None:
            yield and_(*self.name.conditions(task_runs.c.name))
        if self.tags is not None:
            yield self.tags.condition(task_runs.c.tags)
        if self.state is not None:
            yield self.state.condition(shown("state_type"), shown("state_name"))
        for name in ("start_time", "end_time", "expected_start_time"):
            times: TimeCriteria | None = getattr(self, name)
            if times is not None:
                yield and_(*times.conditions(shown(name)))
        if self.subflow_runs is not None and self.subflow_runs.exists_ is not None:
            is_subflow = child.c.id.is_not(None)
            yield is_subflow if self.subflow_runs.exists_ else ~is_subflow
        if self.flow_run_id is not None:
            yield self.flow_run_id.joined(self.flow_run_id.conditions())


class TaskRunSort(StrEnum):
    """The orders of task runs; equal ones stand in order of id."""

    ID_DESC = "ID_DESC"
    EXPECTED_START_TIME_ASC = "EXPECTED_START_TIME_ASC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"
    NEXT_SCHEDULED_START_TIME_ASC = "NEXT_SCHEDULED_START_TIME_ASC"
    END_TIME_DESC = "END_TIME_DESC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order, the same on both databases: task runs without the time come last."""
        if self is TaskRunSort.ID_DESC:
            return (task_runs.c.id.desc(),)
        name, _, direction = self.value.rpartition("_")
        key = shown(name.lower())
        ordered = key.asc() if direction == "ASC" else key.desc()
        return (ordered.nulls_last(), task_runs.c.id.asc())
