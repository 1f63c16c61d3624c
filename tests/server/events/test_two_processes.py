"""What is committed through one process reaches the followers of another, on PostgreSQL."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2 as httpx
import pytest
from websockets.exceptions import ConnectionClosed

from forebay_server.db.relay import APPLICATION
from tests.conftest import RunningServer, start_server, stop_process
from tests.postgres import Cluster
from tests.server.events.sockets import a_socket, a_subscriber, an_event, read

pytestmark = pytest.mark.postgres

Pair = tuple[RunningServer, RunningServer]


@pytest.fixture(scope="module")
def url(postgres_cluster: Cluster) -> Iterator[str]:
    """The database that both servers have."""
    url = postgres_cluster.new_database()
    yield url
    postgres_cluster.drop(url)


@pytest.fixture(scope="module")
def pair(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two servers; the tokens of the first one's folder are known to both."""
    home = tmp_path_factory.mktemp("pair")
    first, second = (start_server(home, "--database-url", url, "--no-services") for _ in range(2))
    yield first, second
    for server in (first, second):
        server.process.terminate()  # both at once
    for server in (first, second):
        stop_process(server.process)


async def post(server: RunningServer, path: str, body: Any) -> Any:
    """The answer of `server`, if it has one."""
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(base_url=server.api_url, headers=headers, timeout=30) as client:
        answer = await client.post(path, json=body)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None


async def followed(
    server: RunningServer, criteria: dict[str, Any], path: str = "/events/out"
) -> AsyncIterator[tuple[str, Any]]:
    """Events or lines as a stock client has them: dropped, it comes again, and knows what it saw.

    Each connection begins with the word "connected".
    """
    seen = set()
    while True:
        async with a_subscriber(server, criteria, path) as out:
            yield "connected", None
            try:
                while True:
                    frame = await read(out)
                    found = frame[frame["type"]]
                    if found["id"] not in seen:
                        seen.add(found["id"])
                        yield frame["type"], found
            except ConnectionClosed as closed:
                assert closed.rcvd is not None, "closed without a word"
                assert closed.rcvd.code == 1013


async def found_in(stream: AsyncIterator[tuple[str, Any]], count: int) -> list[Any]:
    """The next events or lines."""
    found: list[Any] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            kind, item = await anext(stream)
            if kind != "connected":
                found.append(item)
    return found


async def cut_relays(url: str) -> None:
    """End the connections on which the processes tell one another."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
    is_relay = "datname = current_database() AND application_name = $1"
    try:
        assert await connection.fetch(f"{ending} {is_relay}", APPLICATION)
    finally:
        await connection.close()


async def test_events_of_clients_reach_followers_of_the_other_process(pair: Pair) -> None:
    here, there = pair
    # Names so long that few go in one message, and many events, so that there are many messages.
    names = [f"forebay.far.{number}.{'é' * 900}" for number in range(60)]
    sent = [an_event(names[number % 60], number) for number in range(600)]
    stream = followed(here, {"event": {"prefix": ["forebay.far."]}})
    assert (await anext(stream))[0] == "connected"

    for start in range(0, len(sent), 200):
        await post(there, "/events", sent[start : start + 200])

    found = await found_in(stream, len(sent))
    assert {event["id"] for event in found} == {event["id"] for event in sent}


async def test_events_sent_into_a_socket_of_the_other_process_come_too(pair: Pair) -> None:
    here, there = pair
    event = an_event("forebay.far.socket")
    stream = followed(here, {"event": {"name": ["forebay.far.socket"]}})
    assert (await anext(stream))[0] == "connected"

    async with a_socket(there, "/events/in") as into:
        await into.send(json.dumps(event))

        assert [found["id"] for found in await found_in(stream, 1)] == [event["id"]]


async def test_a_cancellation_through_the_other_process_is_heard(pair: Pair) -> None:
    here, there = pair
    flow = await post(there, "/flows/", {"name": "f"})
    run = await post(there, "/flow_runs/", {"flow_id": flow["id"], "state": {"type": "RUNNING"}})
    stream = followed(here, {"event": {"name": ["prefect.flow-run.Cancelling"]}})
    assert (await anext(stream))[0] == "connected"

    body = {"state": {"type": "CANCELLING"}}
    answer = await post(there, f"/flow_runs/{run['id']}/set_state", body)

    (heard,) = await found_in(stream, 1)
    assert heard["id"] == answer["state"]["id"]
    assert heard["resource"]["prefect.resource.id"] == f"prefect.flow-run.{run['id']}"


async def test_lines_of_the_other_process_are_followed(pair: Pair) -> None:
    here, there = pair
    run_id = str(uuid4())
    lines = [
        {
            "name": "flow",
            "level": 20,
            "message": f"line {number}",
            "flow_run_id": run_id,
            "timestamp": f"2030-01-01T00:00:00.{number:06}Z",
        }
        for number in range(500)
    ]
    stream = followed(here, {"flow_run_id": {"any_": [run_id]}}, "/logs/out")
    assert (await anext(stream))[0] == "connected"

    await post(there, "/logs/", lines)

    found = await found_in(stream, len(lines))
    assert [line["message"] for line in found] == [line["message"] for line in lines]


async def test_nothing_is_lost_when_the_processes_cannot_tell_one_another(
    pair: Pair, url: str
) -> None:
    here, there = pair
    sent = [an_event("forebay.cut", number) for number in range(90)]
    stream = followed(here, {"event": {"name": ["forebay.cut"]}})
    assert (await anext(stream))[0] == "connected"

    async def send_and_cut() -> None:
        async with a_socket(there, "/events/in") as into:
            for number, event in enumerate(sent):
                await into.send(json.dumps(event))
                await (await into.ping())
                await asyncio.sleep(0.01)
                if number in (30, 60):
                    await cut_relays(url)

    sending = asyncio.create_task(send_and_cut())
    found = await found_in(stream, len(sent))
    await sending

    assert {event["id"] for event in found} == {event["id"] for event in sent}


async def test_a_follower_that_may_have_missed_something_is_told_so(pair: Pair, url: str) -> None:
    here, _ = pair
    async with a_subscriber(here, {"event": {"name": ["forebay.none"]}}) as out:
        await (await out.ping())
        await cut_relays(url)

        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(20):
                await out.recv()

    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (
        1013,
        "notices of another process may have been missed",
    )
