"""What deployments can be filtered by."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field
from sqlalchemy import UnaryExpression, and_, exists, or_, select, true

from forebay.wire.base import MAX_INT, Text
from forebay_server.concurrency_limits.tables import concurrency_limits
from forebay_server.db.criteria import (
    Condition,
    Criteria,
    Filter,
    IdCriteria,
    NameCriteria,
    TagCriteria,
    Texts,
)
from forebay_server.deployments.tables import deployments
from forebay_server.flows.tables import flows
from forebay_server.work_queues.tables import work_queues

_limit = (
    select(concurrency_limits.c.limit)
    .where(concurrency_limits.c.id == deployments.c.global_concurrency_limit_id)
    .scalar_subquery()
)

_Bound = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]


class EitherNameCriteria(Criteria):
    """What the deployment's name or its flow's contains, in any case."""

    like_: Text | None = None


class PausedCriteria(Criteria):
    """Whether it is paused."""

    eq_: bool | None = None


class QueueNameCriteria(Criteria):
    """Which names of queues."""

    any_: Texts | None = None


class LimitCriteria(Criteria):
    """Which limits, bounds included."""

    ge_: _Bound | None = None
    le_: _Bound | None = None
    is_null_: bool | None = None

    def conditions(self) -> Iterator[Condition]:
        """What the limit must fulfil."""
        if self.ge_ is not None:
            yield _limit >= self.ge_
        if self.le_ is not None:
            yield _limit <= self.le_
        if self.is_null_ is not None:
            yield _limit.is_(None) if self.is_null_ else _limit.is_not(None)


class DeploymentFilter(Filter):
    """Source: Prefect 3.8.4 `DeploymentFilter`."""

    id: IdCriteria | None = None
    name: NameCriteria | None = None
    flow_or_deployment_name: EitherNameCriteria | None = None
    paused: PausedCriteria | None = None
    tags: TagCriteria | None = None
    work_queue_name: QueueNameCriteria | None = None
    concurrency_limit: LimitCriteria | None = None

    def condition(self) -> Condition:
        """What a row of deployments must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.id is not None:
            yield and_(true(), *self.id.conditions(deployments.c.id))
        if self.name is not None:
            yield and_(true(), *self.name.conditions(deployments.c.name))
        if self.flow_or_deployment_name is not None:
            yield from self._either_name(self.flow_or_deployment_name.like_)
        if self.paused is not None and self.paused.eq_ is not None:
            yield deployments.c.paused.is_(self.paused.eq_)
        if self.tags is not None:
            yield self.tags.condition(deployments.c.tags)
        if self.work_queue_name is not None and self.work_queue_name.any_ is not None:
            is_own = work_queues.c.id == deployments.c.work_queue_id
            is_named = work_queues.c.name.in_(self.work_queue_name.any_)
            yield exists().where(is_own, is_named).correlate(deployments)
        if self.concurrency_limit is not None:
            yield and_(true(), *self.concurrency_limit.conditions())

    def _either_name(self, text: str | None) -> Iterator[Condition]:
        if text is not None:
            is_own = flows.c.id == deployments.c.flow_id
            is_named = flows.c.name.icontains(text, autoescape=True)
            yield or_(
                deployments.c.name.icontains(text, autoescape=True),
                exists().where(is_own, is_named).correlate(deployments),
            )


class DeploymentSort(StrEnum):
    """The orders of deployments; equal ones stand in order of id."""

    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order."""
        name, _, direction = self.value.rpartition("_")
        key = deployments.c[name.lower()]
        return (key.asc() if direction == "ASC" else key.desc(), deployments.c.id.asc())
