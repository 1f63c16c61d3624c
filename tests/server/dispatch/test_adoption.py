"""Claims that pass to the worker that finds what another has started, on both databases."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest
from sqlalchemy import select, update

from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database
from forebay_server.flow_runs import rescues
from forebay_server.workers.tables import workers
from tests.both_databases import settings
from tests.server.events.sockets import an_event
from tests.server.flow_runs.builders import a_place, a_running_run, live_claims, propose, verdict

__all__ = ["settings"]


async def a_started_run(api: httpx.AsyncClient, database: Database, **pool: Any) -> UUID:
    """A running run of the pool p, started by w1, whose infrastructure is called `job`."""
    place = await a_place(database, **pool)
    for name in ("w1", "w2", "w3"):
        await beat(api, name)
    run = await a_running_run(api, database, place)
    await api.patch(f"/flow_runs/{run}", json={"infrastructure_pid": "job"})
    return run


async def beat(api: httpx.AsyncClient, name: str) -> None:
    """A worker's heartbeat that renews no claim."""
    body = {"name": name, "heartbeat_interval_seconds": 5, "flow_run_ids": []}
    assert (await api.post("/work_pools/p/workers/heartbeat", json=body)).status_code == 204


async def adopt(
    api: httpx.AsyncClient, run: UUID, worker: str, infrastructure: str = "job"
) -> httpx.Response:
    """Adopt a run; the answer as it came."""
    body = {
        "worker_name": worker,
        "flow_run_id": str(run),
        "infrastructure_id": infrastructure,
    }
    return await api.post("/work_pools/p/adopt", json=body)


async def adoptable(api: httpx.AsyncClient, worker: str, **query: Any) -> list[str]:
    """The ids of the runs that a worker may adopt."""
    body = {"worker_name": worker, **query}
    answer = await api.post("/work_pools/p/adoptable_runs", json=body)
    assert answer.status_code == 200, answer.text
    return [run["id"] for run in answer.json()]


async def silence(database: Database, worker: str) -> None:
    """Let a worker's last heartbeat be longer ago than any of its leases."""
    async with database.write() as db:
        then = await db.now() - timedelta(seconds=16)
        named = workers.c.name == worker
        await db.execute(update(workers).where(named).values(last_heartbeat_time=then))


async def expire(database: Database) -> None:
    """Let every lease be over."""
    async with database.write() as db:
        await db.execute(update(claims).values(expires_at=await db.now()))


async def sweep(database: Database, run: UUID) -> bool:
    """What the rescuer does about a claim of the run that it has seen; whether it moved the run."""
    async with database.write() as db:
        live = select(claims.c.id).where(claims.c.flow_run_id == run, claims.c.ended_at.is_(None))
        return await rescues.rescue(db, await db.scalar(live), run)


async def test_a_restarted_worker_goes_on_with_the_next_epoch_and_the_same_slot(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database, concurrency_limit=1)

    answer = await adopt(api, run, "w1")

    assert answer.json() == {"claim": f"{run}:2"}
    assert await live_claims(database) == [(run, 2)]


async def test_another_worker_adopts_what_a_silent_one_holds(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database)
    before = await adoptable(api, "w2")
    await silence(database, "w1")

    found = await adoptable(api, "w2")
    answer = await adopt(api, run, "w2")

    assert (before, found) == ([], [str(run)])
    assert answer.json() == {"claim": f"{run}:2"}
    assert await adoptable(api, "w3") == []


async def test_a_restarted_worker_sees_its_own_runs_at_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database)

    found = [await adoptable(api, worker, is_restarted=True) for worker in ("w1", "w2")]

    assert found == [[str(run)], []]


async def test_of_two_adopters_at_once_one_holds_the_run(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database)
    await expire(database)

    answers = await asyncio.gather(*(adopt(api, run, w) for w in ("w2", "w3", "w2", "w3")))

    holders = {("w2", "w3")[i % 2] for i, a in enumerate(answers) if a.status_code == 200}
    assert {answer.status_code for answer in answers} == {200, 409}
    assert len(holders) == 1  # the winner may ask twice: an answer may be lost
    ((_, epoch),) = await live_claims(database)
    assert epoch == 1 + sum(answer.status_code == 200 for answer in answers)


