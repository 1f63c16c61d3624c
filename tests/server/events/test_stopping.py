"""A server that stops while clients are connected."""

import asyncio
import json
import signal
import sqlite3
import time
from contextlib import closing
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import RunningServer
from tests.server.events.sockets import (
    a_narrow_connection,
    a_socket,
    a_subscriber,
    an_event,
    read_event,
)


async def test_a_stopping_server_lets_go_of_its_clients_and_keeps_their_events(
    server: RunningServer,
) -> None:
    event = an_event("forebay.last")

    async with (
        a_subscriber(server, {}) as out,
        a_subscriber(server, {"level": {"ge_": 0}}, "/logs/out"),
        a_socket(server, "/events/in") as into,
    ):
        await into.send(json.dumps(event))
        await (await into.ping())  # the server has read what came before
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed) as closed:
            while True:
                await out.recv()

    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1012  # stock clients connect again
    assert server.process.wait(timeout=8) == 0
    with closing(sqlite3.connect(server.home / "forebay.db")) as database:
        assert database.execute("SELECT event FROM event").fetchall() == [("forebay.last",)]


async def test_a_client_that_reads_nothing_does_not_hold_up_the_end(server: RunningServer) -> None:
    large = an_event("forebay.flood", payload={"text": "x" * 1_000_000})
    narrow = {"sock": a_narrow_connection(server), "max_queue": 1, "close_timeout": 0.1}

    async with (
        a_subscriber(server, {}, compression=None, **narrow),
        a_subscriber(server, {}, max_size=None) as other,
        a_socket(server, "/events/in") as into,
    ):
        for number in range(5):  # more than the connection takes
            await into.send(json.dumps(large | {"id": str(uuid4())}))
            assert (await read_event(other))["event"] == "forebay.flood", number
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        exit_code = await asyncio.to_thread(server.process.wait, 20)
        elapsed = time.monotonic() - began

    assert exit_code == 0
    assert elapsed < 9  # requests in flight would get 11
