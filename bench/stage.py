"""What a measurement stands on: servers of its own on a fresh database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import asyncpg

from bench.lanes import Lane
from bench.meter import Meter, parent
from forebay_server.db.engine import Database
from tests.reliability.ground import Ground, Options, Server, ground


@dataclass
class Stage:
    """Running servers, the database under them, and how much there is time for."""

    ground: Ground
    servers: list[Server]
    database: Database
    database_pid: int | None
    seconds: float  # of one measurement
    is_large: bool  # whether the largest databases are made

    @property
    def db(self) -> str:
        """Which database."""
        return self.ground.options.db

    @property
    def urls(self) -> list[str]:
        """The servers' addresses."""
        return [server.api_url for server in self.servers]

    def meter(self) -> Meter:
        """A meter over the servers and their database."""
        return Meter([server.pid for server in self.servers], self.database_pid)

    @asynccontextmanager
    async def lane(self) -> AsyncIterator[Lane]:
        """A connection to the first server, for what is not measured."""
        async with Lane(self.urls[0]) as lane:
            yield lane

    def new_database(self, name: str, *, is_empty: bool = False) -> str:
        """URL of a further database of the same kind; blocks.

        SQLite's is a file that is not there yet, hence always empty.
        """
        if self.ground.cluster is not None:
            return self.ground.cluster.new_database(is_empty=is_empty)
        return f"sqlite+aiosqlite:///{self.ground.folder / f'{name}.db'}"

    @asynccontextmanager
    async def beside(self) -> AsyncIterator["Stage"]:
        """A server on a fresh database beside this one, to be measured in turns with it."""
        url = await asyncio.to_thread(self.new_database, "beside")
        server = await asyncio.to_thread(self.ground.server, database_url=url)
        database = Database(url, may_take_long=True)
        try:
            yield replace(self, servers=[server], database=database)
        finally:
            await database.close()
            await asyncio.to_thread(server.stop)


@asynccontextmanager
async def stage(db: str, servers: int, *, seconds: float, is_large: bool) -> AsyncIterator[Stage]:
    """Servers on a fresh database; PostgreSQL waits for its disk, as in earnest."""
    context = ground(Options(db=db, servers=servers, is_durable=True))
    made = await asyncio.to_thread(context.__enter__)  # it has event loops of its own
    database = Database(made.database_url, may_take_long=True)
    try:
        started = await asyncio.to_thread(made.servers)
        pid = await _postmaster(made.database_url) if db == "postgres" else None
        yield Stage(made, started, database, pid, seconds, is_large)
    finally:
        await database.close()
        await asyncio.to_thread(context.__exit__, None, None, None)


async def connect(database_url: str) -> asyncpg.Connection:
    """A bare connection to a stage's PostgreSQL."""
    return await asyncpg.connect(database_url.replace("+asyncpg", ""))


async def _postmaster(database_url: str) -> int:
    connection = await connect(database_url)
    try:
        return parent(await connection.fetchval("SELECT pg_backend_pid()"))
    finally:
        await connection.close()
