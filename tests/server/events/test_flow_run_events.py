"""Runs' changes of state, streamed and replayed as the events that runners wait for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from forebay.wire.events import ReceivedEvent
from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Database
from forebay_server.events import queries as stored_events
from forebay_server.events.filters import EventFilter
from forebay_server.events.sources import Narrowing
from forebay_server.events.streaming import Stream
from forebay_server.flow_run_events import queries as state_events
from forebay_server.flow_runs import transitions
from forebay_server.flow_runs.facts import Proposer
from tests.server.events.sockets import START
from tests.server.flow_runs.builders import a_deployment, a_flow, a_place, a_run

SOMEBODY = Proposer(holder="somebody")


@pytest.fixture
def stream(app: FastAPI) -> Stream:
    """The application's own stream."""
    found = app.state.event_stream
    assert isinstance(found, Stream)
    return found


@asynccontextmanager
async def following(stream: Stream, **criteria: Any) -> AsyncIterator[Any]:
    """Reads the next event that fulfils `criteria`; the replay has begun at once."""
    with stream.followed(EventFilter.model_validate(criteria)) as (_, events):

        async def read() -> ReceivedEvent:
            async with asyncio.timeout(10):
                return await anext(events)

        yield read


async def propose(database: Database, run_id: UUID, type: StateType, **fields: Any) -> UUID:
    """Propose a state; its id, which is also that of its event."""
    async with database.write() as db:
        state = StateCreate(type=type, **fields)
        outcome = await transitions.propose(db, run_id, state, SOMEBODY)
    assert outcome.is_written, outcome
    assert outcome.verdict.state is not None
    return outcome.verdict.state.id


async def a_running_run(database: Database, **fields: Any) -> UUID:
    place = await a_place(database)
    flow_id = await a_flow(database)
    deployment_id = await a_deployment(database, flow_id, tags=["b"])
    run_id = await a_run(
        database,
        place.queue_id,
        flow_id=flow_id,
        deployment_id=deployment_id,
        tags=["a"],
        **fields,
    )
    await propose(database, run_id, StateType.PENDING)
    await propose(database, run_id, StateType.RUNNING)
    return run_id


async def test_a_cancellation_reaches_who_waits_for_it(database: Database, stream: Stream) -> None:
    run_id = await a_running_run(database, name="dainty-myna")

    async with following(stream, event={"name": ["prefect.flow-run.Cancelling"]}) as read:
        waiting = asyncio.create_task(read())
        await asyncio.sleep(0)
        state_id = await propose(database, run_id, StateType.CANCELLING)
        event = await waiting

    assert event.id == state_id
    assert event.resource == {
        "prefect.resource.id": f"prefect.flow-run.{run_id}",
        "prefect.resource.name": "dainty-myna",
        "prefect.run-count": "1",
        "prefect.state-message": "",
        "prefect.state-name": "Cancelling",
        "prefect.state-timestamp": event.occurred.isoformat(),
        "prefect.state-type": "CANCELLING",
    }
    assert event.payload == {
        "intended": {"from": "RUNNING", "to": "CANCELLING"},
        "initial_state": {"type": "RUNNING", "name": "Running"},
        "validated_state": {"type": "CANCELLING", "name": "Cancelling"},
    }
    roles = [related["prefect.resource.role"] for related in event.related]
    assert roles == ["flow", "deployment", "work-queue", "work-pool", "tag", "tag"]
    assert event.related[3]["prefect.resource.name"] == "p"
    assert event.related[3]["prefect.work-pool.type"] == "process"
    assert [related["prefect.resource.id"] for related in event.related[4:]] == [
        "prefect.tag.a",
        "prefect.tag.b",
    ]


async def test_a_run_tells_every_state_from_its_first_and_each_follows_the_last(
    database: Database, stream: Stream
) -> None:
    run_id = await a_running_run(database)
    await propose(database, run_id, StateType.COMPLETED)

    resource = {"id": [f"prefect.flow-run.{run_id}"]}
    events = await stream.replay(EventFilter.model_validate({"resource": resource}))

    assert [event.event for event in events] == [
        f"prefect.flow-run.{name}" for name in ("Scheduled", "Pending", "Running", "Completed")
    ]
    assert [event.follows for event in events] == [None, *(event.id for event in events[:-1])]
    assert events[0].payload["initial_state"] is None


