"""What flows can be filtered by."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from sqlalchemy import UnaryExpression, and_, column, exists, table, true

from forebay_server.db.criteria import (
    Condition,
    Criteria,
    Filter,
    IdCriteria,
    NameCriteria,
    TagCriteria,
)
from forebay_server.flows.tables import flows

# Named as text: deployments build on flows, not the other way.
_deployments = table("deployment", column("flow_id"))


class DeploymentCriteria(Criteria):
    """Whether a flow has no deployment."""

    operator: str = "and_"
    is_null_: bool | None = None


class FlowFilter(Filter):
    """Source: Prefect 3.8.4 `FlowFilter`."""

    id: IdCriteria | None = None
    deployment: DeploymentCriteria | None = None
    name: NameCriteria | None = None
    tags: TagCriteria | None = None

    def condition(self) -> Condition:
        """What a row of flows must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.id is not None:
            yield and_(true(), *self.id.conditions(flows.c.id))
        if self.name is not None:
            yield and_(true(), *self.name.conditions(flows.c.name))
        if self.tags is not None:
            yield self.tags.condition(flows.c.tags)
        if self.deployment is not None and self.deployment.is_null_ is not None:
            has_one = exists().where(_deployments.c.flow_id == flows.c.id).correlate(flows)
            yield ~has_one if self.deployment.is_null_ else has_one


class FlowSort(StrEnum):
    """The orders of flows; equal ones stand in order of id."""

    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order."""
        name, _, direction = self.value.rpartition("_")
        key = flows.c[name.lower()]
        return (key.asc() if direction == "ASC" else key.desc(), flows.c.id.asc())
