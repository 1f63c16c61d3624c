"""Fills a database: what exists is multiplied by statements of its own, many rows at a time.

The way to a large database for whoever wants to try one: make one run through the API, then
multiply it. Rows get ids, names and times of their own; nothing else differs.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, Text, Uuid, cast, func, insert, literal, select, text
from sqlalchemy.sql.elements import ColumnClause

from bench.lanes import Lane
from forebay_server.claims.tables import claims
from forebay_server.db.columns import UtcDateTime
from forebay_server.db.engine import Database
from forebay_server.flow_runs.tables import flow_run_states, flow_runs
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues

CHUNK = 50_000  # rows of one statement, so that none runs into the time limit
SOME_TIME_AGO = timedelta(days=1)

Values = Mapping[str, ColumnElement[Any] | Any]


async def pool(lane: Lane, name: str, *, queues: int = 0, **fields: Any) -> dict[str, Any]:
    """A new pool of the process type with further queues `queue-0` …; the answer."""
    made = await lane.ok("POST", "/work_pools/", {"name": name, "type": "process", **fields})
    for number in range(queues):
        body = {"name": f"queue-{number}", "priority": number + 2}
        await lane.ok("POST", f"/work_pools/{name}/queues", body)
    return dict(made)


async def deployment(lane: Lane, pool: str, queue: str = "default", name: str = "bench") -> str:
    """The id of a new deployment on a queue, whose flow is made too."""
    flow = (await lane.ok("POST", "/flows/", {"name": "bench"}))["id"]
    body = {"name": name, "flow_id": flow, "work_pool_name": pool, "work_queue_name": queue}
    return str((await lane.ok("POST", "/deployments/", body))["id"])


async def due_run(lane: Lane, deployment: str) -> UUID:
    """The id of a run that is due."""
    due = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    body = {"state": state}
    made = await lane.ok("POST", f"/deployments/{deployment}/create_flow_run", body)
    return UUID(made["id"])


async def backlog(database: Database, run: UUID, number: int) -> None:
    """So many due runs more like `run`, each a millisecond later."""
    for first, last in _chunks(number):
        due = _later(database.dialect, flow_runs.c.next_scheduled_start_time, first)
        values = {
            "id": _new_id(database.dialect),
            "name": _named("run", first),
            "next_scheduled_start_time": due,
            "expected_start_time": due,
        }
        await _multiply(database, flow_runs, flow_runs.c.id == run, last - first, values)
    await _analyze(database)


async def finished(database: Database, run: UUID, number: int) -> None:
    """So many finished runs more like `run`, each with its history and its ended claim."""
    row_id = flow_runs.c.id
    for first, last in _chunks(number):
        at = literal(datetime.now(UTC) - SOME_TIME_AGO, UtcDateTime)
        ended = _later(database.dialect, at, first)
        values = {
            "id": _new_id(database.dialect),
            "name": _named("done", first),
            "state_type": literal("COMPLETED"),
            "state_name": literal("Completed"),
            "state_timestamp": ended,
            "start_time": ended,
            "end_time": ended,
            "next_scheduled_start_time": literal(None, UtcDateTime),
        }
        await _multiply(database, flow_runs, row_id == run, last - first, values)
        async with database.write() as db:
            is_new = flow_runs.c.name.like(f"done-{first}-%")
            for offset, type in enumerate(("PENDING", "RUNNING", "COMPLETED")):
                state = select(
                    _new_id(database.dialect),
                    flow_runs.c.created,
                    flow_runs.c.updated,
                    row_id,
                    _later(database.dialect, flow_runs.c.end_time, offset, numbered=False),
                    literal(type),
                    literal(type.capitalize()),
                    flow_runs.c.state_details,
                ).where(is_new)
                columns = ["id", "created", "updated", "flow_run_id", "timestamp"]
                columns += ["type", "name", "state_details"]
                await db.execute(insert(flow_run_states).from_select(columns, state))
            claim = (
                select(
                    _new_id(database.dialect),
                    flow_runs.c.created,
                    flow_runs.c.updated,
                    row_id,
                    work_queues.c.work_pool_id,
                    flow_runs.c.work_queue_id,
                    literal(1),
                    literal("bench"),
                    literal(20.0),
                    flow_runs.c.end_time,
                    flow_runs.c.end_time,
                )
                .join(work_queues, work_queues.c.id == flow_runs.c.work_queue_id)
                .where(is_new)
            )
            columns = ["id", "created", "updated", "flow_run_id", "work_pool_id", "work_queue_id"]
            columns += ["epoch", "holder", "lease_seconds", "expires_at", "ended_at"]
            await db.execute(insert(claims).from_select(columns, claim))
    await _analyze(database)


async def other_pools(database: Database, pool: UUID, number: int) -> None:
    """So many pools more like `pool`, each with a queue of its own."""
    is_like = work_pools.c.id == pool
    values = {"id": _new_id(database.dialect), "name": _named("other", 0)}
    await _multiply(database, work_pools, is_like, number, values)
    async with database.write() as db:
        queue = select(
            _new_id(database.dialect),
            work_pools.c.created,
            work_pools.c.updated,
            work_pools.c.id,
            literal("default"),
            literal(False),
            literal(1),
            literal("NOT_READY"),
        ).where(work_pools.c.name.like("other-0-%"))
        columns = ["id", "created", "updated", "work_pool_id", "name"]
        columns += ["is_paused", "priority", "status"]
        await db.execute(insert(work_queues).from_select(columns, queue))
    await _analyze(database)


async def _multiply(
    database: Database, table: Table, which: Any, number: int, values: Values
) -> None:
    """Insert `number` copies of one row, with some columns given anew."""
    columns = [values.get(column.name, column) for column in table.columns]
    rows = (
        select(*columns).select_from(table).join(_numbers(database.dialect, number), text("1=1"))
    )
    async with database.write() as db:
        names = [column.name for column in table.columns]
        await db.execute(insert(table).from_select(names, rows.where(which)))


def _numbers(dialect: str, number: int) -> Any:
    """A table `numbers` with the column `n`, from 1."""
    if dialect == "sqlite":
        series = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT {}) SELECT n FROM s"
    else:
        series = "SELECT n FROM generate_series(1, {}) AS s(n)"
    return text(series.format(number)).columns(ColumnClause("n")).subquery("numbers")


def _n() -> ColumnElement[Any]:
    return text("numbers.n")  # type: ignore[return-value]


def _named(prefix: str, first: int) -> ColumnElement[str]:
    return literal(f"{prefix}-{first}-", Text) + cast(_n(), Text)


def _new_id(dialect: str) -> ColumnElement[Any]:
    if dialect == "sqlite":
        return func.lower(func.hex(func.randomblob(16)))
    return func.gen_random_uuid(type_=Uuid)


def _later(
    dialect: str, at: ColumnElement[Any], first: int, *, numbered: bool = True
) -> ColumnElement[Any]:
    """`at` and as many milliseconds as the row's number says."""
    number = f"({first} + numbers.n)" if numbered else f"({first})"
    if dialect == "sqlite":
        shifted = func.strftime(
            "%Y-%m-%d %H:%M:%f", at, text(f"printf('+%.3f seconds', {number} / 1000.0)")
        )
        return shifted + literal("000", Text)
    return at + text(f"{number} * interval '1 millisecond'")


async def _analyze(database: Database) -> None:
    """Tell the planner of the new size, as the database does by itself after a while."""
    async with database.write() as db:
        await db.execute(text("ANALYZE"))


def _chunks(number: int) -> list[tuple[int, int]]:
    return [(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
