"""Changes that depend on the version of what they change, on both databases."""

import asyncio
from dataclasses import dataclass
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import select, text

from forebay_server.db.engine import Database
from forebay_server.work_pools.tables import work_pools
from tests.both_databases import settings
from tests.server.deployments.builders import a_flow, sent

__all__ = ["settings"]

CHANGERS = 8
SCHEDULE = {"schedule": {"interval": 3600, "timezone": "UTC"}, "active": True}


@dataclass(frozen=True)
class Kind:
    """How objects of a kind are made, and a change of one."""

    made_at: str
    body: dict[str, Any]
    path: str  # of the object, by keys of the answer that made it
    change: dict[str, Any]
    other: dict[str, Any]
    needs_pool: bool = False


POOL = Kind(
    "/work_pools/", {"name": "p", "type": "process"}, "/work_pools/{name}",
    {"concurrency_limit": 3}, {"description": "mine"},
)  # fmt: skip
QUEUE = {
    "made_at": "/work_pools/p/queues",
    "body": {"name": "q"},
    "change": {"priority": 1},
    "other": {"description": "mine"},
    "needs_pool": True,
}
VARIABLE = {
    "made_at": "/variables/",
    "body": {"name": "v", "value": {"b": [1.5, 1.0], "a": None}},
    "change": {"value": {"b": 2}},
    "other": {"tags": ["mine"]},
}
KINDS = {
    "pool": POOL,
    "queue": Kind(path="/work_queues/{id}", **QUEUE),
    "queue by name": Kind(path="/work_pools/p/queues/{name}", **QUEUE),
    "deployment": Kind(
        "/deployments/",
        {"name": "d", "work_pool_name": "p", "schedules": [SCHEDULE], "concurrency_limit": 2},
        "/deployments/{id}",
        {"concurrency_limit": 3},
        {"description": "mine"},
        needs_pool=True,
    ),
    "variable": Kind(path="/variables/{id}", **VARIABLE),
    "variable by name": Kind(path="/variables/name/{name}", **VARIABLE),
    "limit": Kind(
        "/v2/concurrency_limits/", {"name": "l", "limit": 2}, "/v2/concurrency_limits/{name}",
        {"limit": 3}, {"active": False},
    ),
}  # fmt: skip
every_kind = pytest.mark.parametrize("name", KINDS)


async def made(api: httpx.AsyncClient, kind: Kind) -> tuple[str, str]:
    """The path and the version of a new object."""
    body = dict(kind.body)
    if kind.needs_pool:
        await sent(api, "POST", "/work_pools/", 201, POOL.body)
    if kind.made_at == "/deployments/":
        body["flow_id"] = await a_flow(api)
    answer = await api.post(kind.made_at, json=body)
    assert answer.status_code == 201, answer.text
    return kind.path.format(**answer.json()), answer.headers["etag"]


async def change(
    api: httpx.AsyncClient, path: str, body: dict[str, Any], version: str
) -> httpx.Response:
    return await api.patch(path, json=body, headers={"If-Match": version})


async def version_of(api: httpx.AsyncClient, path: str) -> str:
    return str((await api.get(path)).headers["etag"])


@every_kind
async def test_every_answer_about_an_object_tells_its_version(
    api: httpx.AsyncClient, name: str
) -> None:
    kind = KINDS[name]
    path, created = await made(api, kind)

    read = await version_of(api, path)
    changed = await change(api, path, kind.change, read)
    read_again = await version_of(api, path)

    assert created == read
    assert changed.status_code == 204
    assert changed.headers["etag"] == read_again != read


@every_kind
async def test_what_has_changed_since_is_neither_changed_nor_deleted(
    api: httpx.AsyncClient, name: str
) -> None:
    kind = KINDS[name]
    path, stale = await made(api, kind)
    await sent(api, "PATCH", path, 204, kind.other)
    before = (await api.get(path)).json()

    changed = await change(api, path, kind.change, stale)
    deleted = await api.delete(path, headers={"If-Match": stale})

    assert (changed.status_code, changed.json()["code"]) == (412, "stale")
    assert (deleted.status_code, deleted.json()["code"]) == (412, "stale")
    assert (await api.get(path)).json() == before


@every_kind
async def test_what_has_not_changed_since_is_deleted(api: httpx.AsyncClient, name: str) -> None:
    path, version = await made(api, KINDS[name])

    deleted = await api.delete(path, headers={"If-Match": version})
    again = await api.delete(path, headers={"If-Match": version})

    assert (deleted.status_code, again.status_code) == (204, 404)


@every_kind
async def test_of_many_changes_of_one_version_one_is_made(
    api: httpx.AsyncClient, name: str
) -> None:
    kind = KINDS[name]
    path, version = await made(api, kind)

    answers = await asyncio.gather(
        *(change(api, path, kind.change, version) for _ in range(CHANGERS))
    )

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [204, *[412] * (CHANGERS - 1)]


@pytest.mark.postgres
@pytest.mark.parametrize("settings", ["postgresql"], indirect=True)
async def test_versions_are_compared_under_the_row_s_lock(
    api: httpx.AsyncClient, database: Database
) -> None:
    path, version = await made(api, POOL)
    bodies = ({"description": "one"}, {"description": "two"})

    async with database.write() as holder:
        await holder.execute(select(work_pools.c.id).with_for_update())
        changes = [asyncio.create_task(change(api, path, body, version)) for body in bodies]
        await waiting(database, len(bodies))
    statuses = [(await task).status_code for task in changes]

    assert sorted(statuses) == [204, 412]


async def waiting(database: Database, count: int) -> None:
    """Return once so many transactions wait for a lock."""
    waits = text(
        "SELECT count(*) FROM pg_stat_activity "
        "WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(10):
        while True:
            async with database.read() as db:
                if await db.scalar(waits) == count:
                    return
            await asyncio.sleep(0.01)


async def test_without_a_version_the_last_write_wins_field_by_field(
    api: httpx.AsyncClient,
) -> None:
    path, _ = await made(api, POOL)

    await sent(api, "PATCH", path, 204, POOL.change)
    await sent(api, "PATCH", path, 204, POOL.other)

    pool = (await api.get(path)).json()
    assert (pool["concurrency_limit"], pool["description"]) == (3, "mine")


async def test_work_is_no_change_of_a_version(api: httpx.AsyncClient) -> None:
    pool, _ = await made(api, POOL)
    await sent(api, "PATCH", pool, 204, {"concurrency_limit": 2})
    await sent(api, "POST", f"{pool}/queues", 201, {"name": "q", "concurrency_limit": 2})
    paths = (pool, f"{pool}/queues/q")
    before = [await version_of(api, path) for path in paths]

    await sent(api, "POST", f"{pool}/workers/heartbeat", 204, {"name": "w"})
    polled = await api.post(
        f"{pool}/get_scheduled_flow_runs", json={}, headers={"X-Forebay-Worker": "w"}
    )

    assert polled.status_code == 200
    assert (await api.get(pool)).json()["status"] == "READY"
    assert [await version_of(api, path) for path in paths] == before


async def test_a_version_is_named_as_http_says(api: httpx.AsyncClient) -> None:
    path, version = await made(api, POOL)
    expected = {
        "*": 204,
        f'"other", {version}': 204,
        f"W/{version}": 412,
        version.strip('"'): 412,
        "": 412,
    }

    statuses = {wanted: (await change(api, path, {}, wanted)).status_code for wanted in expected}

    assert statuses == expected


async def test_what_does_not_exist_has_no_version(api: httpx.AsyncClient) -> None:
    changed = await change(api, "/work_pools/none", POOL.change, "*")

    assert changed.status_code == 404
