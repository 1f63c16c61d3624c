"""Statements that count and sum up runs; for flow runs and task runs alike."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Integer, and_, case, cast, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Float

from forebay.wire.history import HistoryInterval, HistoryState
from forebay.wire.states import TERMINAL, StateType
from forebay_server.db.columns import UtcDateTime
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.flow_runs.filters import RunCriteria
from forebay_server.flow_runs.tables import flow_runs


class seconds_between(FunctionElement[float]):
    """Seconds from the first time to the second."""

    type = Float()
    inherit_cache = True


@compiles(seconds_between)
def _seconds_between(element: seconds_between, compiler: SQLCompiler, **kw: Any) -> str:
    begin, end = (compiler.process(part, **kw) for part in element.clauses)
    # Whole seconds apart from their fraction: days as floating points are some 40 µs off.
    whole = f"(strftime('%s', {end}) - strftime('%s', {begin}))"
    return f"({whole} + (substr({end}, 20) - substr({begin}, 20)))"


@compiles(seconds_between, "postgresql")
def _seconds_between_postgres(element: seconds_between, compiler: SQLCompiler, **kw: Any) -> str:
    begin, end = (compiler.process(part, **kw) for part in element.clauses)
    return f"extract(epoch FROM ({end} - {begin}))::float"


@dataclass(frozen=True)
class Range:
    """A range of time cut in intervals; the last one may reach beyond the end."""

    start: datetime
    end: datetime
    interval: timedelta

    def intervals(self) -> list[tuple[datetime, datetime]]:
        """Beginnings and ends, in order."""
        starts = []
        at = self.start
        while at < self.end:
            starts.append(at)
            at += self.interval
        return [(at, at + self.interval) for at in starts]


async def history(
    db: Transaction,
    range: Range,
    runs: FromClause,
    columns: Mapping[str, ColumnElement[Any]],
    conditions: Iterable[Condition],
) -> list[HistoryInterval]:
    """Of every interval the states of the runs that were expected to start in it.

    `columns` are those of a run: state_type, state_name, state_timestamp, expected_start_time,
    start_time and total_run_time_seconds.
    """
    expected = columns["expected_start_time"]
    passed = seconds_between(_time(range.start), expected)
    number = cast(func.floor(passed / range.interval.total_seconds() + 1e-9), Integer)
    at = _time(await db.now())
    states = ("state_type", "state_name")
    chosen = (
        select(
            number.label("number"),
            *(columns[name].label(name) for name in states),
            _run_time(columns, at).label("run_time"),
            _lateness(columns, at).label("lateness"),
        )
        .select_from(runs)
        .where(expected >= range.start, expected < range.end, *conditions)
        .subquery()
    )
    groups = (chosen.c.number, chosen.c.state_type, chosen.c.state_name)
    counted = select(
        *groups,
        func.count().label("runs"),
        func.sum(chosen.c.run_time).label("run_time"),
        func.sum(chosen.c.lateness).label("lateness"),
    )
    found: dict[int, list[HistoryState]] = {}
    for row in await db.rows(counted.group_by(*groups).order_by(*groups)):
        state = HistoryState(
            state_type=row.state_type,
            state_name=row.state_name,
            count_runs=row.runs,
            sum_estimated_run_time=row.run_time,
            sum_estimated_lateness=row.lateness,
        )
        found.setdefault(row.number, []).append(state)
    return [
        HistoryInterval(interval_start=start, interval_end=end, states=found.get(index, []))
        for index, (start, end) in enumerate(range.intervals())
    ]


async def average_lateness(db: Transaction, criteria: RunCriteria) -> float | None:
    """Seconds by which runs start later than expected, on average; None without a run."""
    lateness = _lateness(dict(flow_runs.c), _time(await db.now()))
    statement = select(func.avg(lateness)).where(*criteria.conditions())
    found = await db.scalar(statement)
    return None if found is None else float(found)


def _time(at: datetime) -> ColumnElement[datetime]:
    return literal(at, UtcDateTime())


def _run_time(
    columns: Mapping[str, ColumnElement[Any]], at: ColumnElement[datetime]
) -> ColumnElement[float]:
    total = columns["total_run_time_seconds"]
    is_running = columns["state_type"] == StateType.RUNNING.value
    spent = seconds_between(columns["state_timestamp"], at)
    return case((and_(is_running, spent > 0), total + spent), else_=total)


def _lateness(
    columns: Mapping[str, ColumnElement[Any]], at: ColumnElement[datetime]
) -> ColumnElement[float]:
    """As `queries.estimated_delay` has it."""
    start, expected = columns["start_time"], columns["expected_start_time"]
    is_over = columns["state_type"].in_([state.value for state in TERMINAL])
    late = seconds_between(expected, func.coalesce(start, at))
    return case((and_(start.is_(None), is_over), 0.0), (late > 0, late), else_=0.0)
