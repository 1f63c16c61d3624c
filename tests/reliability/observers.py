"""Looks at the database past the server: live claims now, over time, and at every commit."""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import asyncpg

SAMPLE_SECONDS = 0.02

# At the commit of each claim, one at a time, so that none can miss another that is not yet seen.
# It takes no lock that the server takes, and so mends nothing that the server does wrong.
_POSTGRES_CHECK = """
CREATE FUNCTION check_limits() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE held integer; most integer;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext(NEW.work_pool_id::text));
  SELECT count(*) INTO held FROM claim
    WHERE work_pool_id = NEW.work_pool_id AND ended_at IS NULL;
  SELECT concurrency_limit INTO most FROM work_pool WHERE id = NEW.work_pool_id;
  IF held > most THEN RAISE 'pool over its limit: % of %', held, most; END IF;
  SELECT count(*) INTO held FROM claim
    WHERE work_queue_id = NEW.work_queue_id AND ended_at IS NULL;
  SELECT concurrency_limit INTO most FROM work_queue WHERE id = NEW.work_queue_id;
  IF held > most THEN RAISE 'queue over its limit: % of %', held, most; END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER check_limits AFTER INSERT ON claim
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_limits();
"""
_SQLITE_CHECK = """
CREATE TRIGGER check_limits AFTER INSERT ON claim
BEGIN
  SELECT RAISE(ABORT, 'pool over its limit') WHERE
    (SELECT count(*) FROM claim WHERE work_pool_id = NEW.work_pool_id AND ended_at IS NULL)
    > (SELECT concurrency_limit FROM work_pool WHERE id = NEW.work_pool_id);
  SELECT RAISE(ABORT, 'queue over its limit') WHERE
    (SELECT count(*) FROM claim WHERE work_queue_id = NEW.work_queue_id AND ended_at IS NULL)
    > (SELECT concurrency_limit FROM work_queue WHERE id = NEW.work_queue_id);
END;
"""


class Eyes(Protocol):
    """A connection of the observer's own; statements are SQL that both databases read."""

    async def rows(self, sql: str) -> list[Any]:
        """The rows of a query."""
        ...

    async def script(self, sql: str) -> None:
        """Run statements."""
        ...


class _PostgresEyes:
    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str) -> list[Any]:
        return [tuple(row) for row in await self._connection.fetch(sql)]

    async def script(self, sql: str) -> None:
        await self._connection.execute(sql)


class _SqliteEyes:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def rows(self, sql: str) -> list[Any]:
        return self._connection.execute(sql).fetchall()

    async def script(self, sql: str) -> None:
        self._connection.executescript(sql)


@asynccontextmanager
async def looking(database_url: str) -> AsyncIterator[Eyes]:
    """A connection to look at the database with."""
    if database_url.startswith("postgresql"):
        connection = await asyncpg.connect(database_url.replace("+asyncpg", ""))
        try:
            yield _PostgresEyes(connection)
        finally:
            await connection.close()
        return
    file = sqlite3.connect(database_url.removeprefix("sqlite+aiosqlite:///"), timeout=10)
    try:
        yield _SqliteEyes(file)
    finally:
        file.close()


async def forbid_overshoot(eyes: Eyes) -> None:
    """Have the database refuse every claim above a limit, with an error that no client hides."""
    await eyes.script(_POSTGRES_CHECK if isinstance(eyes, _PostgresEyes) else _SQLITE_CHECK)


@dataclass
class Watch:
    """What samples of live claims have shown."""

    samples: int = 0
    peaks: Counter[str] = field(default_factory=Counter)  # by id of a pool or queue
    doubled: set[str] = field(default_factory=set)  # runs with two live claims


@asynccontextmanager
async def watching(database_url: str) -> AsyncIterator[Watch]:
    """Sample the live claims during the block."""
    watch = Watch()

    async def sample(eyes: Eyes) -> None:
        while True:
            sql = (
                "SELECT flow_run_id, work_pool_id, work_queue_id FROM claim WHERE ended_at IS NULL"
            )
            rows = await eyes.rows(sql)
            watch.samples += 1
            for places in ([row[1] for row in rows], [row[2] for row in rows]):
                for place, held in Counter(map(key, places)).items():
                    watch.peaks[place] = max(watch.peaks[place], held)
            runs = Counter(key(row[0]) for row in rows)
            watch.doubled |= {run for run, number in runs.items() if number > 1}
            await asyncio.sleep(SAMPLE_SECONDS)

    async with looking(database_url) as eyes:
        task = asyncio.create_task(sample(eyes))
        try:
            yield watch
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def key(id: object) -> str:
    """An id as both databases give it."""
    return str(id).replace("-", "")


def at(time: Any) -> datetime:
    """A time as both databases give it."""
    if isinstance(time, str):
        return datetime.fromisoformat(time).replace(tzinfo=UTC)
    assert isinstance(time, datetime)
    return time


def most_at_once(spans: Iterable[tuple[Any, Any]]) -> int:
    """The most spans of time that overlap; one without an end lasts."""
    steps: list[tuple[datetime, int]] = []
    for begin, end in spans:
        steps.append((at(begin), 1))
        if end is not None:
            steps.append((at(end), -1))
    most = held = 0
    for _, step in sorted(steps):
        held += step
        most = max(most, held)
    return most


async def contradictions(eyes: Eyes) -> int:
    """Claims and states that contradict each other: live claims of ended runs, runs without one."""
    ended = await eyes.rows(
        "SELECT count(*) FROM claim JOIN flow_run ON flow_run.id = claim.flow_run_id "
        "WHERE claim.ended_at IS NULL "
        "AND flow_run.state_type IN ('COMPLETED', 'FAILED', 'CRASHED', 'CANCELLED')"
    )
    unclaimed = await eyes.rows(
        "SELECT count(*) FROM flow_run WHERE work_queue_id IS NOT NULL "
        "AND state_type IN ('PENDING', 'RUNNING', 'CANCELLING') AND NOT EXISTS "
        "(SELECT 1 FROM claim WHERE claim.flow_run_id = flow_run.id AND ended_at IS NULL)"
    )
    return int(ended[0][0]) + int(unclaimed[0][0])
