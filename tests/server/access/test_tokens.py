"""Making, using and revoking tokens; what the tokens of stock workers and clients reach."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator
from typing import Any, cast

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import authentication, queries
from forebay_server.access.authentication import Authenticator, hash_token
from forebay_server.access.tables import tokens
from forebay_server.app import create_app
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings
from tests.both_databases import settings as both_databases  # noqa: F401

ADMIN = {"authorization": "Bearer fb_admin"}


@pytest.fixture
def settings(both_databases: ServerSettings) -> ServerSettings:  # noqa: F811
    return both_databases.model_copy(update={"require_token": True})


@pytest.fixture
async def admin(api: httpx.AsyncClient, database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client that may do everything."""
    async with database.write() as db:
        await queries.create(db, TokenCreate(name="a", role=Role.ADMIN), hash_token("fb_admin"))
    api.headers.update(ADMIN)
    yield api


async def made(api: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    answer = await api.post(path, json=body)
    assert answer.status_code in (200, 201), answer.text
    return cast(dict[str, Any], answer.json())


def as_bearer(token: dict[str, Any]) -> dict[str, str]:
    return {"authorization": f"Bearer {token['token']}"}


async def test_only_the_hash_is_stored_and_only_the_first_answer_has_the_secret(
    admin: httpx.AsyncClient, database: Database
) -> None:
    token = await made(admin, "/tokens", name="t", role="read", lifetime_seconds=60)
    listed = (await admin.get("/tokens")).json()
    async with database.read() as db:
        stored = await db.row(select(tokens).where(tokens.c.name == "t"))

    assert stored is not None
    assert stored.hash == hash_token(token["token"])
    assert token["token"] not in repr(stored)
    assert all("token" not in each for each in listed)


async def test_revoked_token_is_refused_at_once(admin: httpx.AsyncClient) -> None:
    token = await made(admin, "/tokens", name="t", role="read")
    before = await admin.get("/hello", headers=as_bearer(token))

    await admin.delete(f"/tokens/{token['id']}")

    after = await admin.get("/hello", headers=as_bearer(token))
    assert (before.status_code, after.status_code) == (200, 401)


async def test_another_process_refuses_a_revoked_token_within_seconds(
    admin: httpx.AsyncClient, settings: ServerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "CACHE_SECONDS", 0.2)
    token = await made(admin, "/tokens", name="t", role="read")
    other = create_app(settings)
    authenticator: Authenticator = other.state.authenticator
    header = as_bearer(token)["authorization"]
    await authenticator.principal(header, "192.0.2.1")

    await admin.delete(f"/tokens/{token['id']}")

    begun = time.monotonic()
    with pytest.raises(authentication.Unauthorized):
        while time.monotonic() - begun < 5:
            await authenticator.principal(header, "192.0.2.1")
            await asyncio.sleep(0.02)
    await authenticator.close()
    await other.state.database.close()


async def test_expired_token_is_refused(admin: httpx.AsyncClient, database: Database) -> None:
    token = await made(admin, "/tokens", name="t", role="read", lifetime_seconds=60)
    async with database.write() as db:
        at = await db.now()
        await db.execute(update(tokens).where(tokens.c.name == "t").values(expires_at=at))

    answer = await admin.get("/hello", headers=as_bearer(token))

    assert answer.status_code == 401


async def test_use_is_noted(admin: httpx.AsyncClient, app: FastAPI) -> None:
    token = await made(admin, "/tokens", name="t", role="read")

    await admin.get("/hello", headers=as_bearer(token))
    await app.state.authenticator.close()

    assert (await admin.get(f"/tokens/{token['id']}")).json()["last_used_at"] is not None


async def test_known_token_costs_no_statement(
    admin: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    authenticator: Authenticator = app.state.authenticator
    await authenticator.principal("Bearer fb_admin", "192.0.2.1")
    await authenticator.close()
    await app.state.database.close()
    monkeypatch.setattr(app.state.database, "read", None)  # nothing can be read any more

    principal = await authenticator.principal("Bearer fb_admin", "192.0.2.1")

    assert principal.role is Role.ADMIN


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "t", "role": "worker"}, 422),
        ({"name": "t", "role": "read", "work_pool_name": "P"}, 422),
        ({"name": "t", "role": "king"}, 422),
        ({"name": "t", "role": "worker", "work_pool_name": "nowhere"}, 404),
        ({"name": "a", "role": "read"}, 409),
        ({"name": "t", "role": "read", "lifetime_seconds": 0}, 422),
    ],
    ids=["worker of none", "reader of one", "role", "pool", "taken", "no life"],
)
async def test_tokens_that_cannot_be_are_refused(
    admin: httpx.AsyncClient, body: dict[str, Any], status: int
) -> None:
    answer = await admin.post("/tokens", json=body)

    assert answer.status_code == status


async def test_last_lasting_admin_stays(admin: httpx.AsyncClient) -> None:
    (only,) = (await admin.get("/tokens")).json()
    await made(admin, "/tokens", name="passing", role="admin", lifetime_seconds=60)

    answer = await admin.delete(f"/tokens/{only['id']}")

    assert answer.status_code == 409


