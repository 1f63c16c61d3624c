"""A small HTTP server that tells probes how the worker is. Knows of the worker only what it asks.

One answer to every request: 200 while the API answers the worker's polls and heartbeats.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from forebay.errors import ConfigurationError
from forebay.wire.base import format_time
from forebay_worker.loop import Worker

READ_SECONDS = 5.0
MAX_HEAD_BYTES = 16_384


@asynccontextmanager
async def served(worker: Worker, host: str, port: int) -> AsyncIterator[int]:
    """While this lasts, tell the worker's health; gives the port, which 0 leaves to the system."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(READ_SECONDS):
                await reader.readuntil(b"\r\n\r\n")
            writer.write(_response(worker))
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
            return
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, host, port, limit=MAX_HEAD_BYTES)
    except OSError as error:
        raise ConfigurationError(
            f"The health server cannot listen on {host}:{port} ({error.strerror}); choose "
            "another port with FOREBAY_WORKER_HEALTH_PORT."
        ) from None
    async with server:
        yield server.sockets[0].getsockname()[1]


def _response(worker: Worker) -> bytes:
    last = worker.last_poll
    told = {
        "name": worker.name,
        "is_healthy": worker.is_healthy,
        "last_poll": format_time(last) if last else None,
        "active_runs": worker.active_runs,
    }
    body = json.dumps(told).encode()
    status = b"200 OK" if worker.is_healthy else b"503 Service Unavailable"
    return (
        b"HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
        b"connection: close\r\n\r\n%s" % (status, len(body), body)
    )
