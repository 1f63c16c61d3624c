"""What a measurement stands on: servers of its own on a fresh database, and what it found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import asyncpg

from bench.lanes import Lane
from bench.meter import Meter, parent
from forebay_server.db.engine import Database
from tests.reliability.ground import Ground, Options, Server, ground


@dataclass(frozen=True)
class Figure:
    """One line of the table. `bound` is what `value` may be at most, or at least."""

    target: str  # P1 …
    what: str
    db: str
    value: float
    unit: str
    bound: float | None = None
    is_least: bool = False
    floor: float | None = None  # the same work without Forebay, measured in the same run

    @property
    def is_met(self) -> bool | None:
        """Whether the bound holds; None without one."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.is_least else self.value <= self.bound

    def as_json(self) -> dict[str, Any]:
        """The figure with what follows from it."""
        return {**asdict(self), "is_met": self.is_met}


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


@asynccontextmanager
async def stage(
    db: str, *, servers: int = 1, seconds: float = 4.0, is_large: bool = False
) -> AsyncIterator[Stage]:
    """Servers on a fresh database; PostgreSQL waits for its disk, as in earnest."""
    context = ground(Options(db=db, servers=servers, is_durable=True))
    made = await asyncio.to_thread(context.__enter__)  # it has event loops of its own
    database = Database(made.database_url)
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
