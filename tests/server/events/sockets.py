"""Clients of the event streams, and events to test with."""

import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.conftest import RunningServer

START = datetime(2030, 1, 1, tzinfo=UTC)


def an_event(name: str = "forebay.test.happened", second: float = 0, **fields: Any) -> Any:
    """An event on the wire."""
    event = {
        "id": str(uuid4()),
        "occurred": (START + timedelta(seconds=second)).isoformat(),
        "event": name,
        "resource": {"prefect.resource.id": "forebay.test.1"},
    }
    return event | fields


def socket_url(server: RunningServer, path: str) -> str:
    """The address of a websocket below `/api`."""
    return server.api_url.replace("http", "ws", 1) + path


@asynccontextmanager
async def a_socket(server: RunningServer, path: str, **options: Any) -> AsyncIterator[Any]:
    """A client of `path` that has been let in as stock clients are."""
    subprotocols = [Subprotocol("prefect")]
    async with connect(socket_url(server, path), subprotocols=subprotocols, **options) as client:
        await (await client.ping())
        await client.send(json.dumps({"type": "auth", "token": server.api_key}))
        assert await read(client) == {"type": "auth_success"}
        yield client


def a_narrow_connection(server: RunningServer) -> socket.socket:
    """A connection that takes little before its client reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    address = urlsplit(server.api_url)
    connection.connect((address.hostname, address.port))
    connection.setblocking(False)
    return connection


@asynccontextmanager
async def a_subscriber(
    server: RunningServer, criteria: dict[str, Any], path: str = "/events/out", **options: Any
) -> AsyncIterator[Any]:
    """A client to which what fulfils `criteria` is sent."""
    async with a_socket(server, path, **options) as client:
        await client.send(json.dumps({"type": "filter", "filter": criteria}))
        yield client


async def read(client: ClientConnection) -> Any:
    """The next frame."""
    return json.loads(await client.recv())


async def read_event(client: ClientConnection) -> Any:
    """The event in the next frame."""
    frame = await read(client)
    assert frame["type"] == "event", frame
    return frame["event"]
