"""A TCP path that can be slow, one-way, or cut. Knows not what it carries.

What is held back arrives when the path is whole again, as TCP sends it then; a connection that was
cut stays so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from tests.silence import CHUNK_BYTES, connect


@dataclass
class Way:
    """One direction of a path."""

    delay_seconds: float = 0.0  # of whatever is carried
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.is_open.set()


class Wire:
    """A path to `url`, a server's or a database's; `self.url` is by way of it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._upstream = urlsplit(url)
        self.there = Way()
        self.back = Way()
        self._is_cut = False
        self._ends: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def lead_to(self, url: str) -> None:
        """Carry new connections to another upstream."""
        self._upstream = urlsplit(url)

    def delay(self, seconds: float) -> None:
        """Carry everything later, either way."""
        self.there.delay_seconds = self.back.delay_seconds = seconds

    def cut(self) -> None:
        """Break every connection, and take none."""
        self._is_cut = True
        for end in [*self._ends]:
            end.transport.abort()

    def mend(self) -> None:
        """Carry everything again, at once."""
        self._is_cut = False
        self.delay(0)
        self.there.is_open.set()
        self.back.is_open.set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """The address of the path, which carries during the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user = f"{self._upstream.username}@" if self._upstream.username else ""
        address = f"{user}127.0.0.1:{port}"
        self.url = urlunsplit(self._upstream._replace(netloc=address, query=""))
        try:
            yield self.url
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await connect(self._upstream)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._ends |= ends
        ways = [
            asyncio.create_task(_carry(reader, far_writer, self.there)),
            asyncio.create_task(_carry(far_reader, writer, self.back)),
        ]
        # The cancellation is the end of the block; nobody waits for this task.
        try:
            with suppress(asyncio.CancelledError):
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            self._ends -= ends
            for end in ends:
                end.close()


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter, way: Way) -> None:
    with suppress(ConnectionError):
        while data := await source.read(CHUNK_BYTES):
            if way.delay_seconds:
                await asyncio.sleep(way.delay_seconds)
            await way.is_open.wait()
            target.write(data)
            await target.drain()
