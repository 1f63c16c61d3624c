"""A server that stops while clients are connected."""

import json
import signal
import sqlite3
from contextlib import closing

import pytest
from websockets.exceptions import ConnectionClosed

from tests.conftest import RunningServer
from tests.server.events.sockets import a_socket, a_subscriber, an_event


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
