"""A key names one request: what is created, replayed and refused."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import queries as tokens
from forebay_server.access.authentication import hash_token
from forebay_server.app import create_app
from forebay_server.db.engine import Database
from forebay_server.idempotency import queries
from forebay_server.idempotency.tables import kept_answers
from forebay_server.services.expiry import EXPIRY
from forebay_server.settings import ServerSettings

KEY = {"Idempotency-Key": "first try"}


async def a_flow(api: httpx.AsyncClient) -> str:
    answer = await api.post("/flows/", json={"name": f"flow {uuid4()}"})
    return str(answer.json()["id"])


async def a_deployment(api: httpx.AsyncClient) -> str:
    body = {"name": "d", "flow_id": await a_flow(api)}
    return str((await api.post("/deployments/", json=body)).json()["id"])


async def request_for(api: httpx.AsyncClient, kind: str) -> tuple[str, Any]:
    """Path and body of a request that creates something of that kind."""
    if kind == "queue":
        await api.post("/work_pools/", json={"name": "p"})
        return "/work_pools/p/queues", {"name": "q"}
    if kind == "deployment":
        return "/deployments/", {"name": "d", "flow_id": await a_flow(api)}
    if kind == "run of a deployment":
        return f"/deployments/{await a_deployment(api)}/create_flow_run", {}
    if kind == "runs of a deployment":
        return f"/deployments/{await a_deployment(api)}/create_flow_run/bulk", [{}, {}]
    if kind == "schedules":
        schedule = {"schedule": {"interval": 3600}}
        return f"/deployments/{await a_deployment(api)}/schedules", [schedule]
    if kind == "run":
        body = {"flow_id": await a_flow(api), "state": {"type": "SCHEDULED"}}
        return "/flow_runs/", body
    if kind == "logs":
        line = {"name": "n", "level": 20, "message": "m", "timestamp": "2026-01-01T00:00:00Z"}
        return "/logs/", [line]
    return {
        "pool": ("/work_pools/", {"name": "p"}),
        "queue without a pool": ("/work_queues/", {"name": "q"}),
        "flow": ("/flows/", {"name": "f"}),
        "variable": ("/variables/", {"name": "v", "value": 1}),
        "limit": ("/v2/concurrency_limits/", {"name": "l", "limit": 1}),
        "limit of a tag": ("/concurrency_limits/", {"tag": "t", "concurrency_limit": 1}),
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "pool",
        "queue",
        "queue without a pool",
        "flow",
        "deployment",
        "run of a deployment",
        "runs of a deployment",
        "schedules",
        "run",
        "logs",
        "variable",
        "limit",
        "limit of a tag",
    ],
)
async def test_a_repeated_creation_gets_the_first_answer(
    api: httpx.AsyncClient, kind: str
) -> None:
    path, body = await request_for(api, kind)

    first = await api.post(path, json=body, headers=KEY)
    second = await api.post(path, json=body, headers=KEY)

    assert first.status_code in (200, 201), first.text
    assert "idempotent-replay" not in first.headers
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["idempotent-replay"] == "true"


async def test_a_repeated_creation_stores_nothing_more(api: httpx.AsyncClient) -> None:
    path, body = await request_for(api, "logs")

    for _ in range(3):
        await api.post(path, json=body, headers=KEY)

    assert len((await api.post("/logs/filter", json={})).json()) == 1


async def test_the_order_of_keys_in_the_body_does_not_matter(api: httpx.AsyncClient) -> None:
    json = {"content-type": "application/json", **KEY}
    first = await api.post("/work_pools/", content=b'{"name":"p","type":"docker"}', headers=json)

    second = await api.post(
        "/work_pools/", content=b'{"type": "docker", "name":"p"}', headers=json
    )

    assert second.status_code == 201
    assert second.json()["id"] == first.json()["id"]


async def test_a_key_with_another_body_is_refused(api: httpx.AsyncClient) -> None:
    await api.post("/work_pools/", json={"name": "p"}, headers=KEY)

    answer = await api.post("/work_pools/", json={"name": "q"}, headers=KEY)

    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert (await api.get("/work_pools/q")).status_code == 404


async def test_a_key_on_another_path_is_another_request(api: httpx.AsyncClient) -> None:
    await api.post("/work_pools/", json={"name": "p"}, headers=KEY)

    answer = await api.post("/work_pools/p/queues", json={"name": "p"}, headers=KEY)

    assert answer.status_code == 201


async def test_a_refused_creation_may_be_repeated_with_its_key(api: httpx.AsyncClient) -> None:
    body = {"name": "q"}
    refused = await api.post("/work_pools/late/queues", json=body, headers=KEY)
    await api.post("/work_pools/", json={"name": "late"})

    answer = await api.post("/work_pools/late/queues", json=body, headers=KEY)

    assert refused.status_code == 404
    assert answer.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "tab\there", "é".encode("latin-1")])
async def test_a_key_that_is_none_is_refused(api: httpx.AsyncClient, key: str | bytes) -> None:
    raw = key.encode() if isinstance(key, str) else key

    answer = await api.post("/flows/", json={"name": "f"}, headers=[(b"idempotency-key", raw)])

    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"] == ["header", "Idempotency-Key"]


async def test_of_equal_requests_at_once_one_creates(
    api: httpx.AsyncClient, database: Database
) -> None:
    body = {"name": "p"}

    answers = await asyncio.gather(
        *(api.post("/work_pools/", json=body, headers=KEY) for _ in range(8))
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replay" not in answer.headers for answer in answers) == 1


async def test_a_request_that_takes_too_long_is_told_to_its_twin(
    request: pytest.FixtureRequest, api: httpx.AsyncClient, database: Database
) -> None:
    if database.dialect == "sqlite":
        pytest.skip("on SQLite writers follow one another, so nobody sees a request in flight")
    await api.post("/flows/", json={"name": "f"}, headers=KEY)
    async with database.read() as db:
        digest = await db.scalar(select(kept_answers.c.digest))
    async with database.write() as db:
        await db.execute(kept_answers.delete())
    async with database.write() as db:
        await queries.reserve(db, digest, "the first request, still in flight")

        answer = await api.post("/flows/", json={"name": "f"}, headers=KEY)

    assert answer.status_code == 409
    assert answer.json()["code"] == "in_progress"
    assert answer.headers["retry-after"] == "1"


async def test_answers_are_deleted_after_a_day(api: httpx.AsyncClient, database: Database) -> None:
    for name, age in (("old", queries.KEPT), ("young", queries.KEPT - timedelta(minutes=1))):
        await api.post("/flows/", json={"name": name}, headers={"Idempotency-Key": name})
        async with database.write() as db:
            is_new = kept_answers.c.created > await db.now() - timedelta(minutes=1)
            created = await db.now() - age
            await db.execute(update(kept_answers).where(is_new).values(created=created))

    await EXPIRY.tick(database)

    async with database.read() as db:
        assert await db.scalar(select(func.count()).select_from(kept_answers)) == 1
    answer = await api.post("/flows/", json={"name": "old"}, headers={"Idempotency-Key": "old"})
    assert "idempotent-replay" not in answer.headers


async def test_without_a_key_nothing_is_kept(api: httpx.AsyncClient, database: Database) -> None:
    await api.post("/flows/", json={"name": "f"})

    async with database.read() as db:
        assert await db.scalar(select(func.count()).select_from(kept_answers)) == 0


async def test_callers_do_not_share_keys(settings: ServerSettings) -> None:
    guarded = {"require_token": True, "api_auth_string": SecretStr("user:word")}
    app = create_app(settings.model_copy(update=guarded))
    async with app.router.lifespan_context(app):
        async with app.state.database.write() as db:
            await tokens.create(
                db, TokenCreate(name="other", role=Role.ADMIN), hash_token("fb_other")
            )
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
            callers = [httpx.BasicAuth("user", "word"), httpx.BasicAuth("any", "fb_other")]

            answers = [
                await api.post("/api/flows/", json={"name": "f"}, headers=KEY, auth=caller)
                for caller in callers
            ]
            stranger = await api.post("/api/flows/", json={"name": "f"}, headers=KEY)

    assert [answer.status_code for answer in answers] == [201, 200]
    assert "idempotent-replay" not in answers[1].headers
    assert stranger.status_code == 401
