"""Limits over HTTP: making, reading, changing, deleting."""

from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database
from tests.server.concurrency_limits.builders import (
    V2,
    a_lease,
    a_limit,
    active_slots,
    let_time_pass,
    renew,
    take,
)


async def test_a_limit_is_read_by_id_and_by_name(api: httpx.AsyncClient) -> None:
    made = await a_limit(api, "größe 1.0", 3, slot_decay_per_second=0.5)

    by_id = await api.get(f"{V2}/{made['id']}")
    by_name = await api.get(f"{V2}/größe 1.0")

    assert by_id.json() == by_name.json()
    assert by_name.json() == {
        "id": made["id"],
        "created": made["created"],
        "updated": made["updated"],
        "active": True,
        "name": "größe 1.0",
        "limit": 3,
        "active_slots": 0,
        "slot_decay_per_second": 0.5,
    }


async def test_a_name_that_looks_like_the_id_of_another_limit_is_read(
    api: httpx.AsyncClient,
) -> None:
    other = await a_limit(api, "other")
    made = await a_limit(api, other["id"])

    answer = await api.get(f"{V2}/{other['id']}")

    assert answer.json()["id"] == made["id"]


async def test_a_taken_name_is_a_conflict_that_names_who_has_it(api: httpx.AsyncClient) -> None:
    made = await a_limit(api)

    answer = await api.post(f"{V2}/", json={"name": "l", "limit": 2})

    assert answer.status_code == 409
    assert answer.json()["existing_id"] == made["id"]


async def test_a_limit_that_does_not_exist_is_not_found(api: httpx.AsyncClient) -> None:
    answers = [
        await api.request(method, f"{V2}/{name}", json={})
        for method in ("GET", "PATCH", "DELETE")
        for name in ("none", str(uuid4()))
    ]

    assert [answer.status_code for answer in answers] == [404] * 6


async def test_a_change_keeps_what_it_does_not_name(api: httpx.AsyncClient) -> None:
    made = await a_limit(api, limit=3, slot_decay_per_second=0.5)

    answer = await api.patch(f"{V2}/l", json={"limit": 5, "name": "m", "denied_slots": 7})

    after = (await api.get(f"{V2}/m")).json()
    assert (answer.status_code, answer.content) == (204, b"")
    assert (after["id"], after["limit"]) == (made["id"], 5)
    assert after["slot_decay_per_second"] == 0.5
    assert after["updated"] > made["updated"]


async def test_limits_are_listed_by_name_in_pages(api: httpx.AsyncClient) -> None:
    for name in ("b", "c", "a"):
        await a_limit(api, name)

    async def names(body: Any) -> list[str]:
        return [limit["name"] for limit in (await api.post(f"{V2}/filter", json=body)).json()]

    assert await names(None) == ["a", "b", "c"]
    assert await names({"limit": 2, "offset": 1}) == ["b", "c"]
    assert await names({"limit": None, "offset": None, "unknown": 1}) == ["a", "b", "c"]


async def test_lowering_a_limit_takes_no_slot_and_grants_none(api: httpx.AsyncClient) -> None:
    await a_limit(api, limit=3)
    leases = [await a_lease(api, "l") for _ in range(3)]

    await api.patch(f"{V2}/l", json={"limit": 1})

    assert await active_slots(api) == 3
    assert await take(api, "l") == 423
    assert [await renew(api, lease) for lease in leases] == [204] * 3


@pytest.mark.parametrize("wanted", [0, 1, 2, 5])
async def test_active_slots_can_be_set(api: httpx.AsyncClient, wanted: int) -> None:
    await a_limit(api, limit=3)
    await take(api, "l")
    await a_lease(api, "l", slots=2)

    answer = await api.patch(f"{V2}/l", json={"active_slots": wanted})

    assert answer.status_code == 204
    # A lease of two slots is freed as a whole or not at all.
    assert await active_slots(api) == {0: 0, 1: 0, 2: 2, 5: 5}[wanted]


async def test_a_new_limit_can_begin_with_slots_taken(api: httpx.AsyncClient) -> None:
    made = await a_limit(api, limit=2, active_slots=2)

    assert made["active_slots"] == 2
    assert await active_slots(api) == 2
    assert await take(api, "l") == 423


async def test_what_is_taken_stays_so_when_slots_begin_and_cease_to_decay(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_limit(api, limit=4)
    await take(api, "l")
    await a_lease(api, "l", slots=2)

    await api.patch(f"{V2}/l", json={"slot_decay_per_second": 0.01})
    decaying = await active_slots(api)
    await let_time_pass(database, 110)
    decayed = await active_slots(api)
    await api.patch(f"{V2}/l", json={"slot_decay_per_second": 0})

    assert (decaying, decayed) == (3, 2)
    # The slot without a lease and the lease are there still; time alone frees neither now.
    assert await active_slots(api) == 3


async def test_deleting_a_limit_leaves_its_leases(api: httpx.AsyncClient) -> None:
    await a_limit(api, "a")
    await a_limit(api, "b")
    lease = await a_lease(api, "a", "b")

    answer = await api.delete(f"{V2}/a")

    assert answer.status_code == 204
    assert await renew(api, lease) == 204
    assert await active_slots(api, "b") == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", {"name": "a/b", "limit": 1}),
        ("/", {"name": "a"}),
        ("/", {"name": "a", "limit": -1}),
        ("/", {"name": "a", "limit": 2**31}),
        ("/", {"name": "a", "limit": 1, "bogus": 1}),
        ("/", {"name": "a", "limit": 1, "slot_decay_per_second": -1}),
        ("/", {"name": "a", "limit": 1, "slot_decay_per_second": 1e-300}),
        ("/", {"name": "a\x00", "limit": 1}),
        ("/increment", {"names": [], "slots": 1}),
        ("/increment", {"names": ["\x00"], "slots": 1}),
        ("/increment", {"names": ["a"], "slots": 0}),
        ("/increment", {"names": ["a"], "slots": 1, "mode": "other"}),
        ("/increment-with-lease", {"names": ["a"], "slots": 1, "lease_duration": 10}),
        ("/increment-with-lease", {"names": ["a"], "slots": 1, "holder": {"type": "x"}}),
        ("/decrement-with-lease", {"lease_id": "x"}),
        ("/decrement", {"names": ["a"], "slots": 2**31}),
        ("/filter", {"limit": 201}),
    ],
)
async def test_a_bad_body_is_refused(api: httpx.AsyncClient, path: str, body: Any) -> None:
    answer = await api.post(V2 + path, json=body)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("key", ["name", "limit", "active", "slot_decay_per_second"])
async def test_null_is_refused_where_there_must_be_a_value(
    api: httpx.AsyncClient, key: str
) -> None:
    await a_limit(api)

    answer = await api.patch(f"{V2}/l", json={key: None})

    assert answer.status_code == 409
    assert key in answer.json()["detail"]


async def test_a_decay_that_is_infinite_is_refused(api: httpx.AsyncClient) -> None:
    body = b'{"name": "a", "limit": 1, "slot_decay_per_second": 1e999}'

    answer = await api.post(f"{V2}/", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
