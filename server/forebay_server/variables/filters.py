"""What variables can be filtered by."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from sqlalchemy import UnaryExpression

from forebay_server.db.criteria import Condition, Filter, IdCriteria, NameCriteria, TagCriteria
from forebay_server.variables.tables import variables


class VariableFilter(Filter):
    """Source: Prefect 3.8.4 `VariableFilter`."""

    id: IdCriteria | None = None
    name: NameCriteria | None = None
    tags: TagCriteria | None = None

    def condition(self) -> Condition:
        """What a row of variables must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.id is not None:
            yield from self.id.conditions(variables.c.id)
        if self.name is not None:
            yield from self.name.conditions(variables.c.name)
        if self.tags is not None:
            yield self.tags.condition(variables.c.tags)


class VariableSort(StrEnum):
    """The orders of variables; equal ones stand in order of id."""

    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order."""
        name, _, direction = self.value.rpartition("_")
        key = variables.c[name.lower()]
        return (key.asc() if direction == "ASC" else key.desc(), variables.c.id.asc())
