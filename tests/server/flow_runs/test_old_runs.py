"""Runs that ended long ago are deleted with what belongs to them, where a setting says so."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
from sqlalchemy import Table, func, insert, select, update

from forebay_server.artifacts.tables import artifact_keys, artifacts
from forebay_server.claims.tables import claims
from forebay_server.db.columns import new_id, now
from forebay_server.db.engine import Database
from forebay_server.flow_run_inputs.tables import flow_run_inputs
from forebay_server.flow_runs.old_runs import LINES_AT_ONCE, Deleted, delete_ended, oldest
from forebay_server.flow_runs.tables import flow_run_states, flow_runs
from forebay_server.logs.tables import logs
from forebay_server.services.old_runs import delete_old
from forebay_server.task_runs.tables import TaskRunRow, task_runs
from tests.both_databases import ON_POSTGRESQL, settings
from tests.server.flow_runs.builders import a_place, a_run, a_running_run

__all__ = ["settings"]

OF_RUNS = (flow_runs, flow_run_states, claims, logs, artifacts, flow_run_inputs, task_runs)
KEPT_DAYS = 30


async def counts(database: Database, *tables: Table) -> list[int]:
    async with database.read() as db:
        return [await db.scalar(select(func.count()).select_from(table)) for table in tables]


async def an_ended_run(
    api: httpx.AsyncClient, database: Database, days: float, **fields: Any
) -> UUID:
    """A run that ended so many days ago."""
    run = await a_run(database, **fields)
    await api.post(f"/flow_runs/{run}/set_state", json={"state": {"type": "COMPLETED"}})
    await end(database, run, days)
    return run


async def end(database: Database, run: UUID, days: float) -> None:
    async with database.write() as db:
        change = update(flow_runs).where(flow_runs.c.id == run)
        await db.execute(change.values(end_time=now() - timedelta(days=days)))


async def a_task(database: Database, run: UUID) -> UUID:
    row = TaskRunRow(name="t", flow_run_id=run, task_key="t", dynamic_key="0")
    async with database.write() as db:
        await db.execute(insert(task_runs).values(row.model_dump()))
    return row.id


async def write_lines(database: Database, run: UUID | None, number: int, days: float = 0) -> None:
    at = now() - timedelta(days=days)
    about = {"name": "n", "level": 20, "message": "m", "timestamp": at, "flow_run_id": run}
    times = {"created": at, "updated": at}
    async with database.write() as db:
        await db.execute(insert(logs), [{"id": new_id(), **about, **times} for _ in range(number)])


async def test_an_old_run_goes_with_all_that_belongs_to_it(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_running_run(api, database, await a_place(database))
    await api.post(f"/flow_runs/{run}/set_state", json={"state": {"type": "COMPLETED"}})
    await write_lines(database, run, 3)
    await a_task(database, run)
    await api.post("/artifacts/", json={"key": "k", "flow_run_id": str(run)})
    await api.post(f"/flow_runs/{run}/input", json={"key": "k", "value": "1"})
    there = await counts(database, *OF_RUNS)
    await end(database, run, KEPT_DAYS + 1)

    deleted = await delete_old(database, days=KEPT_DAYS)

    assert all(there), there
    assert deleted == 1
    assert not any(await counts(database, *OF_RUNS, artifact_keys))


async def test_runs_that_ended_lately_or_go_on_are_kept(
    api: httpx.AsyncClient, database: Database
) -> None:
    lately = await an_ended_run(api, database, KEPT_DAYS - 1)
    going_on = await a_running_run(api, database, await a_place(database))
    waiting = await a_run(database, due=now() - timedelta(days=2 * KEPT_DAYS))
    old = await an_ended_run(api, database, KEPT_DAYS + 1)

    deleted = await delete_old(database, days=KEPT_DAYS)

    left = {run["id"] for run in (await api.post("/flow_runs/filter")).json()}
    assert deleted == 1
    assert left == {str(run) for run in (lately, going_on, waiting)}
    assert (await api.get(f"/flow_runs/{old}")).status_code == 404


async def test_a_run_that_a_task_called_goes_after_its_caller(
    api: httpx.AsyncClient, database: Database
) -> None:
    caller = await a_run(database)
    task = await a_task(database, caller)
    await an_ended_run(api, database, KEPT_DAYS + 1, parent_task_run_id=task)

    while_it_runs = await delete_old(database, days=KEPT_DAYS)
    await end(database, caller, KEPT_DAYS + 1)
    afterwards = await delete_old(database, days=KEPT_DAYS)

    assert (while_it_runs, afterwards) == (0, 2)


async def test_many_lines_of_a_run_go_in_several_steps(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await an_ended_run(api, database, KEPT_DAYS + 1)
    await write_lines(database, run, LINES_AT_ONCE + 1)
    steps = []

    while not steps or not steps[-1].is_last:
        async with database.write() as db:
            steps.append(await delete_ended(db, now() - timedelta(days=KEPT_DAYS)))

    assert steps == [
        Deleted(runs=0, lines=LINES_AT_ONCE, is_last=False),
        Deleted(runs=1, lines=1, is_last=False),
        Deleted(runs=0, lines=0, is_last=True),
    ]


async def test_old_lines_of_no_run_go_too(database: Database) -> None:
    await write_lines(database, None, 2, days=KEPT_DAYS + 1)
    await write_lines(database, None, 1)

    await delete_old(database, days=KEPT_DAYS)

    assert await counts(database, logs) == [1]


@ON_POSTGRESQL
async def test_a_run_that_somebody_has_locked_is_left_for_the_next_time(
    api: httpx.AsyncClient, database: Database
) -> None:
    await an_ended_run(api, database, KEPT_DAYS + 1)

    async with database.write() as db:
        await db.execute(oldest(now()))
        meanwhile = await delete_old(database, days=KEPT_DAYS)
    afterwards = await delete_old(database, days=KEPT_DAYS)

    assert (meanwhile, afterwards) == (0, 1)
