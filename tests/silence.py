"""A TCP path to a database that can fall silent: what is sent arrives nowhere, nothing breaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import SplitResult, parse_qs, urlsplit, urlunsplit

PORT = 5432
CHUNK_BYTES = 65_536


class Silence:
    """Whether the path carries anything; who came during a silence stays unheard after it."""

    def __init__(self, url: str) -> None:
        """The path leads to the PostgreSQL of `url`; `self.url` is by way of the path."""
        self.url = url
        self._upstream = urlsplit(url)
        self._is_silent = False
        self._unheard: set[asyncio.Task[None]] = set()

    def begin(self) -> None:
        """Carry nothing any more, on any connection."""
        self._is_silent = True

    def end(self) -> None:
        """Carry what comes on new connections; those from before are forgotten, not closed."""
        self._is_silent = False

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Carry during the block."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        user = self._upstream.username
        address = f"{user}@127.0.0.1:{port}" if user else f"127.0.0.1:{port}"
        self.url = urlunsplit(self._upstream._replace(netloc=address, query=""))
        try:
            yield
        finally:
            server.close()
            for task in self._unheard:
                task.cancel()
            await asyncio.gather(*self._unheard, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._unheard.add(task)
        if self._is_silent:
            await asyncio.Event().wait()
        far_reader, far_writer = await connect(self._upstream)
        ways = [
            asyncio.create_task(self._carry(reader, far_writer)),
            asyncio.create_task(self._carry(far_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            far_writer.close()
            writer.close()

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await source.read(CHUNK_BYTES):
                if self._is_silent:
                    await asyncio.Event().wait()  # for ever: what is lost is not sent later
                target.write(data)
                await target.drain()


async def connect(url: SplitResult) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to what `url` names: a host and port, or the folder of a database's socket."""
    folder = parse_qs(url.query).get("host", [""])[0]
    if folder.startswith("/"):
        return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{PORT}")
    return await asyncio.open_connection(url.hostname or "127.0.0.1", url.port or PORT)
