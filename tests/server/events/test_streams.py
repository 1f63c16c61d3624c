"""Events through websockets of a real server, as stock clients use them."""

import asyncio
import json
from typing import Any

import httpx2 as httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from tests.conftest import RunningServer
from tests.server.events.sockets import (
    a_narrow_connection,
    a_socket,
    a_subscriber,
    an_event,
    read,
    read_event,
    socket_url,
)

# As a runner of Prefect 3.8.4 sends it.
CANCELLING = {
    "occurred": {"since": "2026-11-22T16:17:57.532277Z", "until": "2036-11-22T16:18:57.532277Z"},
    "event": {
        "prefix": None,
        "exclude_prefix": None,
        "name": ["prefect.flow-run.Cancelling"],
        "exclude_name": None,
    },
    "resource": None,
    "related": None,
    "any_resource": None,
    "id": {"id": []},
    "text": None,
    "order": "DESC",
}


async def send_events(server: RunningServer, *events: Any) -> None:
    """Store events; they are readable when this returns."""
    headers = {"Authorization": f"Bearer {server.api_key}"}
    async with httpx.AsyncClient(base_url=server.api_url, headers=headers) as client:
        answer = await client.post("/events", json=list(events))
        assert answer.status_code == 204, answer.text


async def test_an_event_sent_in_comes_out_as_it_was_sent(shared_server: RunningServer) -> None:
    event = an_event(
        "forebay.echo",
        resource={"prefect.resource.id": "forebay.echo.1", "prefect.resource.name": "é"},
        related=[{"prefect.resource.id": "forebay.echo.2", "prefect.resource.role": "twin"}],
        payload={"deep": [{"number": 1.5}, None]},
    )
    async with (
        a_subscriber(shared_server, {"event": {"name": ["forebay.echo"]}}) as out,
        a_socket(shared_server, "/events/in") as into,
    ):
        await into.send(json.dumps(event))

        echo = await read_event(out)

    assert echo.pop("received") is not None
    assert echo == event | {"occurred": "2030-01-01T00:00:00.000000Z", "follows": None}


async def test_stored_events_are_replayed_oldest_first_within_the_bounds(
    shared_server: RunningServer,
) -> None:
    events = [an_event("forebay.replayed", second) for second in (4, 2, 1, 3)]
    await send_events(shared_server, *events, an_event("forebay.other", 2))
    criteria = {
        "event": {"name": ["forebay.replayed"]},
        "occurred": {"since": "2030-01-01T00:00:02Z", "until": "2030-01-01T00:00:04Z"},
    }

    async with a_subscriber(shared_server, criteria) as out:
        replayed = [await read_event(out) for _ in range(3)]

    assert [event["id"] for event in replayed] == [
        events[1]["id"],
        events[3]["id"],
        events[0]["id"],
    ]


async def test_a_client_may_do_without_a_replay(shared_server: RunningServer) -> None:
    await send_events(shared_server, an_event("forebay.unreplayed", payload={"number": 1}))

    async with a_socket(shared_server, "/events/out") as out:
        criteria = {"event": {"name": ["forebay.unreplayed"]}}
        await out.send(json.dumps({"type": "filter", "filter": criteria, "backfill": False}))
        # Ready once a later event is streamed; the stored one would have come before it.
        sending = asyncio.create_task(_send_until_cancelled(shared_server))
        first = await read_event(out)
        sending.cancel()

    assert first["payload"] == {"number": 2}


async def _send_until_cancelled(server: RunningServer) -> None:
    while True:
        await send_events(server, an_event("forebay.unreplayed", payload={"number": 2}))


async def test_nothing_is_lost_or_doubled_where_the_replay_ends(
    shared_server: RunningServer,
) -> None:
    events = [an_event("forebay.seam", number / 100) for number in range(400)]
    for start in range(0, 200, 50):
        await send_events(shared_server, *events[start : start + 50])

    async def collect() -> list[str]:
        async with a_subscriber(shared_server, {"event": {"prefix": ["forebay.sea"]}}) as out:
            ids = [(await read_event(out))["id"] for _ in range(len(events))]
            await send_events(shared_server, an_event("forebay.seam.end"))
            rest = await read_event(out)
            assert rest["event"] == "forebay.seam.end", "an event came twice"
            return ids

    async def write() -> None:
        async with a_socket(shared_server, "/events/in") as into:
            for event in events[200:]:
                await into.send(json.dumps(event))
                await asyncio.sleep(0)

    writing = asyncio.create_task(write())
    first = await collect()
    await writing

    assert sorted(first) == sorted(event["id"] for event in events)


async def test_an_event_sent_twice_is_stored_and_streamed_once(
    shared_server: RunningServer,
) -> None:
    event, last = an_event("forebay.twice"), an_event("forebay.twice")

    async with a_subscriber(shared_server, {"event": {"name": ["forebay.twice"]}}) as out:
        for sent in (event, event, last):
            await send_events(shared_server, sent)

        received = [(await read_event(out))["id"] for _ in range(2)]

    assert received == [event["id"], last["id"]]


