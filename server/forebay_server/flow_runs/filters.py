"""What runs can be filtered by, themselves and by what they belong to."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, UnaryExpression, and_, exists, func, literal, select

from forebay.wire.base import Lenient
from forebay_server.db.criteria import (
    Condition,
    Criteria,
    Filter,
    IdCriteria,
    Ids,
    NameCriteria,
    PassedTimeCriteria,
    ReferenceCriteria,
    StateCriteria,
    TagCriteria,
    Texts,
    TimeCriteria,
    any_or_not,
    any_or_null,
)
from forebay_server.deployments.filters import DeploymentFilter
from forebay_server.deployments.tables import deployments
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flows.filters import FlowFilter
from forebay_server.flows.tables import flows
from forebay_server.task_runs.filters import TaskRunFilter
from forebay_server.task_runs.shown import source as shown_tasks
from forebay_server.task_runs.tables import task_runs
from forebay_server.work_pools.filters import WorkPoolFilter
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.filters import WorkQueueFilter
from forebay_server.work_queues.tables import work_queues


class QueueNameCriteria(Filter):
    """Which names of queues, or none."""

    any_: Texts | None = None
    is_null_: bool | None = None

    def condition(self, column: ColumnElement[Any]) -> Condition:
        """What `column` must fulfil."""
        return self.joined(any_or_null(column, self.any_, self.is_null_))


class ParentRunCriteria(Filter):
    """Which runs are parents: those whose tasks stand for the run."""

    any_: Ids | None = None


class TextCriteria(Criteria):
    """Which texts."""

    any_: Texts | None = None


class KeyCriteria(Criteria):
    """Which idempotency keys."""

    any_: Texts | None = None
    not_any_: Texts | None = None


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
        yield from any_or_null(type_, self.type_, self.is_null_)


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
            yield self.state.condition(run.state_type, run.state_name)
        if self.flow_version is not None and self.flow_version.any_ is not None:
            yield run.flow_version.in_(self.flow_version.any_)
        if self.parent_flow_run_id is not None and self.parent_flow_run_id.any_ is not None:
            parents = select(task_runs.c.id)
            parents = parents.where(task_runs.c.flow_run_id.in_(self.parent_flow_run_id.any_))
            yield run.parent_task_run_id.in_(parents)
        if self.parent_task_run_id is not None:
            yield self.parent_task_run_id.condition(run.parent_task_run_id)
        if self.idempotency_key is not None:
            key = self.idempotency_key
            yield and_(*any_or_not(run.idempotency_key, key.any_, key.not_any_))
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


class RunCriteria(Lenient):
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
        # Most tasks are told of by events only: whether a run has any task says nothing here.
        if self.task_runs is not None and self.task_runs.model_dump(exclude_defaults=True):
            tasks = select(literal(1)).select_from(shown_tasks)
            is_own = task_runs.c.flow_run_id == run.id
            yield tasks.where(is_own, self.task_runs.condition()).exists()
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
