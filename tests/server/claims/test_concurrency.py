"""Claims from many sides at once: no run twice, no limit exceeded, on both databases.

On PostgreSQL two `Database` objects stand for two server processes.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from forebay.wire.states import StateCreate, StateType, Verdict
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database
from forebay_server.flow_runs import transitions
from forebay_server.flow_runs.facts import Proposer
from tests.server.flow_runs.builders import a_place, a_queue, a_run

PENDING = StateCreate(type=StateType.PENDING)
RUNNING = StateCreate(type=StateType.RUNNING)
COMPLETED = StateCreate(type=StateType.COMPLETED)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def urls(request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path) -> list[str]:
    """The same database, once for every process that serves it: SQLite has only one."""
    if request.param == "postgresql":
        return [request.getfixturevalue("postgres_url")] * 2
    shutil.copy(migrated_sqlite, tmp_path / "forebay.db")
    return [f"sqlite+aiosqlite:///{tmp_path / 'forebay.db'}"]


@pytest.fixture
async def servers(urls: list[str]) -> AsyncIterator[list[Database]]:
    """The processes that serve one database."""
    databases = [Database(url) for url in urls]
    yield databases
    for database in databases:
        await database.close()


async def propose(
    database: Database, run: UUID, state: StateCreate, holder: str = "somebody"
) -> Verdict:
    """What came of a proposal that was made in a transaction of its own."""
    proposer = Proposer(holder, is_worker=True)
    async with database.write() as db:
        return (await transitions.propose(db, run, state, proposer)).verdict


@dataclass
class Peak:
    """The most slots that were ever seen taken, from a connection of its own."""

    seen: list[int] = field(default_factory=list)

    @property
    def most(self) -> int:
        """The peak."""
        return max(self.seen)


@asynccontextmanager
async def watched(database: Database) -> AsyncIterator[Peak]:
    """Count the live claims all the time, beside whatever happens in the block."""
    peak = Peak()
    live = select(func.count()).select_from(claims).where(claims.c.ended_at.is_(None))
    is_over = asyncio.Event()

    async def watch() -> None:
        while not is_over.is_set():
            async with database.read() as db:
                peak.seen.append(int(await db.scalar(live)))

    task = asyncio.create_task(watch())
    yield peak
    is_over.set()
    await task


async def test_of_many_takers_one_gets_the_run(servers: list[Database]) -> None:
    place = await a_place(servers[0])

    for _ in range(5):
        run = await a_run(servers[0], place.queue_id)
        verdicts = await asyncio.gather(
            *(
                propose(servers[number % len(servers)], run, PENDING, f"w{number}")
                for number in range(12)
            )
        )

        assert sorted(verdict.status for verdict in verdicts) == ["ABORT"] * 11 + ["ACCEPT"]


@pytest.mark.parametrize("state", [PENDING, RUNNING], ids=["pending", "running"])
async def test_two_queues_below_a_pool_of_limit_1_hold_one_run(
    servers: list[Database], state: StateCreate
) -> None:
    place = await a_place(servers[0], concurrency_limit=1)
    queues = [place.queue_id, await a_queue(servers[0], place.pool_id, "other")]

    for _ in range(5):
        runs = [await a_run(servers[0], queue) for queue in queues for _ in range(3)]
        verdicts = await asyncio.gather(
            *(
                propose(servers[number % len(servers)], run, state, f"w{number}")
                for number, run in enumerate(runs)
            )
        )

        assert sorted(verdict.status for verdict in verdicts) == ["ACCEPT"] + ["REJECT"] * 5
        accepted = next(
            run for run, verdict in zip(runs, verdicts, strict=True) if verdict.status == "ACCEPT"
        )
        await propose(servers[0], accepted, COMPLETED)


@pytest.mark.parametrize("limited", ["pool", "queue"])
@pytest.mark.parametrize("limit", [1, 3])
async def test_a_limit_is_reached_and_never_exceeded(
    servers: list[Database], limited: str, limit: int
) -> None:
    place = await a_place(
        servers[0],
        concurrency_limit=limit if limited == "pool" else None,
        queue_limit=limit if limited == "queue" else None,
    )
    runs = [await a_run(servers[0], place.queue_id) for _ in range(16)]
    waiting = list(runs)
    claimed: list[UUID] = []

    async def claimer(number: int) -> None:
        database = servers[number % len(servers)]
        while waiting:
            run = waiting.pop()
            verdict = await propose(database, run, PENDING, f"w{number}")
            if verdict.status != "ACCEPT":
                waiting.insert(0, run)
                continue
            claimed.append(run)
            await propose(database, run, RUNNING, f"w{number}")
            await propose(database, run, COMPLETED, f"w{number}")

    async with AsyncExitStack() as stack:
        peak = await stack.enter_async_context(watched(servers[0]))
        await asyncio.gather(*(claimer(number) for number in range(8)))

    assert sorted(claimed) == sorted(runs)
    assert peak.most == limit


async def test_claims_and_ends_of_claims_do_not_block_each_other(
    servers: list[Database],
) -> None:
    place = await a_place(servers[0], concurrency_limit=100)
    runs = [await a_run(servers[0], place.queue_id) for _ in range(20)]

    async def life(number: int, run: UUID) -> list[str]:
        database = servers[number % len(servers)]
        states = (PENDING, RUNNING, COMPLETED)
        return [(await propose(database, run, state)).status for state in states]

    lives = await asyncio.gather(*(life(number, run) for number, run in enumerate(runs)))

    assert lives == [["ACCEPT"] * 3] * 20