@pytest.mark.parametrize("first", ["sweep", "adoption", "both"])
async def test_a_lapsed_claim_is_adopted_or_swept_and_never_both(
    api: httpx.AsyncClient, database: Database, first: str
) -> None:
    run = await a_started_run(api, database)
    await expire(database)

    if first == "sweep":
        is_swept, answer = await sweep(database, run), await adopt(api, run, "w2")
    elif first == "adoption":
        answer, is_swept = await adopt(api, run, "w2"), await sweep(database, run)
    else:
        is_swept, answer = await asyncio.gather(sweep(database, run), adopt(api, run, "w2"))

    is_adopted = answer.status_code == 200
    state = (await api.get(f"/flow_runs/{run}")).json()["state_type"]
    assert is_adopted is not is_swept
    assert first == "both" or is_adopted is (first == "adoption")
    assert state == ("RUNNING" if is_adopted else "CRASHED")
    assert await live_claims(database) == ([(run, 2)] if is_adopted else [])
    assert is_adopted or answer.status_code == 409


async def test_the_old_holder_is_refused_and_what_it_started_is_heard(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database)
    await silence(database, "w1")
    await adopt(api, run, "w2")

    old_holder = await propose(api, run, "CRASHED", claim=f"{run}:1", worker="w1")
    engine = await propose(api, run, "COMPLETED", claim=f"{run}:1")

    assert verdict(old_holder)[:2] == ("ABORT", "RUNNING")
    assert verdict(engine)[:2] == ("ACCEPT", "COMPLETED")


async def test_what_was_started_is_heard_after_many_adoptions_and_not_after_a_new_claim(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database, on_lost="reschedule")
    for _ in range(3):
        await adopt(api, run, "w1")
    heard = await propose(api, run, "RUNNING", claim=f"{run}:1", name="Step 2")
    await expire(database)
    await sweep(database, run)
    await propose(api, run, "PENDING", worker="w2")

    late = await propose(api, run, "COMPLETED", claim=f"{run}:1")

    assert heard.json()["details"]["reason"].startswith("Claim 4")  # started already: not stale
    assert verdict(late)[:2] == ("ABORT", "PENDING")
    assert await live_claims(database) == [(run, 5)]


@pytest.mark.parametrize(
    ("worker", "infrastructure", "status"),
    [("w2", "job", 409), ("w1", "another", 409), ("w1", "", 422)],
    ids=["its holder is alive", "another infrastructure", "no infrastructure"],
)
async def test_a_run_is_not_taken_from_who_looks_after_it(
    api: httpx.AsyncClient, database: Database, worker: str, infrastructure: str, status: int
) -> None:
    run = await a_started_run(api, database)

    answer = await adopt(api, run, worker, infrastructure)

    assert answer.status_code == status
    assert await live_claims(database) == [(run, 1)]


async def test_a_run_of_another_pool_is_not_found(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database)
    await a_place(database, "q")
    body = {"worker_name": "w1", "flow_run_id": str(run), "infrastructure_id": "job"}

    answers = [await api.post(f"/work_pools/{pool}/adopt", json=body) for pool in ("q", "none")]

    assert [answer.status_code for answer in answers] == [404, 404]


async def test_a_run_that_says_it_is_alive_keeps_its_claim(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_started_run(api, database)
    await expire(database)
    sent = [
        an_event("prefect.flow-run.heartbeat", resource={"prefect.resource.id": name})
        for name in ("prefect.flow-run.none", f"prefect.flow-run.{run}", str(run))
    ]

    answer = await api.post("/events", json=sent)

    assert answer.status_code == 204
    assert await sweep(database, run) is False
    async with database.read() as db:
        left = await db.scalar(select(claims.c.expires_at)) - await db.now()
    assert timedelta(seconds=80) < left <= timedelta(seconds=90)