async def test_a_new_run_is_told_as_it_is_made(database: Database, stream: Stream) -> None:
    async with following(stream, event={"prefix": ["prefect.flow-run.Sch"]}) as read:
        waiting = asyncio.create_task(read())
        await asyncio.sleep(0)
        run_id = await a_run(database)

        event = await waiting

    assert event.resource["prefect.resource.id"] == f"prefect.flow-run.{run_id}"


async def test_a_suspension_says_that_the_run_leaves_its_infrastructure(
    database: Database, stream: Stream
) -> None:
    run_id = await a_running_run(database)
    details = StateDetails(pause_reschedule=True, pause_key="k")
    state_id = await propose(
        database, run_id, StateType.PAUSED, name="Suspended", state_details=details
    )

    criteria = {
        "event": {"name": ["prefect.flow-run.Suspended"]},
        "any_resource": {"id": [f"prefect.flow-run.{run_id}"]},
    }
    (event,) = await stream.replay(EventFilter.model_validate(criteria))

    assert event.id == state_id
    assert event.payload["validated_state"]["pause_reschedule"] == "true"


async def test_a_state_that_is_rolled_back_is_told_to_nobody(
    database: Database, stream: Stream
) -> None:
    run_id = await a_running_run(database)

    async with following(stream, event={"prefix": ["prefect.flow-run.C"]}) as read:
        waiting = asyncio.create_task(read())
        await asyncio.sleep(0)
        with pytest.raises(RuntimeError):
            async with database.write() as db:
                state = StateCreate(type=StateType.CANCELLING)
                await transitions.propose(db, run_id, state, SOMEBODY)
                raise RuntimeError
        state_id = await propose(database, run_id, StateType.COMPLETED)

        assert (await waiting).id == state_id


@pytest.mark.parametrize(
    ("criteria", "count"),
    [
        ({}, 3),
        ({"event": {"prefix": ["prefect."]}}, 3),
        ({"event": {"prefix": ["prefect.flow-run.R"]}}, 1),
        ({"event": {"prefix": ["prefect.task-run."]}}, 0),
        ({"event": {"name": ["prefect.flow-run.Running", "other"]}}, 1),
        ({"event": {"name": ["Running"]}}, 0),
        ({"event": {"exclude_name": ["prefect.flow-run.Running"]}}, 2),
        ({"event": {"exclude_prefix": ["prefect.flow-run.P"]}}, 2),
        ({"resource": {"id": ["prefect.flow-run.no-id", "other"]}}, 0),
        ({"resource": {"distinct": True}}, 1),
        ({"related": {"role": ["work-pool"], "labels": {"prefect.resource.name": "p"}}}, 3),
        ({"related": [{"role": ["flow"]}, {"role": ["task-run"]}]}, 0),
        ({"any_resource": {"labels": {"prefect.state-name": ["!Pending", "!Running"]}}}, 1),
        ({"text": {"query": "RUNNING"}}, 1),
    ],
)
async def test_filters_select_among_the_events_of_states(
    database: Database, stream: Stream, criteria: dict[str, Any], count: int
) -> None:
    run_id = await a_running_run(database)
    of_run = {"labels": {"prefect.resource.id": f"prefect.flow-run.{run_id}"}}
    wanted = [*_listed(criteria.get("any_resource")), of_run]

    events = await stream.replay(EventFilter.model_validate(criteria | {"any_resource": wanted}))

    assert len(events) == count


def _listed(found: Any) -> list[Any]:
    return [] if found is None else [found]


@pytest.mark.parametrize("source", [stored_events, state_events])
@pytest.mark.parametrize(
    "narrowing",
    [
        Narrowing(since=START),
        Narrowing(since=START, names=("prefect.flow-run.Cancelling",)),
        Narrowing(since=START, beyond=(START, new_id())),
        Narrowing(ids=(new_id(),)),
    ],
)
async def test_a_replay_reads_an_index_however_long_the_history(
    database: Database, source: Any, narrowing: Narrowing
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("an empty table's plan on PostgreSQL says nothing")
    statement = source.selected(narrowing, 100)
    sql = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})

    async with database.read() as db:
        plan = [row.detail for row in await db.rows(text(f"EXPLAIN QUERY PLAN {sql}"))]

    assert not any(step.startswith(("SCAN event", "SCAN flow_run")) for step in plan), plan
