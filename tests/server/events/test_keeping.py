"""Events over HTTP, how long they are kept, and what becomes of those that are sent together."""

import asyncio
import json
import socket
from datetime import timedelta
from typing import Any

import httpx2 as httpx
import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select, update
from websockets.asyncio.client import connect

from forebay.wire.events import Event
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Database
from forebay_server.events import queries
from forebay_server.events.filters import EventFilter
from forebay_server.events.recorder import Recorder
from forebay_server.events.streaming import MAX_REPLAYED, Stream
from forebay_server.events.tables import events
from forebay_server.services.retention import delete_surplus
from tests.server.events.sockets import START, an_event

EVERYTHING = EventFilter()


def some_events(count: int, **fields: Any) -> list[Event]:
    return [Event.model_validate(an_event(second=n, **fields)) for n in range(count)]


async def store(database: Database, sent: list[Event]) -> None:
    async with database.write() as db:
        await queries.create(db, sent)


async def count_events(database: Database) -> int:
    async with database.read() as db:
        return int(await db.scalar(select(func.count()).select_from(events)))


async def test_events_are_taken_over_http(api: httpx.AsyncClient, app: FastAPI) -> None:
    sent = an_event(related=[{"prefect.resource.id": "x", "prefect.resource.role": "y"}])

    answer = await api.post("/events", json=[sent, sent])

    assert (answer.status_code, answer.content) == (204, b"")
    stored = await app.state.event_stream.replay(EVERYTHING)
    assert [(str(event.id), event.related) for event in stored] == [(sent["id"], sent["related"])]


@pytest.mark.parametrize(
    "wrong",
    [
        {"event": "x" * 1025},
        {"event": "\U0001f600" * 600},
        {"resource": {}},
        {"resource": {"prefect.resource.id": 1}},
        {"related": [{"prefect.resource.id": "x"}]},
        {"related": [{"prefect.resource.id": "x", "prefect.resource.role": "y"}] * 101},
        {"payload": {"a": 2**64}},
        {"payload": []},
        {"occurred": "yesterday"},
        {"id": "no-id"},
    ],
)
async def test_what_is_not_an_event_is_refused(
    api: httpx.AsyncClient, wrong: dict[str, Any]
) -> None:
    answer = await api.post("/events", json=[an_event(), an_event() | wrong])

    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"][:2] == ["body", 1]


async def test_the_longest_name_can_be_stored(database: Database) -> None:
    name = "".join(chr(0x100 + number) for number in range(1024))

    await store(database, some_events(1, event=name))

    assert await count_events(database) == 1


async def test_old_events_are_deleted_and_young_ones_kept(database: Database) -> None:
    old, young = some_events(3), some_events(2)
    await store(database, [*old, *young])
    async with database.write() as db:
        ids = [event.id for event in old]
        received = await db.now() - timedelta(days=7, seconds=1)
        await db.execute(update(events).where(events.c.id.in_(ids)).values(created=received))

    assert await delete_surplus(database, days=7, most=100) == 3
    assert await delete_surplus(database, days=7, most=100) == 0
    assert await count_events(database) == 2


async def test_no_more_events_are_kept_than_wanted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "DELETED_AT_ONCE", 3)  # so that it takes several steps
    for event in some_events(10):
        await store(database, [event])

    deleted = await delete_surplus(database, days=7, most=2)

    assert deleted == 8
    assert await count_events(database) == 2


async def test_a_long_replay_is_of_the_newest_events(database: Database, app: FastAPI) -> None:
    sent = some_events(MAX_REPLAYED + 50)
    for start in range(0, len(sent), 500):
        await store(database, sent[start : start + 500])

    replayed = await app.state.event_stream.replay(EVERYTHING)

    assert [event.id for event in replayed] == [event.id for event in sent[50:]]


async def test_a_filter_that_no_index_answers_finds_what_is_far_back(
    database: Database, app: FastAPI
) -> None:
    stream: Stream = app.state.event_stream
    rare = some_events(3, resource={"prefect.resource.id": "a", "colour": "red"})
    # At one time, so that a page ends between events of the same instant.
    common = [event.model_copy(update={"occurred": START}) for event in some_events(1_200)]
    rare = [event.model_copy(update={"occurred": START, "id": new_id()}) for event in rare]
    await store(database, [*rare, *common[:600]])
    await store(database, common[600:])

    found = await stream.replay(
        EventFilter.model_validate({"resource": {"labels": {"colour": ["blue", "re*"]}}})
    )

    assert {event.id for event in found} == {event.id for event in rare}


async def test_events_of_many_senders_are_written_together(database: Database) -> None:
    recorder = Recorder(database)
    sent = some_events(150)

    async with recorder.running():
        await asyncio.gather(*(recorder.add(event, 100) for event in sent))

    async with database.read() as db:
        times = await db.scalar(select(func.count(events.c.created.distinct())))
    assert await count_events(database) == len(sent)
    assert times == 1  # of one transaction


async def test_a_full_backlog_makes_senders_wait_and_loses_nothing(database: Database) -> None:
    recorder = Recorder(database)
    sent = some_events(30)

    async with recorder.running():
        async with asyncio.timeout(20):
            for event in sent:
                await recorder.add(event, 4 << 20)  # four of them are the whole backlog

    assert await count_events(database) == len(sent)
    assert recorder.dropped == 0


async def test_a_filter_may_name_more_than_a_statement_takes(
    database: Database, app: FastAPI
) -> None:
    (event,) = some_events(1)
    await store(database, [event])
    many = [f"other.{number}" for number in range(9_000)]
    criteria = {"event": {"prefix": [*many, "forebay."], "name": [*many, event.event]}}

    (found,) = await app.state.event_stream.replay(EventFilter.model_validate(criteria))

    assert found.id == event.id


async def test_an_open_server_takes_events_without_a_handshake(app: FastAPI) -> None:
    config = uvicorn.Config(app, port=0, lifespan="off", log_level="warning")
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        address = f"ws://127.0.0.1:{listener.getsockname()[1]}/api/events/in"
        criteria = EventFilter.model_validate({"event": {"name": ["forebay.open"]}})
        with app.state.event_stream.followed(criteria) as (_, stored):
            async with connect(address) as client:
                await client.send(json.dumps(an_event("forebay.open")))

                async with asyncio.timeout(10):
                    assert (await anext(stored)).event == "forebay.open"
        server.should_exit = True
        await serving