async def test_worker_goes_with_its_pool(admin: httpx.AsyncClient) -> None:
    await made(admin, "/work_pools/", name="P", type="process")
    await made(admin, "/tokens", name="t", role="worker", work_pool_name="P")

    await admin.delete("/work_pools/P")

    assert [token["name"] for token in (await admin.get("/tokens")).json()] == ["a"]


async def test_stock_worker_works_with_the_token_of_its_pool(admin: httpx.AsyncClient) -> None:
    """What Prefect's worker and engine ask, in their order, with Basic credentials."""
    for pool in ("P", "Q"):
        await made(admin, "/work_pools/", name=pool, type="process")
    token = await made(admin, "/tokens", name="t", role="worker", work_pool_name="P")
    flow = await made(admin, "/flows/", name="f")
    runs = {}
    for pool in ("P", "Q"):
        deployment = await made(
            admin, "/deployments/", name=pool, flow_id=flow["id"], work_pool_name=pool
        )
        runs[pool] = await made(admin, f"/deployments/{deployment['id']}/create_flow_run")
    password = base64.b64encode(f"worker:{token['token']}".encode()).decode()
    admin.headers["authorization"] = f"Basic {password}"
    run = f"/flow_runs/{runs['P']['id']}"

    async def status(method: str, path: str, body: Any = None) -> int:
        return (await admin.request(method, path, json=body)).status_code

    heartbeat = {"name": "w", "heartbeat_interval_seconds": 30}
    assert await status("GET", "/work_pools/P") == 200
    assert await status("POST", "/work_pools/P/workers/heartbeat", heartbeat) == 204
    assert await status("POST", "/work_pools/P/get_scheduled_flow_runs", {}) == 200
    assert await status("GET", "/collections/views/aggregate-worker-metadata") == 200
    assert await status("GET", run) == 200
    assert await status("GET", f"/deployments/{runs['P']['deployment_id']}") == 200
    assert await status("GET", f"/flows/{flow['id']}") == 200
    assert await status("GET", f"/work_queues/{runs['P']['work_queue_id']}") == 200
    for state in ("PENDING", "RUNNING", "COMPLETED"):
        answer = await admin.post(f"{run}/set_state", json={"state": {"type": state}})
        assert answer.json()["status"] == "ACCEPT"
    assert await status("PATCH", run, {"infrastructure_pid": "host:1"}) == 204
    assert await status("PATCH", f"{run}/labels", {"a": "b"}) == 204
    found = (await admin.post("/flow_runs/filter", json={})).json()
    assert [each["id"] for each in found] == [runs["P"]["id"]]
    lines = [
        {"name": "l", "level": 20, "message": pool, "timestamp": "2026-01-01T00:00:00Z"}
        | {"flow_run_id": runs[pool]["id"]}
        for pool in ("P", "Q")
    ]
    assert await status("POST", "/logs/", lines) == 201
    other = f"/flow_runs/{runs['Q']['id']}"
    assert await status("GET", other) == 404
    assert await status("POST", f"{other}/set_state", {"state": {"type": "CANCELLED"}}) == 404
    assert await status("PATCH", "/work_pools/P", {"is_paused": True}) == 403
    kept = (await admin.post("/logs/filter", json={}, headers=ADMIN)).json()
    assert [line["message"] for line in kept] == ["P"]


async def test_secrets_of_blocks_are_for_admins_and_for_pools_that_refer_to_them(
    admin: httpx.AsyncClient,
) -> None:
    type = (await admin.get("/block_types/slug/secret")).json()
    schemas = (
        await admin.post(
            "/block_schemas/filter",
            json={"block_schemas": {"block_type_id": {"any_": [type["id"]]}}},
        )
    ).json()
    given = {"block_type_id": type["id"], "block_schema_id": schemas[0]["id"]}
    block = await made(admin, "/block_documents/", name="b", data={"value": "hidden"}, **given)
    template = {
        "job_configuration": {"key": "{{ key }}"},
        "variables": {"properties": {"key": {"default": "{{ prefect.blocks.secret.b }}"}}},
    }
    await made(admin, "/work_pools/", name="P", type="process", base_job_template=template)
    await made(admin, "/work_pools/", name="Q", type="process")
    bodies: dict[str, dict[str, Any]] = {
        "reader": {"role": "read"},
        "operator": {"role": "operator"},
        "worker P": {"role": "worker", "work_pool_name": "P"},
        "worker Q": {"role": "worker", "work_pool_name": "Q"},
    }
    seen: dict[str, Any] = {}

    for name, body in bodies.items():
        token = await made(admin, "/tokens", name=name, **body)
        answer = await admin.get(
            f"/block_documents/{block['id']}?include_secrets=true", headers=as_bearer(token)
        )
        seen[name] = answer.json()["data"]["value"] if answer.is_success else answer.status_code

    assert seen == {
        "reader": "********",
        "operator": "********",
        "worker P": "hidden",
        "worker Q": 404,
    }
