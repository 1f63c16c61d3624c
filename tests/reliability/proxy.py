"""A proxy that spoils answers after the server has carried out what was asked. Knows no route.

An answer to a writing request is lost, late, cut short, or the request is sent a second time.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

WRITING = (b"POST", b"PATCH", b"DELETE", b"PUT")
LATE_SECONDS = (0.05, 1.0)
HEAD_BYTES = 65_536


@dataclass
class Mischief:
    """How often what is done, and how often it was."""

    probability: float  # of each kind
    rng: random.Random
    done: Counter[str] = field(default_factory=Counter)

    def next(self) -> str | None:
        """What becomes of this answer."""
        drawn = self.rng.random()
        for number, kind in enumerate(("dropped", "late", "doubled", "cut"), start=1):
            if drawn < number * self.probability:
                self.done[kind] += 1
                return kind
        self.done["untouched"] += 1
        return None


@asynccontextmanager
async def spoiling(api_url: str, mischief: Mischief) -> AsyncIterator[str]:
    """The address under which the API of `api_url` is badly reachable during the block."""
    parts = urlsplit(api_url)
    tasks: set[asyncio.Task[None]] = set()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        task.add_done_callback(tasks.discard)
        # The cancellation is the end of the block; nobody waits for this task.
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            await _relay(reader, writer, str(parts.hostname), int(parts.port or 80), mischief)
        writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0, limit=HEAD_BYTES)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}{parts.path}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    host: str,
    port: int,
    mischief: Mischief,
) -> None:
    """Hand on one request after another, until an answer is spoiled for good."""
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"\r\nupgrade:" in head.lower():
            return  # streams are not meant
        request = head + await reader.readexactly(_length(head))
        kind = mischief.next() if head.startswith(WRITING) else None
        answer = await _ask(host, port, request)
        if kind == "doubled":
            answer = await _ask(host, port, request)
        if kind == "late":
            await asyncio.sleep(mischief.rng.uniform(*LATE_SECONDS))
        if kind == "dropped":
            return
        if kind == "cut":
            writer.write(answer[: len(answer) * 2 // 3])
            await writer.drain()
            return
        writer.write(answer)
        await writer.drain()


async def _ask(host: str, port: int, request: bytes) -> bytes:
    """The whole answer; by the time that it is here the server has committed."""
    reader, writer = await asyncio.open_connection(host, port, limit=HEAD_BYTES)
    try:
        writer.write(request)
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        return head + await reader.readexactly(_length(head))
    finally:
        writer.close()


def _length(head: bytes) -> int:
    """Of the body that follows; every client and server here says it."""
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0
