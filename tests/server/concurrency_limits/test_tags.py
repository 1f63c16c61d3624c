"""Limits of tags over HTTP."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest

from tests.server.concurrency_limits.builders import V2, a_lease, a_limit, active_slots

V1 = "/concurrency_limits"


async def a_tag_limit(api: httpx.AsyncClient, tag: str = "t", limit: int = 1) -> dict[str, Any]:
    answer = await api.post(f"{V1}/", json={"tag": tag, "concurrency_limit": limit})
    assert answer.status_code in (200, 201), answer.text
    made: dict[str, Any] = answer.json()
    return made


async def take(api: httpx.AsyncClient, task_run: UUID, *tags: str) -> httpx.Response:
    body = {"names": list(tags), "task_run_id": str(task_run)}
    return await api.post(f"{V1}/increment", json=body)


async def give_back(api: httpx.AsyncClient, task_run: UUID, *tags: str) -> httpx.Response:
    body = {"names": list(tags), "task_run_id": str(task_run)}
    return await api.post(f"{V1}/decrement", json=body)


async def holders(api: httpx.AsyncClient, tag: str = "t") -> list[str]:
    found: list[str] = (await api.get(f"{V1}/tag/{tag}")).json()["active_slots"]
    return found


async def test_the_limit_of_a_tag_is_made_once_and_then_changed(api: httpx.AsyncClient) -> None:
    body = {"tag": "t", "concurrency_limit": 1}
    first = await api.post(f"{V1}/", json=body)

    second = await api.post(f"{V1}/", json={**body, "concurrency_limit": 5})

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json()["id"] == first.json()["id"]
    assert second.json()["concurrency_limit"] == 5
    assert (await api.get(f"{V1}/{first.json()['id']}")).json() == second.json()
    assert (await api.get(f"{V2}/tag:t")).json()["limit"] == 5


async def test_only_limits_of_tags_are_listed(api: httpx.AsyncClient) -> None:
    for name in ("a", "z"):
        await a_limit(api, name)
    for tag in ("y", "x"):
        await a_tag_limit(api, tag)

    page = (await api.post(f"{V1}/filter", json={"limit": 1, "offset": 1})).json()
    every = (await api.post(f"{V1}/filter")).json()

    assert [limit["tag"] for limit in every] == ["x", "y"]
    assert [limit["tag"] for limit in page] == ["y"]


async def test_a_limit_that_is_not_of_a_tag_cannot_be_reached_as_one(
    api: httpx.AsyncClient,
) -> None:
    limit = await a_limit(api, "l")

    answers = [
        await api.get(f"{V1}/{limit['id']}"),
        await api.delete(f"{V1}/{limit['id']}"),
        await api.get(f"{V1}/tag/l"),
        await api.delete(f"{V1}/tag/l"),
        await api.post(f"{V1}/tag/l/reset"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert (await api.get(f"{V2}/l")).status_code == 200


async def test_a_task_run_holds_one_slot_of_each_tag_however_often_it_asks(
    api: httpx.AsyncClient,
) -> None:
    await a_tag_limit(api, "t", 2)
    await a_tag_limit(api, "u", 2)
    run = uuid4()

    answers = [await take(api, run, "t", "u", "unlimited") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert [limit["name"] for limit in answers[0].json()] == ["tag:t", "tag:u"]
    assert await holders(api, "t") == await holders(api, "u") == [str(run)]


async def test_one_full_tag_refuses_all(api: httpx.AsyncClient) -> None:
    await a_tag_limit(api, "t", 1)
    await a_tag_limit(api, "u", 1)
    await take(api, uuid4(), "u")

    answer = await take(api, uuid4(), "t", "u")

    assert answer.status_code == 423
    assert float(answer.headers["retry-after"]) > 0
    assert await holders(api, "t") == []


async def test_a_tag_with_limit_zero_refuses_at_length(api: httpx.AsyncClient) -> None:
    await a_tag_limit(api, "t", 0)

    answer = await take(api, uuid4(), "t")

    assert answer.status_code == 423
    assert float(answer.headers["retry-after"]) >= 30


async def test_a_slot_is_given_back_by_its_holder_only(api: httpx.AsyncClient) -> None:
    await a_tag_limit(api)
    run = uuid4()
    await take(api, run, "t")

    other = await give_back(api, uuid4(), "t")
    kept = await holders(api)
    own = await give_back(api, run, "t")

    assert (other.status_code, own.status_code) == (200, 200)
    assert (kept, await holders(api)) == ([str(run)], [])


async def test_a_reset_frees_all_but_the_task_runs_named(api: httpx.AsyncClient) -> None:
    await a_tag_limit(api, "t", 5)
    await take(api, uuid4(), "t")
    await a_lease(api, "tag:t")
    kept = [str(uuid4()), str(uuid4())]

    named = await api.post(f"{V1}/tag/t/reset", json={"slot_override": [*kept, kept[0]]})
    after = await holders(api)
    empty = await api.post(f"{V1}/tag/t/reset", json={"slot_override": None})

    assert (named.status_code, named.json()) == (empty.status_code, empty.json()) == (200, None)
    assert sorted(after) == sorted(kept)
    assert await active_slots(api, "tag:t") == 0


async def test_a_task_run_that_holds_a_lease_is_shown(api: httpx.AsyncClient) -> None:
    await a_tag_limit(api)
    run = str(uuid4())

    await a_lease(api, "tag:t", holder={"type": "task_run", "id": run})

    assert await holders(api) == [run]


async def test_a_deleted_limit_is_gone(api: httpx.AsyncClient) -> None:
    await a_tag_limit(api)
    other = await a_tag_limit(api, "u")

    by_tag = await api.delete(f"{V1}/tag/t")
    by_id = await api.delete(f"{V1}/{other['id']}")

    assert (by_tag.status_code, by_tag.json()) == (by_id.status_code, by_id.json()) == (200, None)
    assert (await api.get(f"{V1}/tag/t")).status_code == 404
    assert (await api.post(f"{V1}/filter")).json() == []


async def test_task_runs_at_once_never_exceed_the_limit(api: httpx.AsyncClient) -> None:
    await a_tag_limit(api, "t", 3)
    await a_tag_limit(api, "u", 5)

    answers = await asyncio.gather(
        *(take(api, uuid4(), *(["t", "u"] if i % 2 else ["u", "t"])) for i in range(8))
    )

    assert sorted(answer.status_code for answer in answers) == [200] * 3 + [423] * 5
    assert len(await holders(api, "t")) == len(await holders(api, "u")) == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", {"tag": "a/b", "concurrency_limit": 1}),
        ("/", {"tag": "a" * 252, "concurrency_limit": 1}),
        ("/", {"tag": "a", "concurrency_limit": -1}),
        ("/increment", {"names": ["a"]}),
        ("/increment", {"names": ["a"], "task_run_id": "x"}),
        ("/tag/t/reset", {"slot_override": ["x"]}),
    ],
)
async def test_a_bad_body_is_refused(api: httpx.AsyncClient, path: str, body: Any) -> None:
    answer = await api.post(V1 + path, json=body)

    assert answer.status_code == 422, answer.text
