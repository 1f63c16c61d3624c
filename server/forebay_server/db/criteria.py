"""Criteria of filter bodies and what they mean in SQL. Knows no table.

Source: Prefect 3.8.4 `server/schemas/filters.py`: a filter is the conjunction of its criteria
unless it says `operator: or_`; an empty list of values matches nothing.
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, and_, literal, not_, or_, true
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Boolean

from forebay.wire.base import Text, Timestamp
from forebay.wire.states import StateType

MAX_VALUES = 10_000  # in one list; below what either database takes in a statement

Condition = ColumnElement[bool]
Ids = Annotated[list[UUID], Field(max_length=MAX_VALUES)]
Texts = Annotated[list[Text], Field(max_length=MAX_VALUES)]
StateTypes = Annotated[list[StateType], Field(max_length=MAX_VALUES)]
Operator = Literal["and_", "or_"]


class Criteria(BaseModel):
    """Base of criteria and filters: an unknown key is an error of its sender."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Filter(Criteria):
    """Base of what may say `or_`."""

    operator: Operator = "and_"

    def joined(self, conditions: Iterable[Condition]) -> Condition:
        """All of `conditions`, or any of them; true without one."""
        found = list(conditions)
        if not found:
            return true()
        return or_(*found) if self.operator == "or_" else and_(*found)


class IdCriteria(Criteria):
    """Which ids."""

    any_: Ids | None = None
    not_any_: Ids | None = None

    def conditions(self, column: ColumnElement[Any]) -> Iterator[Condition]:
        """What `column` must fulfil."""
        if self.any_ is not None:
            yield column.in_(self.any_)
        if self.not_any_ is not None:
            yield column.not_in(self.not_any_)


class NameCriteria(Criteria):
    """Which names; `like_` is contained, in any case."""

    any_: Texts | None = None
    like_: Text | None = None

    def conditions(self, column: ColumnElement[Any]) -> Iterator[Condition]:
        """What `column` must fulfil."""
        if self.any_ is not None:
            yield column.in_(self.any_)
        if self.like_ is not None:
            yield column.icontains(self.like_, autoescape=True)


class TimeCriteria(Criteria):
    """Which times, bounds included."""

    before_: Timestamp | None = None
    after_: Timestamp | None = None

    def conditions(self, column: ColumnElement[Any]) -> Iterator[Condition]:
        """What `column` must fulfil."""
        if self.before_ is not None:
            yield column <= self.before_
        if self.after_ is not None:
            yield column >= self.after_


class TagCriteria(Filter):
    """Which tags, in a column that holds a JSON list of texts."""

    all_: Texts | None = None
    any_: Texts | None = None
    is_null_: bool | None = None

    def condition(self, column: ColumnElement[Any]) -> Condition:
        """What `column` must fulfil."""
        conditions: list[Condition] = []
        if self.all_ is not None:
            conditions.append(and_(true(), *(has_item(column, tag) for tag in self.all_)))
        if self.any_ is not None:
            conditions.append(or_(literal(False), *(has_item(column, t) for t in self.any_)))
        if self.is_null_ is not None:
            is_empty: Condition = is_empty_list(column)
            conditions.append(is_empty if self.is_null_ else not_(is_empty))
        return self.joined(conditions)


class ReferenceCriteria(Filter):
    """Which ids of another object, or none."""

    any_: Ids | None = None
    is_null_: bool | None = None

    def condition(self, column: ColumnElement[Any]) -> Condition:
        """What `column` must fulfil."""
        return self.joined(any_or_null(column, self.any_, self.is_null_))


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

    def condition(self, type: ColumnElement[Any], name: ColumnElement[Any]) -> Condition:
        """What the columns of a state's type and name must fulfil."""
        conditions: list[Condition] = []
        if self.type is not None:
            conditions += any_or_not(type, self.type.any_, self.type.not_any_)
        if self.name is not None:
            conditions += any_or_not(name, self.name.any_, self.name.not_any_)
        return self.joined(conditions)


class PassedTimeCriteria(TimeCriteria):
    """Which times, bounds included, or none yet."""

    is_null_: bool | None = None

    def conditions(self, column: ColumnElement[Any]) -> Iterator[Condition]:
        """What `column` must fulfil."""
        yield from super().conditions(column)
        yield from any_or_null(column, None, self.is_null_)


def any_or_null(
    column: ColumnElement[Any], any_: Any | None, is_null: bool | None
) -> Iterator[Condition]:
    """Conditions for the values of `any_`, and for null or its absence, as far as given."""
    if any_ is not None:
        yield column.in_(any_)
    if is_null is not None:
        yield column.is_(None) if is_null else column.is_not(None)


def any_or_not(
    column: ColumnElement[Any], any_: Any | None, not_any: Any | None
) -> Iterator[Condition]:
    """Conditions for the values of `any_` and none of `not_any`, as far as given."""
    if any_ is not None:
        yield column.in_(any_)
    if not_any is not None:
        yield column.not_in(not_any)


class has_item(FunctionElement[bool]):
    """Whether a JSON list holds a text."""

    type = Boolean()
    inherit_cache = True


@compiles(has_item)
def _has_item(element: has_item, compiler: SQLCompiler, **kw: Any) -> str:
    column, item = (compiler.process(part, **kw) for part in element.clauses)
    return f"EXISTS (SELECT 1 FROM json_each({column}) WHERE value = {item})"


@compiles(has_item, "postgresql")
def _has_item_postgres(element: has_item, compiler: SQLCompiler, **kw: Any) -> str:
    column, item = (compiler.process(part, **kw) for part in element.clauses)
    return f"jsonb_exists({column}, {item})"


class is_empty_list(FunctionElement[bool]):
    """Whether a JSON list is empty."""

    type = Boolean()
    inherit_cache = True


@compiles(is_empty_list)
def _is_empty_list(element: is_empty_list, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_array_length({compiler.process(element.clauses, **kw)}) = 0"


@compiles(is_empty_list, "postgresql")
def _is_empty_list_postgres(element: is_empty_list, compiler: SQLCompiler, **kw: Any) -> str:
    return f"jsonb_array_length({compiler.process(element.clauses, **kw)}) = 0"
