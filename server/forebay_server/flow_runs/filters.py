"""What runs can be filtered by, themselves and by what they belong to."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, UnaryExpression, and_, exists, false, func

from forebay.wire.states import StateType
from forebay_server.db.criteria import (
    MAX_VALUES,
    Condition,
    Criteria,
    Filter,
    IdCriteria,
    Ids,
    NameCriteria,
    TagCriteria,
    Texts,
    TimeCriteria,
)
from forebay_server.deployments.filters import DeploymentFilter
from forebay_server.deployments.tables import deployments
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flows.filters import FlowFilter
from forebay_server.flows.tables import flows
from forebay_server.work_pools.filters import WorkPoolFilter
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.filters import WorkQueueFilter
from forebay_server.work_queues.tables import work_queues

StateTypes = Annotated[list[StateType], Field(max_length=MAX_VALUES)]


class ReferenceCriteria(Filter):
    """Which ids of another object, or none."""

    any_: Ids | None = None
    is_null_: bool | None = None

    def condition(self, column: ColumnElement[Any]) -> Condition:
        """What `column` must fulfil."""
        return self.joined(_any_or_null(column, self.any_, self.is_null_))


class QueueNameCriteria(Filter):
    """Which names of queues, or none."""

    any_: Texts | None = None
    is_null_: bool | None = None

    def condition(self, column: ColumnElement[Any]) -> Condition:
        """What `column` must fulfil."""
        return self.joined(_any_or_null(column, self.any_, self.is_null_))


class ParentRunCriteria(Filter):
    """Which runs are parents. Task runs are not stored, so no run has one."""

    any_: Ids | None = None


class StateTypeCriteria(Criteria):
    """Which types of state."""

    any_: StateTypes | None = None
    not_any_: StateTypes | None = None


class StateNameCriteria(Criteria):
    """Which names of states."""

    any_: Texts | None = None
    not_any_: Texts | None = None


class StateCriteria(Filter):
    """Which current states."""

    type: StateTypeCriteria | None = None
    name: StateNameCriteria | None = None

    def condition(self) -> Condition:
        """What the state must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.type is not None:
            yield from _any_or_not(flow_runs.c.state_type, self.type.any_, self.type.not_any_)
        if self.name is not None:
            yield from _any_or_not(flow_runs.c.state_name, self.name.any_, self.name.not_any_)


class TextCriteria(Criteria):
    """Which texts."""

    any_: Texts | None = None


class KeyCriteria(Criteria):
    """Which idempotency keys."""

    any_: Texts | None = None
    not_any_: Texts | None = None


class PassedTimeCriteria(TimeCriteria):
    """Which times, bounds included, or none yet."""

    is_null_: bool | None = None

    def conditions(self, column: ColumnElement[Any]) -> Iterator[Condition]:
        """What `column` must fulfil."""
        yield from super().conditions(column)
        yield from _any_or_null(column, None, self.is_null_)


