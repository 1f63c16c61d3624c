"""Fills a database: what exists is multiplied by statements of its own, many rows at a time.

The way to a large database for whoever wants to try one: make one run through the API, then
multiply it. Rows get ids, names and times of their own; nothing else differs. Ids of runs grow with
time, as the server's do: that decides where in a large index they come to stand.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    Uuid,
    cast,
    func,
    insert,
    literal,
    literal_column,
    null,
    select,
    text,
)
from sqlalchemy.sql.elements import ColumnClause

from bench.lanes import Lane
from forebay_server.claims.tables import claims
from forebay_server.db.columns import UtcDateTime
from forebay_server.db.engine import Database, Transaction
from forebay_server.flow_runs.rules import LATE
from forebay_server.flow_runs.tables import flow_run_states, flow_runs
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues
from forebay_server.workers.tables import WorkerRow
from forebay_server.workers.tables import workers as worker_rows

CHUNK = 50_000  # rows of one statement, so that none runs into the time limit
SOME_TIME_AGO = timedelta(days=1)

SOME_ROWS = 1_000  # above these the planner is told
Values = Mapping[str, ColumnElement[Any] | Any]
Example = Mapping[str, Any]  # a row as it was when it was new, which others are made like


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


async def due_run(lane: Lane, database: Database, deployment: str) -> Example:
    """A run that is due, as an example for more of them."""
    due = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due}}
    made = await lane.ok("POST", f"/deployments/{deployment}/create_flow_run", {"state": state})
    return await like(database, UUID(made["id"]))


async def like(database: Database, run: UUID) -> Example:
    """A run as an example for more of them."""
    return await _row(database, flow_runs, run)


async def backlog(database: Database, example: Example, number: int) -> None:
    """So many due runs more, each a millisecond later than the one before."""
    made = datetime.now(UTC)
    for first, last in _chunks(number):
        at = literal(example["next_scheduled_start_time"], UtcDateTime)
        due = _later(database.dialect, at, first)
        values = {
            "id": _id_at(database.dialect, made, first),
            "name": _named("run", first),
            "next_scheduled_start_time": due,
            "expected_start_time": due,
            "state_name": literal(LATE),  # as the server itself would name them, one by one
        }
        await _multiply(database, flow_runs, example, last - first, values)
    await _settle(database, number)


async def finished(database: Database, example: Example, number: int) -> None:
    """So many finished runs more, each with its history and its ended claim.

    Each statement makes a chunk of rows of what is in the database already.
    """
    at = datetime.now(UTC) - SOME_TIME_AGO
    for first, last in _chunks(number):
        ended = _later(database.dialect, literal(at, UtcDateTime), first)
        values = {
            "id": _id_at(database.dialect, at, first),
            "name": _named("done", first),
            "state_type": literal("COMPLETED"),
            "state_name": literal("Completed"),
            "state_timestamp": ended,
            "start_time": ended,
            "end_time": ended,
            "next_scheduled_start_time": None,
        }
        await _multiply(database, flow_runs, example, last - first, values)
        is_new = flow_runs.c.end_time.between(
            at + timedelta(milliseconds=first + 1), at + timedelta(milliseconds=last)
        )
        async with database.write() as db:
            for place, type in enumerate(("PENDING", "RUNNING", "COMPLETED")):
                states = _states(database.dialect, place, type)
                await _add(db, flow_run_states, states.where(is_new))
            await _add(db, claims, _ended_claims(database.dialect).where(is_new))
    await _settle(database, number)


def _states(dialect: str, place: int, type: str) -> Select[Any]:
    """States of runs that ended, so many milliseconds after their ends."""
    return select(
        _id_beside_run(dialect).label("id"),
        flow_runs.c.created,
        flow_runs.c.updated,
        flow_runs.c.id.label("flow_run_id"),
        _shifted(dialect, flow_runs.c.end_time, str(place)).label("timestamp"),
        literal(type).label("type"),
        literal(type.capitalize()).label("name"),
        flow_runs.c.state_details,
    )


def _ended_claims(dialect: str) -> Select[Any]:
    return select(
        _id_beside_run(dialect).label("id"),
        flow_runs.c.created,
        flow_runs.c.updated,
        flow_runs.c.id.label("flow_run_id"),
        work_queues.c.work_pool_id,
        flow_runs.c.work_queue_id,
        literal(1).label("epoch"),
        literal("bench").label("holder"),
        literal(20.0).label("lease_seconds"),
        flow_runs.c.end_time.label("expires_at"),
        flow_runs.c.end_time.label("ended_at"),
    ).join(work_queues, work_queues.c.id == flow_runs.c.work_queue_id)


async def _add(db: Transaction, table: Table, rows: Select[Any]) -> None:
    """Insert what a statement selects; its columns are named as the table's are."""
    await db.execute(insert(table).from_select([c.name for c in rows.selected_columns], rows))


