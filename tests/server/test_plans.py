"""What dispatch costs beside thousands of runs that have ended: as much as beside none."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
from sqlalchemy import ColumnElement, Table, delete, insert, literal, select, text, update

from bench import seeds
from forebay.wire.states import StateCreate, StateType
from forebay.wire.work_pools import WorkerHeartbeat
from forebay_server.claims import heartbeats
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.tables import claims
from forebay_server.concurrency_limits import slots
from forebay_server.db.columns import now
from forebay_server.db.engine import Database, Transaction
from forebay_server.deployments import polls, scheduled_runs
from forebay_server.deployments.tables import DeploymentScheduleRow, deployment_schedules
from forebay_server.dispatch import claiming, reporting
from forebay_server.dispatch.queries import Asked
from forebay_server.events import queries as events
from forebay_server.events.tables import events as event_table
from forebay_server.flow_runs import polling, queries, rescues, sweeps, transitions
from forebay_server.flow_runs.facts import Proposer
from forebay_server.flow_runs.offers import RecentOffers
from forebay_server.flow_runs.old_runs import delete_ended
from forebay_server.flow_runs.tables import FlowRunRow, flow_runs
from forebay_server.idempotency import queries as kept_answers
from forebay_server.logs.tables import logs
from forebay_server.task_runs.tables import task_runs
from forebay_server.work_pools import queries as work_pools
from forebay_server.work_queues import queries as work_queues
from forebay_server.workers import queries as workers
from tests.both_databases import ON_POSTGRESQL, settings
from tests.server.events.sockets import an_event
from tests.server.flow_runs.builders import Place, a_deployment, a_flow, a_place, a_queue, a_run
from tests.server.statements import Weighed, read_whole, weighed

__all__ = ["settings"]

ENDED = 3_000
DUE = 60
# What grows with each run; a table of pools, queues or workers may be read whole by a sweep.
GROWING = {"flow_run", "flow_run_state", "claim", "log", "task_run", "artifact", "event"}
GROWTH, SLACK = 1.2, 30  # of rows or steps: a join may be done in another way
IS_LATE = (flow_runs.c.state_type == "SCHEDULED", flow_runs.c.state_name == "Late")
HEARTBEAT = WorkerHeartbeat(name="w", heartbeat_interval_seconds=30)


@dataclass
class World:
    """A pool with a limit and what dispatch goes on with from operation to operation."""

    place: Place
    other_queue: UUID
    flow: UUID
    deployment: UUID
    run: seeds.Example = field(default_factory=dict)  # that the others are like
    last: UUID = field(default_factory=uuid4)
    claimed: list[tuple[UUID, int]] = field(default_factory=list)  # runs with their epochs
    attempt: UUID = field(default_factory=uuid4)


async def a_world(database: Database) -> World:
    place = await a_place(database, concurrency_limit=1000, queue_limit=1000)
    flow = await a_flow(database)
    deployment = await a_deployment(database, flow, work_queue_id=place.queue_id)
    every_hour = {"interval": 3600.0, "anchor_date": "2026-01-01T00:00:00Z", "timezone": "UTC"}
    schedule = DeploymentScheduleRow(deployment_id=deployment, schedule=every_hour)
    async with database.write() as db:
        await db.execute(insert(deployment_schedules).values(schedule.model_dump()))
    other = await a_queue(database, place.pool_id, "other", priority=2)
    return World(place, other, flow, deployment)


async def make_due(database: Database, world: World) -> None:
    """Runs that are due, and one more that is so later than they."""
    of_deployment = {"flow_id": world.flow, "deployment_id": world.deployment}
    queue = world.place.queue_id
    early, late = now() - timedelta(minutes=5), now() - timedelta(minutes=1)
    run = await a_run(database, queue, due=early, **of_deployment)
    world.run = await seeds.like(database, run)
    world.last = await a_run(database, queue, due=late, **of_deployment)
    await seeds.backlog(database, world.run, DUE)
    async with database.write() as db:
        await db.execute(update(flow_runs).where(*IS_LATE).values(state_name="Scheduled"))


def a_new_run(world: World, **fields: Any) -> FlowRunRow:
    return FlowRunRow(
        name="n",
        flow_id=world.flow,
        deployment_id=world.deployment,
        work_queue_id=world.place.queue_id,
        **fields,
    )


async def poll(db: Transaction, _: World) -> None:
    asked = polling.Poll("p", (), now(), None, 10, "w")
    assert len((await polling.due_runs(db, asked, RecentOffers())).runs) == 10


async def poll_deployment(db: Transaction, world: World) -> None:
    assert len(await scheduled_runs.read_due(db, [world.deployment], now(), 10)) == 10


async def count_late(db: Transaction, world: World) -> None:
    await work_queues.count_late_runs(db, world.place.queue_id)


async def claim(db: Transaction, world: World) -> None:
    asked = Asked("p", (), 10, "w", "w", attempt=world.attempt)
    outcome = await claiming.claim(db, asked, claiming.Holder(Proposer("w", is_worker=True), "w"))
    assert len(outcome.runs) == 10
    told = [run.claim.rpartition(":") for run in outcome.runs]
    world.claimed = [(UUID(run), int(epoch)) for run, _, epoch in told]


async def report(type: StateType, db: Transaction, world: World) -> None:
    reports = [
        reporting.Report(run, StateCreate(type=type), Proposer("w", epoch, is_worker=True))
        for run, epoch in world.claimed[:5]
    ]
    taken = await reporting.take(db, "p", "w", reports)
    assert {verdict.status for verdict in taken.verdicts.values()} == {"ACCEPT"}


async def propose(type: StateType, db: Transaction, world: World) -> None:
    run, epoch = world.claimed[-1]
    proposer = Proposer("w", epoch, is_worker=True)
    found = await transitions.propose(db, run, StateCreate(type=type), proposer)
    assert found.is_written


async def propose_pending(db: Transaction, world: World) -> None:
    state = StateCreate(type=StateType.PENDING)
    found = await transitions.propose(db, world.last, state, Proposer("w"), worker_name="w")
    assert found.is_written


async def beat(db: Transaction, world: World) -> None:
    (worker,) = (await workers.record_heartbeats(db, {("p", HEARTBEAT.name): HEARTBEAT})).values()
    held = [run for run, _ in world.claimed]
    holder = (worker.work_pool_id, worker.name)
    await claim_queries.renew(db, holder, worker.lease_seconds, worker.heard_at)
    await claim_queries.renew(db, holder, worker.lease_seconds, worker.heard_at, held)


async def sweep(db: Transaction, world: World) -> None:
    """As the rescuer does, once the lease of a run has expired."""
    run, _ = world.claimed[5]
    is_its = (claims.c.flow_run_id == run, claim_queries.is_live())
    await db.execute(update(claims).where(*is_its).values(expires_at=now() - timedelta(hours=1)))
    (expired,) = await claim_queries.expired(db, 200)
    assert await rescues.rescue(db, expired.id, expired.flow_run_id)
    assert await sweeps.overdue_cancellations(db, 200) == []
    assert await claim_queries.extend_all(db)


async def mark_late(db: Transaction, _: World) -> None:
    assert await sweeps.mark_late(db, 10) == 10


async def schedule(db: Transaction, world: World) -> None:
    at = now()
    await scheduled_runs.find_lacking(db, None, 20)
    await scheduled_runs.create(db, [world.deployment], start=at)
    await scheduled_runs.delete(db, world.deployment)


async def create(db: Transaction, world: World) -> None:
    await queries.create(db, a_new_run(world), None)
    keyed = a_new_run(world, idempotency_key=str(uuid4()))
    await queries.create_once(db, keyed, None)


async def move_queue(db: Transaction, world: World) -> None:
    await work_queues.change(db, world.other_queue, {"priority": 1})
    await work_queues.change(db, world.other_queue, {"priority": 2})


async def look_after_the_silent(db: Transaction, _: World) -> None:
    at: datetime = await db.now()
    await workers.mark_silent(db, at)
    await work_pools.mark_unserved(db, at)
    await work_queues.mark_unpolled(db, at)
    await polls.mark_unpolled(db, at)


async def hear_runs(db: Transaction, world: World) -> None:
    name = "prefect.flow-run.heartbeat"
    resource = {"prefect.resource.id": f"prefect.flow-run.{world.claimed[6][0]}"}
    await heartbeats.renew(
        db, [events.Event.model_validate(an_event(event=name, resource=resource))]
    )


async def delete_surplus(db: Transaction, _: World) -> None:
    """Where nothing is old enough, which is nearly always."""
    await delete_ended(db, now() - timedelta(days=300))
    await events.delete_until(db, now() - timedelta(days=300))
    await kept_answers.delete_expired(db)
    await slots.sweep(db)


OPERATIONS: dict[str, Callable[[Transaction, World], Awaitable[None]]] = {
    "a poll": poll,
    "a poll of a deployment": poll_deployment,
    "a queue's late runs": count_late,
    "a claim of ten": claim,
    "a report of five that run": lambda db, world: report(StateType.RUNNING, db, world),
    "a report of five that ended": lambda db, world: report(StateType.COMPLETED, db, world),
    "a proposal of PENDING": propose_pending,
    "a proposal of RUNNING": lambda db, world: propose(StateType.RUNNING, db, world),
    "a proposal of COMPLETED": lambda db, world: propose(StateType.COMPLETED, db, world),
    "a heartbeat": beat,
    "a heartbeat of a run": hear_runs,
    "new runs": create,
    "a queue that moves": move_queue,
    "the sweep of lost claims": sweep,
    "the sweep of late runs": mark_late,
    "the scheduler": schedule,
    "the sweep of the silent": look_after_the_silent,
    "retention": delete_surplus,
}


async def costs(database: Database, world: World) -> dict[str, Weighed]:
    """What each operation costs, from the same beginning each time."""
    world.attempt = uuid4()
    found: dict[str, Weighed] = {}
    for name, operation in OPERATIONS.items():
        async with weighed(database) as found[name]:
            await operation(found[name].db, world)
    return found


async def write_about_ended(database: Database) -> None:
    """For each run that ended a line, a task and an event, and tell the planner of all."""
    ended = flow_runs.c.end_time
    await copy_runs(database, logs, name="n", level=20, message="m", timestamp=ended)
    inputs = flow_runs.c.parameters
    of_run = {"flow_run_id": flow_runs.c.id, "task_inputs": inputs, "flow_run_run_count": 1}
    await copy_runs(database, task_runs, task_key="t", dynamic_key="0", **of_run)
    about = {
        "resource_id": "r",
        "resource": inputs,
        "payload": inputs,
        "related": flow_runs.c.tags,
    }
    await copy_runs(database, event_table, event="e", occurred=ended, **about)
    async with database.write() as db:
        await db.execute(text("ANALYZE"))


async def copy_runs(database: Database, table: Table, **values: Any) -> None:
    """Rows of a table made of the runs that ended; `values` are those that runs have not."""
    columns = {name: values.get(name, flow_runs.c.get(name)) for name in table.columns.keys()}  # noqa: SIM118 - not a dict
    known = {name: value for name, value in columns.items() if value is not None}
    rows = select(*(as_column(value) for value in known.values()))
    async with database.write() as db:
        await db.execute(
            insert(table).from_select([*known], rows.where(flow_runs.c.end_time.is_not(None)))
        )


def as_column(value: Any) -> ColumnElement[Any]:
    return value if isinstance(value, ColumnElement) else literal(value)


async def forget(database: Database) -> None:
    """Undo what operations have left behind: live claims, runs that wait."""
    async with database.write() as db:
        await db.execute(delete(flow_runs).where(flow_runs.c.state_type != "COMPLETED"))


async def test_no_hot_operation_costs_more_for_what_has_ended(
    api: httpx.AsyncClient, database: Database
) -> None:
    world = await a_world(database)
    await make_due(database, world)
    alone = await costs(database, world)
    await seeds.finished(database, world.run, ENDED)
    await write_about_ended(database)
    await forget(database)
    await make_due(database, world)

    beside = await costs(database, world)

    grown = {
        name: (alone[name].cost, found.cost)
        for name, found in beside.items()
        if found.cost > GROWTH * alone[name].cost + SLACK
    }
    assert grown == {}
    for name, found in beside.items():
        for sent in found.sent:
            whole = GROWING & set(await read_whole(database, sent))
            assert not whole, f"{name} reads all of {whole}: {sent[0]}"


@ON_POSTGRESQL
async def test_postgresql_tidies_hot_tables_by_what_has_left_them(database: Database) -> None:
    options = text(
        "SELECT relname, reloptions FROM pg_class WHERE relname IN ('flow_run', 'claim')"
    )

    async with database.read() as db:
        found = {row.relname: {*row.reloptions} for row in await db.rows(options)}

    wanted = {"autovacuum_vacuum_scale_factor=0.01", "vacuum_index_cleanup=on"}
    assert found.keys() == {"flow_run", "claim"}
    assert all(wanted <= options for options in found.values()), found