class CreatorCriteria(Filter):
    """Who or what made the run."""

    id_: Ids | None = None
    type_: Texts | None = None
    is_null_: bool | None = None

    def condition(self) -> Condition:
        """What the creator must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        id = flow_runs.c.created_by["id"].as_string()
        type_ = flow_runs.c.created_by["type"].as_string()
        if self.id_ is not None:
            yield id.in_([str(value) for value in self.id_])
        yield from _any_or_null(type_, self.type_, self.is_null_)


class FlowRunFilter(Filter):
    """Source: Prefect 3.8.4 `FlowRunFilter`."""

    id: IdCriteria | None = None
    name: NameCriteria | None = None
    tags: TagCriteria | None = None
    deployment_id: ReferenceCriteria | None = None
    work_queue_name: QueueNameCriteria | None = None
    state: StateCriteria | None = None
    flow_version: TextCriteria | None = None
    start_time: PassedTimeCriteria | None = None
    end_time: PassedTimeCriteria | None = None
    expected_start_time: TimeCriteria | None = None
    next_scheduled_start_time: TimeCriteria | None = None
    parent_flow_run_id: ParentRunCriteria | None = None
    parent_task_run_id: ReferenceCriteria | None = None
    idempotency_key: KeyCriteria | None = None
    created_by: CreatorCriteria | None = None

    def condition(self) -> Condition:
        """What a row of runs must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        run = flow_runs.c
        if self.id is not None:
            yield and_(*self.id.conditions(run.id))
        if self.name is not None:
            yield and_(*self.name.conditions(run.name))
        if self.tags is not None:
            yield self.tags.condition(run.tags)
        if self.deployment_id is not None:
            yield self.deployment_id.condition(run.deployment_id)
        if self.work_queue_name is not None:
            yield self.work_queue_name.condition(run.work_queue_name)
        if self.state is not None:
            yield self.state.condition()
        if self.flow_version is not None and self.flow_version.any_ is not None:
            yield run.flow_version.in_(self.flow_version.any_)
        if self.parent_flow_run_id is not None and self.parent_flow_run_id.any_ is not None:
            yield false()
        if self.parent_task_run_id is not None:
            yield self.parent_task_run_id.condition(run.parent_task_run_id)
        if self.idempotency_key is not None:
            key = self.idempotency_key
            yield and_(*_any_or_not(run.idempotency_key, key.any_, key.not_any_))
        if self.created_by is not None:
            yield self.created_by.condition()
        yield from self._times()

    def _times(self) -> Iterator[Condition]:
        for criteria, column in (
            (self.start_time, flow_runs.c.start_time),
            (self.end_time, flow_runs.c.end_time),
            (self.expected_start_time, flow_runs.c.expected_start_time),
            (self.next_scheduled_start_time, flow_runs.c.next_scheduled_start_time),
        ):
            if criteria is not None:
                yield and_(*criteria.conditions(column))


def _any_or_null(
    column: ColumnElement[Any], any_: Any | None, is_null: bool | None
) -> Iterator[Condition]:
    if any_ is not None:
        yield column.in_(any_)
    if is_null is not None:
        yield column.is_(None) if is_null else column.is_not(None)


def _any_or_not(
    column: ColumnElement[Any], any_: Any | None, not_any: Any | None
) -> Iterator[Condition]:
    if any_ is not None:
        yield column.in_(any_)
    if not_any is not None:
        yield column.not_in(not_any)


class TaskRunFilter(BaseModel):
    """Accepted and ignored: task runs are not stored."""


class RunCriteria(BaseModel):
    """Filters of one body; a run must fulfil all of them."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None
    work_pools: WorkPoolFilter | None = None
    work_pool_queues: WorkQueueFilter | None = None

    def conditions(self) -> Iterator[Condition]:
        """What a row of runs must fulfil; for a SELECT from runs alone."""
        run = flow_runs.c
        if self.flow_runs is not None:
            yield self.flow_runs.condition()
        if self.flows is not None:
            yield exists().where(flows.c.id == run.flow_id, self.flows.condition())
        if self.deployments is not None:
            is_own = deployments.c.id == run.deployment_id
            yield exists().where(is_own, self.deployments.condition())
        if self.work_pool_queues is not None:
            is_own = work_queues.c.id == run.work_queue_id
            yield exists().where(is_own, self.work_pool_queues.condition())
        if self.work_pools is not None:
            is_own = work_queues.c.id == run.work_queue_id
            is_its_pool = work_queues.c.work_pool_id == work_pools.c.id
            yield exists().where(is_own, is_its_pool, self.work_pools.condition())


class FlowRunSort(StrEnum):
    """The orders of runs; equal ones stand in order of id."""

    ID_DESC = "ID_DESC"
    START_TIME_ASC = "START_TIME_ASC"
    START_TIME_DESC = "START_TIME_DESC"
    EXPECTED_START_TIME_ASC = "EXPECTED_START_TIME_ASC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"
    NEXT_SCHEDULED_START_TIME_ASC = "NEXT_SCHEDULED_START_TIME_ASC"
    END_TIME_DESC = "END_TIME_DESC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order, the same on both databases: runs without the time come last."""
        if self is FlowRunSort.ID_DESC:
            return (flow_runs.c.id.desc(),)
        name, _, direction = self.value.rpartition("_")
        key: ColumnElement[Any] = flow_runs.c[name.lower()]
        if name == "START_TIME":
            key = func.coalesce(flow_runs.c.start_time, flow_runs.c.expected_start_time)
        ordered = key.asc() if direction == "ASC" else key.desc()
        return (ordered.nulls_last(), flow_runs.c.id.asc())