@pytest.mark.parametrize(
    "frame", ["", "{", "[]", "null", '{"event": "x"}', b"\xff\x00", "x" * 1_600_000]
)
async def test_a_bad_frame_harms_neither_its_socket_nor_others(
    shared_server: RunningServer, frame: str | bytes
) -> None:
    good = an_event("forebay.after.bad")

    async with (
        a_subscriber(shared_server, {"id": {"id": [good["id"]]}}) as out,
        a_socket(shared_server, "/events/in") as into,
    ):
        await into.send(frame)
        await into.send(json.dumps(an_event(resource={"name": "without id"})))
        await into.send(json.dumps(an_event(payload={"text": "\x00"})))
        await into.send(json.dumps(good))

        assert (await read_event(out))["id"] == good["id"]


async def test_a_huge_frame_closes_its_socket_before_it_is_read_whole(
    shared_server: RunningServer,
) -> None:
    async with a_socket(shared_server, "/events/in") as into:
        await into.send("x" * (5 << 20))

        with pytest.raises(ConnectionClosed) as closed:
            await into.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


@pytest.mark.parametrize("path", ["/events/in", "/events/out", "/logs/out"])
@pytest.mark.parametrize(
    "frame",
    [
        {"type": "auth", "token": "wrong"},
        {"type": "auth", "token": None},
        {"type": "auth", "token": "\ud800"},
        {"type": "filter", "filter": {}},
        [],
    ],
)
async def test_a_client_without_a_known_token_is_refused_with_1008(
    shared_server: RunningServer, path: str, frame: Any
) -> None:
    url = socket_url(shared_server, path)
    async with connect(url, subprotocols=[Subprotocol("prefect")]) as socket:
        await socket.send(json.dumps(frame))

        with pytest.raises(ConnectionClosed) as closed:
            await socket.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


async def test_without_the_subprotocol_the_header_is_what_counts(
    shared_server: RunningServer,
) -> None:
    url = socket_url(shared_server, "/events/in")

    with pytest.raises(InvalidStatus) as refusal:
        await connect(url)
    assert refusal.value.response.status_code == 401

    event = an_event("forebay.header")
    header = {"Authorization": f"Bearer {shared_server.api_key}"}
    async with (
        a_subscriber(shared_server, {"event": {"name": ["forebay.header"]}}) as out,
        connect(url, additional_headers=header) as into,
    ):
        await into.send(json.dumps(event))
        assert (await read_event(out))["id"] == event["id"]


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "event"},
        {"type": "filter"},
        {"type": "filter", "filter": {"occurred": {"since": "yesterday"}}},
        {"type": "filter", "filter": {"colour": "red"}},
    ],
)
async def test_a_bad_filter_closes_the_socket_with_a_reason(
    shared_server: RunningServer, frame: Any
) -> None:
    async with a_socket(shared_server, "/events/out") as out:
        await out.send(json.dumps(frame))

        with pytest.raises(ConnectionClosed) as closed:
            await out.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1002
    assert "expected a filter" in closed.value.rcvd.reason


async def test_a_runners_own_filter_lets_only_cancellations_through(
    shared_server: RunningServer,
) -> None:
    wanted = an_event("prefect.flow-run.Cancelling")
    async with a_subscriber(shared_server, CANCELLING) as out:
        await send_events(shared_server, an_event("prefect.flow-run.Running"), wanted)

        assert (await read_event(out))["id"] == wanted["id"]


async def test_a_subscriber_that_reads_nothing_is_dropped_and_others_are_not(
    shared_server: RunningServer,
) -> None:
    criteria = {"event": {"name": ["forebay.flood"]}}
    narrow = {"sock": a_narrow_connection(shared_server), "max_queue": 1, "compression": None}
    last = an_event("forebay.flood.end")
    large = [an_event("forebay.flood", payload={"text": "x" * 20_000}) for _ in range(400)]

    async with (
        a_subscriber(shared_server, criteria, **narrow) as slow,
        a_subscriber(shared_server, {"event": {"prefix": ["forebay.flood."]}}) as other,
    ):
        for start in range(0, len(large), 40):  # together more than the connection takes
            await send_events(shared_server, *large[start : start + 40])
        for _ in range(7):
            await send_events(shared_server, *(an_event("forebay.flood") for _ in range(1_000)))
        await send_events(shared_server, last)
        assert (await read_event(other))["id"] == last["id"]

        received = 0
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(30):
                while await slow.recv():
                    received += 1

    assert received < len(large)
    assert closed.value.rcvd is None or closed.value.rcvd.code == 1013


async def test_the_worker_channel_is_refused_at_the_handshake(
    shared_server: RunningServer,
) -> None:
    url = socket_url(shared_server, "/work_pools/some/workers/connect")

    with pytest.raises(InvalidStatus) as refusal:
        await connect(url, subprotocols=[Subprotocol("prefect")])

    assert refusal.value.response.status_code in (403, 404)


async def test_the_auth_answer_comes_after_the_credentials(shared_server: RunningServer) -> None:
    url = socket_url(shared_server, "/events/out")
    async with connect(url, subprotocols=[Subprotocol("prefect")]) as socket:
        assert socket.subprotocol == "prefect"
        # Stock clients have no setting for tokens but that of the auth string.
        await socket.send(json.dumps({"type": "auth", "token": f"user:{shared_server.api_key}"}))

        assert await read(socket) == {"type": "auth_success"}
