"""Offers to many workers: in another order when there is more to do than one of them takes."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database, Transaction
from forebay_server.flow_runs.offers import REMEMBERED_SECONDS, RecentOffers, spread
from forebay_server.flow_runs.polling import Poll, due_runs
from tests.server.flow_runs.builders import a_place, a_queue, a_run, propose

HIGH, LOW = uuid4(), uuid4()
POOL = uuid4()


@dataclass(frozen=True)
class Due:
    """A due run."""

    id: UUID
    work_queue_id: UUID


def due(count: int, queue: UUID = HIGH) -> list[Due]:
    return [Due(uuid4(), queue) for _ in range(count)]


def test_what_fits_the_limit_keeps_its_order() -> None:
    runs = due(3)

    assert spread(runs, 3, {runs[0].id: 1.0}) == runs


def test_what_others_were_offered_comes_later() -> None:
    runs = due(4)

    offered = spread(runs, 3, {runs[0].id: 1.0, runs[1].id: 0.5})

    assert offered == [runs[2], runs[3], runs[1]]


def test_queues_keep_their_rank() -> None:
    high, low = due(3), due(3, LOW)
    weights = {run.id: 1.0 for run in high}

    assert spread([*high, *low], 4, weights) == [*high, low[0]]


def test_queues_of_one_priority_keep_their_places() -> None:
    a, b = due(2), due(2, LOW)

    assert spread([a[0], b[0], a[1], b[1]], 3, {a[0].id: 1.0}) == [a[1], b[0], a[0]]


def test_a_callers_own_offers_do_not_count() -> None:
    recent, runs = RecentOffers(), due(2)
    recent.note(POOL, "a", runs, now=0)

    assert recent.weights(POOL, "a", now=1) == {}
    assert recent.weights(POOL, "b", now=1) == {runs[0].id: 1.0, runs[1].id: 0.5}
    assert recent.weights(uuid4(), "b", now=1) == {}


def test_offers_are_forgotten_after_seconds() -> None:
    recent, runs = RecentOffers(), due(1)
    recent.note(POOL, "a", runs, now=0)

    assert recent.weights(POOL, "b", now=REMEMBERED_SECONDS + 0.1) == {}


def test_of_one_caller_only_the_last_offer_is_remembered() -> None:
    recent, first, second = RecentOffers(), due(1), due(1)
    recent.note(POOL, "a", first, now=0)
    recent.note(POOL, "a", second, now=1)

    assert recent.weights(POOL, "b", now=1) == {second[0].id: 1.0}


async def poll(api: httpx.AsyncClient, worker: str | None, limit: int | None) -> list[str]:
    """The names of the runs that a worker is offered; without a name it is a mere look."""
    headers = {} if worker is None else {"x-prefect-worker-name": worker}
    answer = await api.post(
        "/work_pools/p/get_scheduled_flow_runs", json={"limit": limit}, headers=headers
    )
    assert answer.status_code == 200, answer.text
    return [each["flow_run"]["name"] for each in answer.json()]


async def some_runs(database: Database, queue: UUID, count: int, prefix: str = "") -> None:
    start = datetime.now(UTC) - timedelta(hours=1)
    for number in range(count):
        await a_run(
            database, queue, due=start + timedelta(seconds=number), name=f"{prefix}{number}"
        )


async def test_two_workers_are_offered_other_runs_first(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    await some_runs(database, place.queue_id, 6)

    one, two = await poll(api, "one", 3), await poll(api, "two", 3)

    assert one == ["0", "1", "2"]
    assert two == ["3", "4", "5"]
    assert await poll(api, "one", 3) == ["0", "1", "2"]
    assert await poll(api, None, 3) == ["0", "1", "2"]
    assert await poll(api, "two", 6) == ["0", "1", "2", "3", "4", "5"]


async def test_workers_who_poll_at_once_are_offered_other_runs_too(
    api: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await a_place(database)
    await some_runs(database, place.queue_id, 32)
    recent, all_have_asked, run = RecentOffers(), asyncio.Barrier(4), Transaction.run
    asked: set[Transaction] = set()

    async def run_together(db: Transaction, *statement: Any) -> Any:
        found = await run(db, *statement)
        if db not in asked:
            asked.add(db)
            await all_have_asked.wait()
        return found

    async def offered(worker: str) -> list[UUID]:
        async with database.read() as db:
            poll = Poll("p", [], None, None, limit=4, caller=worker)
            return [each.id for each in (await due_runs(db, poll, recent)).runs]

    monkeypatch.setattr(Transaction, "run", run_together)
    offers = await asyncio.gather(*(offered(f"w{number}") for number in range(4)))

    ids = [id for offer in offers for id in offer]
    assert len(ids) == len(set(ids)) == 16


async def test_a_lower_queue_waits_even_when_all_of_the_higher_was_offered(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    low = await a_queue(database, place.pool_id, "low", priority=5)
    await some_runs(database, place.queue_id, 2, "high ")
    await some_runs(database, low, 2, "low ")

    await poll(api, "one", 2)

    assert await poll(api, "two", 2) == ["high 1", "high 0"]


async def test_free_slots_are_offered_to_all(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database, concurrency_limit=2)
    await some_runs(database, place.queue_id, 6)

    one, two = await poll(api, "one", 3), await poll(api, "two", 3)

    assert one == two == ["0", "1"]


async def test_workers_that_take_turns_waste_few_proposals(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    await some_runs(database, place.queue_id, 64)
    statuses: list[str] = []

    async def work(name: str) -> None:
        while offer := await offered(name):
            for run in offer:
                answer = await propose(api, run, "PENDING", worker=name)
                statuses.append(answer.json()["status"])

    async def offered(name: str) -> list[Any]:
        answer = await api.post(
            "/work_pools/p/get_scheduled_flow_runs",
            json={"limit": 4},
            headers={"x-prefect-worker-name": name},
        )
        return [each["flow_run"]["id"] for each in answer.json()]

    await asyncio.gather(*(work(f"w{number}") for number in range(4)))

    assert statuses.count("ACCEPT") == 64
    assert len(statuses) - 64 <= 64
