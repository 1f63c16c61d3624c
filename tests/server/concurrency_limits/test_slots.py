"""Taking slots and giving them back: what is granted, and what time does."""

import asyncio
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest
from sqlalchemy import func, select

from forebay_server.concurrency_limits import slots
from forebay_server.concurrency_limits.tables import concurrency_leases, concurrency_slots
from forebay_server.db.engine import Database
from tests.server.concurrency_limits.builders import (
    V2,
    a_lease,
    a_limit,
    active_slots,
    end,
    give_back,
    lease,
    let_time_pass,
    renew,
    take,
)

CALLERS = 8


async def test_slots_are_granted_up_to_the_limit(api: httpx.AsyncClient) -> None:
    made = await a_limit(api, limit=2)

    answer = await api.post(f"{V2}/increment", json={"names": ["l"], "slots": 2})
    refused = await api.post(f"{V2}/increment", json={"names": ["l"], "slots": 1})

    assert answer.json() == [{"id": made["id"], "name": "l", "limit": 2}]
    assert refused.status_code == 423
    assert 0 < float(refused.headers["retry-after"]) <= 30
    assert await active_slots(api) == 2


async def test_slots_without_a_lease_are_held_until_they_are_given_back(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api, limit=3)
    await take(api, "l", slots=3)
    await let_time_pass(database, 10**6)

    before = await active_slots(api)
    status = await give_back(api, "l", slots=2)

    assert (before, status) == (3, 200)
    assert await active_slots(api) == 1


async def test_giving_back_more_than_there_is_ends_at_nothing(api: httpx.AsyncClient) -> None:
    await a_limit(api, limit=3)
    await take(api, "l")

    await give_back(api, "l", slots=3)

    assert await active_slots(api) == 0
    assert await take(api, "l", slots=3) == 200


async def test_giving_back_takes_nothing_from_a_lease(api: httpx.AsyncClient) -> None:
    await a_limit(api, limit=2)
    held = await a_lease(api, "l")
    await take(api, "l")

    await give_back(api, "l", slots=2)

    assert await active_slots(api) == 1
    assert await renew(api, held) == 204


async def test_one_full_limit_refuses_all(api: httpx.AsyncClient) -> None:
    await a_limit(api, "a", 2)
    await a_limit(api, "b", 1)
    await take(api, "b")

    status = await take(api, "a", "b")

    assert status == 423
    assert await active_slots(api, "a") == 0


async def test_names_without_a_limit_are_left_out(api: httpx.AsyncClient) -> None:
    made = await a_limit(api)

    answer = await lease(api, "none", "l", "l")
    nothing = await lease(api, "none")

    assert answer.json()["limits"] == [{"id": made["id"], "name": "l", "limit": 1}]
    assert nothing.json()["limits"] == []
    assert await renew(api, UUID(nothing.json()["lease_id"])) == 204


async def test_an_inactive_limit_is_not_kept(api: httpx.AsyncClient) -> None:
    await a_limit(api, limit=1, active=False)

    statuses = [await take(api, "l", slots=5) for _ in range(3)]

    assert statuses == [200] * 3
    assert await active_slots(api) == 0


@pytest.mark.parametrize("limit", [0, 1])
async def test_more_slots_than_the_limit_are_refused_for_good(
    api: httpx.AsyncClient, limit: int
) -> None:
    await a_limit(api, limit=limit)

    answer = await api.post(f"{V2}/increment", json={"names": ["l"], "slots": limit + 1})

    assert answer.status_code == 422
    assert "greater than the limit" in answer.json()["detail"]


async def test_a_lease_that_ran_out_frees_its_slots_without_a_sweep(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api)
    held = await a_lease(api, "l", lease_duration=60)
    await let_time_pass(database, 61)

    shown = await active_slots(api)
    second = await a_lease(api, "l")

    assert shown == 0
    assert await renew(api, held) == 410
    assert await renew(api, second) == 204
    assert await active_slots(api) == 1


async def test_a_lease_that_ran_out_cannot_be_renewed_even_when_nobody_wants_its_slots(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api)
    held = await a_lease(api, "l", lease_duration=60)
    await let_time_pass(database, 61)

    assert await renew(api, held) == 410


async def test_a_renewed_lease_holds_longer(api: httpx.AsyncClient, database: Database) -> None:
    await a_limit(api)
    held = await a_lease(api, "l", lease_duration=60)
    await let_time_pass(database, 50)

    status = await renew(api, held)
    await let_time_pass(database, 50)

    assert status == 204
    assert await active_slots(api) == 1


async def test_an_ended_lease_is_gone_and_ending_it_again_is_no_error(
    api: httpx.AsyncClient,
) -> None:
    await a_limit(api)
    held = await a_lease(api, "l")

    statuses = (await end(api, held), await end(api, held), await renew(api, held))

    assert statuses == (204, 204, 410)
    assert await take(api, "l") == 200


async def test_a_request_repeated_with_its_key_takes_its_slots_once(
    api: httpx.AsyncClient,
) -> None:
    await a_limit(api, limit=5)
    body = {"names": ["l"], "slots": 2}
    headers = {"Idempotency-Key": "k"}

    for path in ("increment", "increment-with-lease"):
        answers = [
            await api.post(f"{V2}/{path}", json=body, headers=headers | {"x-try": str(i)})
            for i in range(3)
        ]
        assert len({answer.text for answer in answers}) == 1

    assert await active_slots(api) == 4


