"""What log lines can be filtered by."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import ColumnElement, UnaryExpression, and_, or_, true

from forebay.wire.base import MAX_INT, Text
from forebay_server import search
from forebay_server.db.criteria import (
    Condition,
    Criteria,
    Filter,
    Ids,
    TimeCriteria,
)
from forebay_server.logs.tables import logs

_Bound = Annotated[int, Field(ge=-MAX_INT, le=MAX_INT)]


class LevelCriteria(Criteria):
    """Which levels, bounds included."""

    ge_: _Bound | None = None
    le_: _Bound | None = None

    def conditions(self, column: ColumnElement[Any]) -> Iterator[Condition]:
        """What `column` must fulfil."""
        if self.ge_ is not None:
            yield column >= self.ge_
        if self.le_ is not None:
            yield column <= self.le_


class RunCriteria(Criteria):
    """Lines of which runs; `is_null_` selects those of none."""

    any_: Ids | None = None
    is_null_: bool | None = None

    def conditions(self, column: ColumnElement[Any]) -> Iterator[Condition]:
        """What `column` must fulfil."""
        if self.any_ is not None:
            yield column.in_(self.any_)
        if self.is_null_ is not None:
            yield column.is_(None) if self.is_null_ else column.is_not(None)


class TextCriteria(Criteria):
    """Words in the message or the logger's name, in any case.

    One of the plain words must be there, each `+word`, and no `-word` or `!word`; a phrase
    stands in double quotes. Source: Prefect 3.8.4 `LogFilterTextSearch`.
    """

    query: Text = Field(max_length=200)

    def conditions(self) -> Iterator[Condition]:
        """What a line must fulfil."""
        terms = search.parse(self.query)
        if terms.wanted:
            yield or_(*(_is_there(term) for term in terms.wanted))
        for term in terms.required:
            yield _is_there(term)
        for term in terms.forbidden:
            yield ~_is_there(term)


def _is_there(term: str) -> Condition:
    return or_(
        logs.c.message.icontains(term, autoescape=True),
        logs.c.name.icontains(term, autoescape=True),
    )


class LogFilter(Filter):
    """Source: Prefect 3.8.4 `LogFilter`."""

    level: LevelCriteria | None = None
    timestamp: TimeCriteria | None = None
    flow_run_id: RunCriteria | None = None
    task_run_id: RunCriteria | None = None
    text: TextCriteria | None = None

    def condition(self) -> Condition:
        """What a line must fulfil."""
        return self.joined(self._conditions())

    def flow_run_ids(self) -> frozenset[UUID] | None:
        """The runs whose lines alone can fulfil this; None if those of any run can."""
        if self.operator == "or_" or self.flow_run_id is None or self.flow_run_id.any_ is None:
            return None
        return frozenset(self.flow_run_id.any_)

    def _conditions(self) -> Iterator[Condition]:
        if self.level is not None:
            yield and_(true(), *self.level.conditions(logs.c.level))
        if self.timestamp is not None:
            yield and_(true(), *self.timestamp.conditions(logs.c.timestamp))
        if self.flow_run_id is not None:
            yield and_(true(), *self.flow_run_id.conditions(logs.c.flow_run_id))
        if self.task_run_id is not None:
            yield and_(true(), *self.task_run_id.conditions(logs.c.task_run_id))
        if self.text is not None:
            yield and_(true(), *self.text.conditions())


class LogSort(StrEnum):
    """The orders of lines; those of one instant stand in the order they came."""

    TIMESTAMP_ASC = "TIMESTAMP_ASC"
    TIMESTAMP_DESC = "TIMESTAMP_DESC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order, so that pages neither repeat nor lose a line."""
        if self is LogSort.TIMESTAMP_ASC:
            return logs.c.timestamp.asc(), logs.c.id.asc()
        return logs.c.timestamp.desc(), logs.c.id.desc()
