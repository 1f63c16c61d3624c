"""Requests that wait for runs: what wakes them, whom, how soon, and what waiting costs."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest
from fastapi import FastAPI

from forebay_server.db.engine import Database
from forebay_server.dispatch.waiting import WaitingRoom
from tests.server.dispatch.builders import answered, claim, names, until, waiting
from tests.server.flow_runs.builders import Place, a_place, a_queue, a_run, live_claims, propose
from tests.server.statements import recorded


async def test_a_new_run_wakes_who_waits(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    claiming = await waiting(api, room)

    await a_run(database, place.queue_id, name="r")

    assert await answered(claiming) == ["r"]


async def test_a_wait_without_work_ends_in_time(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    await a_place(database)

    answer = await claim(api, wait_seconds=0.05)

    assert names(answer) == []
    assert room.waiting == 0


@pytest.mark.parametrize("is_known_before", [True, False])
async def test_a_scheduled_run_is_claimed_at_its_time(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom, is_known_before: bool
) -> None:
    place = await a_place(database)
    due = datetime.now(UTC) + timedelta(seconds=1.5)
    if is_known_before:
        await a_run(database, place.queue_id, name="r", due=due)
    claiming = await waiting(api, room)
    if not is_known_before:
        await a_run(database, place.queue_id, name="r", due=due)

    (run,) = (await claiming).json()["runs"]

    claimed_at = datetime.fromisoformat(run["flow_run"]["state"]["timestamp"])
    assert timedelta(0) <= claimed_at - due < timedelta(seconds=1)


async def test_a_run_may_be_claimed_before_its_time_when_it_is_asked_for(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    claiming = await waiting(api, room, prefetch_seconds=60)

    due = datetime.now(UTC) + timedelta(seconds=50)
    await a_run(database, place.queue_id, name="r", due=due)

    assert await answered(claiming) == ["r"]


async def end_a_run(api: httpx.AsyncClient, place: Place, run: UUID) -> None:
    await propose(api, run, "COMPLETED")


async def delete_a_run(api: httpx.AsyncClient, place: Place, run: UUID) -> None:
    await api.delete(f"/flow_runs/{run}")


async def raise_the_pools_limit(api: httpx.AsyncClient, place: Place, run: UUID) -> None:
    await api.patch("/work_pools/p", json={"concurrency_limit": 2})


SLOT_COMES: list[Callable[[httpx.AsyncClient, Place, UUID], Awaitable[None]]] = [
    end_a_run,
    delete_a_run,
    raise_the_pools_limit,
]


@pytest.mark.parametrize("change", SLOT_COMES, ids=lambda change: change.__name__)
async def test_a_slot_that_comes_wakes_who_waits(
    api: httpx.AsyncClient,
    database: Database,
    room: WaitingRoom,
    change: Callable[[httpx.AsyncClient, Place, UUID], Awaitable[None]],
) -> None:
    place = await a_place(database, concurrency_limit=1)
    holder = await a_run(database, place.queue_id)
    await propose(api, holder, "PENDING", worker="w0")
    await a_run(database, place.queue_id, name="r")
    claiming = await waiting(api, room)

    await change(api, place, holder)

    assert await answered(claiming) == ["r"]


async def test_a_slot_of_one_queue_wakes_who_waits_for_another_of_the_pool(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database, concurrency_limit=1)
    other = await a_queue(database, place.pool_id, "other")
    holder = await a_run(database, place.queue_id)
    await propose(api, holder, "PENDING", worker="w0")
    await a_run(database, other, name="r")
    claiming = await waiting(api, room, work_queue_names=["other"])

    await api.delete(f"/flow_runs/{holder}")

    assert await answered(claiming) == ["r"]


@pytest.mark.parametrize("changes", [{"is_paused": False}, {"concurrency_limit": 1}])
@pytest.mark.parametrize("changed", ["pool", "queue"])
async def test_what_lets_runs_pass_again_wakes_who_waits(
    api: httpx.AsyncClient,
    database: Database,
    room: WaitingRoom,
    changes: dict[str, Any],
    changed: str,
) -> None:
    place = await a_place(database)
    path = "/work_pools/p" if changed == "pool" else f"/work_queues/{place.queue_id}"
    closed = {"is_paused": True} if "is_paused" in changes else {"concurrency_limit": 0}
    await api.patch(path, json=closed)
    await a_run(database, place.queue_id, name="r")
    claiming = await waiting(api, room)

    await api.patch(path, json=changes)

    assert await answered(claiming) == ["r"]


async def test_a_run_that_is_handed_back_wakes_who_waits(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id, name="r")
    await propose(api, run, "PENDING", worker="w0")
    claiming = await waiting(api, room)

    await propose(api, run, "SCHEDULED", worker="w0")

    assert await answered(claiming) == ["r"]


async def test_a_queue_that_is_made_later_is_waited_for_too(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    await a_place(database)
    claiming = await waiting(api, room)

    queue = (await api.post("/work_pools/p/queues", json={"name": "new"})).json()
    await a_run(database, UUID(queue["id"]), name="r")

    assert await answered(claiming) == ["r"]


async def test_a_pool_that_is_deleted_is_waited_for_no_longer(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    await a_place(database)
    claiming = await waiting(api, room)

    await api.delete("/work_pools/p")

    assert (await claiming).status_code == 404


async def test_who_waits_first_is_served_first(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    first = await waiting(api, room, worker="w1")
    second = await waiting(api, room, worker="w2")

    await a_run(database, place.queue_id, name="one")
    got_first = await answered(first)
    await a_run(database, place.queue_id, name="two")

    assert (got_first, await answered(second)) == (["one"], ["two"])


async def test_what_one_leaves_is_for_the_next(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    await api.patch("/work_pools/p", json={"is_paused": True})
    for number in range(3):
        await a_run(database, place.queue_id, name=f"r{number}")
    claimings = [await waiting(api, room, worker=f"w{n}", limit=1) for n in range(3)]

    await api.patch("/work_pools/p", json={"is_paused": False})

    assert [await answered(claiming) for claiming in claimings] == [["r0"], ["r1"], ["r2"]]


async def test_who_waits_for_other_queues_is_passed_over(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    await a_queue(database, place.pool_id, "other")
    other = await waiting(api, room, worker="w1", work_queue_names=["other"])
    default = await waiting(api, room, worker="w2", work_queue_names=["default"])

    with recorded(database) as statements:
        await a_run(database, place.queue_id, name="r")
        got = await answered(default)

    assert got == ["r"]
    assert room.waiting == 1
    assert sum("heartbeat_interval_seconds" in words for words, _ in statements) == 1
    other.cancel()


async def test_a_client_that_hangs_up_is_given_nothing(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    gone = await waiting(api, room, worker="w1")
    waits = await waiting(api, room, worker="w2")

    gone.cancel()
    await until(lambda: room.waiting == 1)
    await a_run(database, place.queue_id, name="r")

    assert await answered(waits) == ["r"]
    assert len(await live_claims(database)) == 1


async def test_an_attempt_that_is_made_again_ends_the_earlier_wait(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    attempt = str(uuid4())
    first = await waiting(api, room, attempt=attempt)

    again = asyncio.create_task(claim(api, wait_seconds=60, attempt=attempt))
    assert await answered(first) == []
    await until(lambda: room.waiting == 1)
    await a_run(database, place.queue_id, name="r")

    assert await answered(again) == ["r"]


async def test_a_server_that_stops_lets_nobody_wait(
    api: httpx.AsyncClient, app: FastAPI, database: Database, room: WaitingRoom
) -> None:
    await a_place(database)
    claiming = await waiting(api, room)

    app.state.stopping.set()

    assert await answered(claiming) == []
    assert await answered(asyncio.create_task(claim(api, wait_seconds=60))) == []


async def test_waiting_costs_no_statements_and_no_connection(
    api: httpx.AsyncClient, database: Database, room: WaitingRoom
) -> None:
    place = await a_place(database)
    await a_run(database, place.queue_id, due=datetime.now(UTC) + timedelta(hours=1))
    claimings = [
        asyncio.create_task(claim(api, worker=f"w{number}", wait_seconds=60))
        for number in range(200)
    ]
    await until(lambda: room.waiting == 200)

    with recorded(database) as idle:
        async with asyncio.timeout(0.5), database.write():
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(1000)))
    with recorded(database) as waking:
        await a_run(database, place.queue_id, name="r")
        done, _ = await asyncio.wait(claimings, return_when=asyncio.FIRST_COMPLETED)
        await until(lambda: room.waiting == 199)

    assert idle == []
    assert [names(task.result()) for task in done] == [["r"]]
    assert sum("heartbeat_interval_seconds" in words for words, _ in waking) == 1
    for task in claimings:
        task.cancel()
    await until(lambda: room.waiting == 0)
