"""Time that moves only when told to, for a server in this process and for its PostgreSQL.

PostgreSQL finds `now()` and `clock_timestamp()` of a schema that is searched before its own; the
server's statements stay as they are.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from unittest.mock import patch

import asyncpg

from forebay_server.db import engine
from forebay_server.dispatch import claiming
from forebay_server.flow_runs import polling, queries
from forebay_server.services import rescuer, scheduler

START = datetime(2030, 1, 1, tzinfo=UTC)
_FUNCTIONS = """
CREATE SCHEMA virtual;
CREATE TABLE virtual.clock (at timestamptz NOT NULL);
INSERT INTO virtual.clock VALUES ('{start}');
CREATE FUNCTION virtual.clock_timestamp() RETURNS timestamptz LANGUAGE sql STABLE
  AS 'SELECT at FROM virtual.clock';
CREATE FUNCTION virtual.now() RETURNS timestamptz LANGUAGE sql STABLE
  AS 'SELECT at FROM virtual.clock';
ALTER DATABASE {name} SET search_path = virtual, public, pg_catalog;
"""


class Clock:
    """The time of this process, and of the PostgreSQL database that is set to it."""

    def __init__(self) -> None:
        self.at = START

    def now(self) -> datetime:
        """The time, as clocks on walls tell it."""
        return self.at

    def monotonic(self) -> float:
        """Seconds since the start; the clock never jumps."""
        return (self.at - START).total_seconds()

    async def advance(self, seconds: float, database: asyncpg.Connection) -> None:
        """Let time pass, here and there."""
        self.at += timedelta(seconds=seconds)
        await database.execute("UPDATE virtual.clock SET at = $1", self.at)


@contextmanager
def in_this_process(clock: Clock) -> Iterator[None]:
    """Every clock that the server reads in this process is `clock` during the block."""
    with ExitStack() as stack:
        stack.enter_context(patch.object(engine, "now", clock.now))
        for module in (claiming, polling, queries):
            stack.enter_context(patch.object(module, "process_now", clock.now))
        stack.enter_context(patch.object(polling, "monotonic", clock.monotonic))
        time = SimpleNamespace(monotonic=clock.monotonic)
        for module in (rescuer, scheduler):
            stack.enter_context(patch.object(module, "time", time))
        yield


async def in_database(database: asyncpg.Connection) -> None:
    """Set the clock of a database for connections that are made from now on."""
    name = await database.fetchval("SELECT current_database()")
    await database.execute(_FUNCTIONS.format(start=START.isoformat(), name=name))


@contextmanager
def constant(module: ModuleType, name: str, value: object) -> Iterator[None]:
    """What is drawn by chance otherwise has this bound during the block."""
    with patch.object(module, name, value):
        yield