async def workers(database: Database, pool: UUID, number: int) -> None:
    """So many workers `worker 0` … of a pool that have been heard."""
    example = WorkerRow(work_pool_id=pool, name="", last_heartbeat_time=datetime.now(UTC))
    values = {
        "id": _new_id(database.dialect),
        "name": literal("worker ", Text) + cast(_n() - 1, Text),
    }
    await _multiply(database, worker_rows, example.model_dump(), number, values)
    await _settle(database, number)


async def other_pools(database: Database, pool: UUID, number: int) -> None:
    """So many pools more like `pool`, each with a queue of its own."""
    example = await _row(database, work_pools, pool)
    values = {"id": _new_id(database.dialect), "name": _named("other", 0)}
    await _multiply(database, work_pools, example, number, values)
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
    await _settle(database, number)


async def _row(database: Database, table: Table, id: UUID) -> Example:
    async with database.read() as db:
        found = await db.row(select(table).where(table.c.id == id))
    assert found is not None
    return dict(found._mapping)


async def _multiply(
    database: Database, table: Table, example: Example, number: int, values: Values
) -> None:
    """Insert `number` rows like the example, with some columns given anew."""
    columns = []
    for column in table.columns:
        value = values.get(column.name, example[column.name])
        if value is None:
            value = cast(null(), column.type)
        elif not isinstance(value, ColumnElement):
            value = literal(value, column.type)
        columns.append(value.label(column.name))
    rows = select(*columns).select_from(_numbers(database.dialect, number))
    async with database.write() as db:
        names = [column.name for column in table.columns]
        await db.execute(insert(table).from_select(names, rows))


def _numbers(dialect: str, number: int) -> Any:
    """A table `numbers` with the column `n`, from 1."""
    if dialect == "sqlite":
        series = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT {}) SELECT n FROM s"
    else:
        series = "SELECT n FROM generate_series(1, {}) AS s(n)"
    return text(series.format(number)).columns(ColumnClause("n")).subquery("numbers")


def _n() -> ColumnElement[Any]:
    return literal_column("numbers.n", Integer)


def _named(prefix: str, first: int) -> ColumnElement[str]:
    return literal(f"{prefix}-{first}-", Text) + cast(_n(), Text)


def _new_id(dialect: str) -> ColumnElement[Any]:
    if dialect == "sqlite":
        return func.lower(func.hex(func.randomblob(16)))
    return func.gen_random_uuid(type_=Uuid)


def _id_at(dialect: str, at: datetime, first: int) -> ColumnElement[Any]:
    """A new id as it is made at `at` and as many milliseconds later as the row's number says."""
    number = f"({int(at.timestamp() * 1000) + first} + numbers.n)"
    if dialect == "sqlite":
        return _id_that_begins(dialect, f"printf('%012x', {number}) || '7'")
    return _id_that_begins(dialect, f"lpad(to_hex({number}), 12, '0') || '7'")


def _id_beside_run(dialect: str) -> ColumnElement[Any]:
    """A new id as it is made when the row's run is."""
    run = "flow_run.id" if dialect == "sqlite" else "replace(flow_run.id::text, '-', '')"
    return _id_that_begins(dialect, f"substr({run}, 1, 13)")


def _id_that_begins(dialect: str, beginning: str) -> ColumnElement[Any]:
    """A new id with 13 digits given, the others by chance."""
    if dialect == "sqlite":
        return literal_column(f"{beginning} || substr(lower(hex(randomblob(16))), 14)")
    chance = "substr(replace(gen_random_uuid()::text, '-', ''), 14)"
    return literal_column(f"({beginning} || {chance})::uuid", Uuid)


def _later(dialect: str, at: ColumnElement[Any], first: int) -> ColumnElement[Any]:
    """`at` and as many milliseconds as the row's number says."""
    return _shifted(dialect, at, f"({first} + numbers.n)")


def _shifted(dialect: str, at: ColumnElement[Any], milliseconds: str) -> ColumnElement[Any]:
    if dialect == "sqlite":
        shifted = func.strftime(
            "%Y-%m-%d %H:%M:%f", at, text(f"printf('+%.3f seconds', {milliseconds} / 1000.0)")
        )
        return shifted + literal("000", Text)
    return at + text(f"{milliseconds} * interval '1 millisecond'")


async def _settle(database: Database, number: int) -> None:
    """Have the database do now, after so many new rows, what it would do while it is measured."""
    if number < SOME_ROWS:
        return
    if database.dialect == "sqlite":
        async with database.write() as db:
            await db.execute(text("ANALYZE"))
        async with database.read() as db:
            await db.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
        return
    async with database.engine.connect() as connection:
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        await connection.execute(text("VACUUM (ANALYZE)"))
        await connection.execute(text("CHECKPOINT"))


def _chunks(number: int) -> list[tuple[int, int]]:
    return [(first, min(first + CHUNK, number)) for first in range(0, number, CHUNK)]