async def test_the_sweep_deletes_only_what_has_run_out(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api, limit=2)
    await a_lease(api, "l", lease_duration=60)
    live = await a_lease(api, "l", lease_duration=600)
    await let_time_pass(database, 61)

    async with database.write() as db:
        swept = await slots.sweep(db)

    async with database.read() as db:
        left = [row.id for row in await db.rows(select(concurrency_leases.c.id))]
        held = await db.scalar(select(func.count()).select_from(concurrency_slots))
    assert (swept, left, held) == (1, [live], 1)


async def test_how_long_slots_were_held_tells_others_how_long_to_wait(
    api: httpx.AsyncClient,
) -> None:
    await a_limit(api)
    for _ in range(50):
        await take(api, "l")
        body = {"names": ["l"], "slots": 1, "occupancy_seconds": 20.0}
        await api.post(f"{V2}/decrement", json=body)
    await take(api, "l")

    refused = await api.post(f"{V2}/increment", json={"names": ["l"], "slots": 1})

    assert float(refused.headers["retry-after"]) > 9


# ------------------------------------------------------------------------------------- decay


async def test_a_rate_needs_slots_that_decay(api: httpx.AsyncClient) -> None:
    await a_limit(api)

    assert await take(api, "l", mode="rate_limit") == 422
    assert await active_slots(api) == 0


async def test_slots_that_decay_are_free_again_with_time(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api, limit=4, slot_decay_per_second=0.1)
    first = await take(api, "l", slots=4, mode="rate_limit")
    refused = await api.post(
        f"{V2}/increment", json={"names": ["l"], "slots": 1, "mode": "rate_limit"}
    )
    await let_time_pass(database, 20)

    statuses = [await take(api, "l", mode="rate_limit") for _ in range(3)]

    assert (first, refused.status_code) == (200, 423)
    assert float(refused.headers["retry-after"]) == pytest.approx(10, abs=1.5)
    assert statuses == [200, 200, 423]
    assert await active_slots(api) == 4


async def test_a_rate_is_never_exceeded_over_a_long_time(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api, limit=3, slot_decay_per_second=0.01)
    granted = 0

    for _ in range(30):
        granted += await take(api, "l", mode="rate_limit") == 200
        await let_time_pass(database, 33)

    # Three at once, and one every hundred seconds of the 990 that passed.
    assert 12 <= granted <= 13


async def test_slots_that_decay_and_are_given_back_are_free_at_once(
    api: httpx.AsyncClient,
) -> None:
    await a_limit(api, limit=2, slot_decay_per_second=0.001)
    held = await a_lease(api, "l")
    await take(api, "l")

    await end(api, held)
    after_lease = await active_slots(api)
    await give_back(api, "l")

    assert after_lease == 1
    assert await active_slots(api) == 0


# ---------------------------------------------------------------------------------- at once


async def test_callers_at_once_never_exceed_the_limit(
    api: httpx.AsyncClient, database: Database
) -> None:
    limit = 3
    await a_limit(api, limit=limit)
    holding, most = 0, 0

    async def work() -> int:
        nonlocal holding, most
        got = 0
        for _ in range(10):
            answer = await lease(api, "l", holder={"type": "flow_run", "id": str(uuid4())})
            assert answer.status_code in (200, 423), answer.text
            if answer.status_code == 200:
                got += 1
                holding += 1
                most = max(most, holding)
                await asyncio.sleep(0)
                holding -= 1
                assert await end(api, UUID(answer.json()["lease_id"])) == 204
        return got

    got = await asyncio.gather(*(work() for _ in range(CALLERS)))

    assert 0 < most <= limit
    assert sum(got) >= 10
    assert await active_slots(api) == 0


async def test_exactly_the_limit_is_granted_to_callers_at_once(api: httpx.AsyncClient) -> None:
    await a_limit(api, limit=5)

    statuses = await asyncio.gather(*(take(api, "l") for _ in range(CALLERS)))

    assert sorted(statuses) == [200] * 5 + [423] * 3
    assert await active_slots(api) == 5


async def test_callers_that_name_limits_in_any_order_do_not_block_each_other(
    api: httpx.AsyncClient,
) -> None:
    names = ["a", "b", "c", "d"]
    for name in names:
        await a_limit(api, name, 100)
    orders = [names[i:] + names[:i] for i in range(4)] * 2

    async def work(order: list[str]) -> list[int]:
        statuses = []
        for _ in range(5):
            answer = await lease(api, *order)
            statuses.append(answer.status_code)
            statuses.append(await end(api, UUID(answer.json()["lease_id"])))
        return statuses

    found = await asyncio.gather(*(work(order) for order in orders))

    assert {status for statuses in found for status in statuses} == {200, 204}
    assert [await active_slots(api, name) for name in names] == [0] * 4


async def test_of_renewal_and_expiry_at_once_only_one_comes_true(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api)

    for _ in range(10):
        held = await a_lease(api, "l", lease_duration=60)
        await let_time_pass(database, 60 - 0.02)
        renewals = [renew(api, held) for _ in range(CALLERS // 2)]
        others = [lease(api, "l") for _ in range(CALLERS // 2)]
        answers = await asyncio.gather(*others, *renewals)
        took = [a for a in answers[: len(others)] if a.status_code == 200]
        is_kept = await renew(api, held) == 204

        assert len(took) + is_kept <= 1
        assert await active_slots(api) <= 1
        await api.patch(f"{V2}/l", json={"active_slots": 0})
