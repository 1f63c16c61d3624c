"""The token that a claimed run's process is given: what it reaches, and how long."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast
from uuid import uuid4

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import authentication, queries, run_tokens
from forebay_server.access.authentication import hash_token
from forebay_server.access.run_tokens import RunTokens
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database
from forebay_server.errors import Conflict
from forebay_server.settings import ServerSettings

ADMIN = {"authorization": "Bearer fb_admin"}
RUNNING = {"state": {"type": "RUNNING"}}
COMPLETED = {"state": {"type": "COMPLETED"}}


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"require_token": True})


@dataclass
class Ground:
    """A pool with a deployment; what is asked is asked by an admin, unless told otherwise."""

    client: httpx.AsyncClient
    database: Database
    deployment: str = ""

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        answer = await self.client.post(path, json=body, headers=ADMIN)
        assert answer.status_code in (200, 201), answer.text
        return cast(dict[str, Any], answer.json())

    async def run(self) -> str:
        """The id of a new run that is due."""
        made = await self.made(f"/deployments/{self.deployment}/create_flow_run")
        return str(made["id"])

    async def claimed(self) -> dict[str, Any]:
        """A new run as a worker is given it."""
        await self.run()
        answer = await self.made("/work_pools/P/claim", worker_name="w", limit=1)
        return cast(dict[str, Any], answer["runs"][0])

    async def status(self, claim: Mapping[str, Any], method: str, path: str, body: Any) -> int:
        """The status of the answer to the run's process."""
        headers = {
            "authorization": f"Bearer {claim['token']}",
            "x-forebay-claim": claim["claim"],
        }
        answer = await self.client.request(method, path, json=body, headers=headers)
        return answer.status_code


@pytest.fixture
async def ground(api: httpx.AsyncClient, database: Database) -> AsyncIterator[Ground]:
    async with database.write() as db:
        await queries.create(db, TokenCreate(name="a", role=Role.ADMIN), hash_token("fb_admin"))
    ground = Ground(api, database)
    await ground.made("/work_pools/", name="P", type="process")
    flow = await ground.made("/flows/", name="f")
    made = await ground.made("/deployments/", name="d", flow_id=flow["id"], work_pool_name="P")
    ground.deployment = made["id"]
    yield ground


def line(run: str) -> list[dict[str, Any]]:
    at = "2026-01-01T00:00:00Z"
    return [{"name": "n", "level": 20, "message": "m", "timestamp": at, "flow_run_id": run}]


async def test_run_reports_itself_and_reads_what_it_is_made_from(ground: Ground) -> None:
    claim = await ground.claimed()
    run = claim["flow_run"]

    statuses = [
        await ground.status(claim, "POST", f"/flow_runs/{run['id']}/set_state", RUNNING),
        await ground.status(claim, "GET", f"/flow_runs/{run['id']}", None),
        await ground.status(claim, "GET", f"/flows/{run['flow_id']}", None),
        await ground.status(claim, "GET", f"/deployments/{run['deployment_id']}", None),
        await ground.status(claim, "POST", "/logs/", line(run["id"])),
        await ground.status(claim, "POST", f"/flow_runs/{run['id']}/set_state", COMPLETED),
    ]

    assert statuses == [201, 200, 200, 200, 201, 201]


async def test_other_runs_of_its_pool_are_not_found_by_a_run(ground: Ground) -> None:
    claim, other = await ground.claimed(), await ground.run()
    flow = await ground.made("/flows/", name="g")

    statuses = [
        await ground.status(claim, "POST", f"/flow_runs/{other}/set_state", RUNNING),
        await ground.status(claim, "GET", f"/flow_runs/{other}", None),
        await ground.status(claim, "GET", f"/flow_runs/{uuid4()}", None),
        await ground.status(claim, "GET", f"/flows/{flow['id']}", None),
    ]

    assert statuses == [404] * 4


async def test_lines_that_a_run_writes_about_others_are_left_out(ground: Ground) -> None:
    claim, other = await ground.claimed(), await ground.run()
    own = claim["flow_run"]["id"]

    status = await ground.status(claim, "POST", "/logs/", line(own) + line(other))

    stored = await ground.client.post("/logs/filter", headers=ADMIN)
    assert status == 201
    assert [each["flow_run_id"] for each in stored.json()] == [own]


async def test_run_leaves_and_changes_artifacts_of_its_own_only(ground: Ground) -> None:
    claim, other = await ground.claimed(), await ground.run()
    mine = {"type": "markdown", "flow_run_id": claim["flow_run"]["id"]}
    others = await ground.made("/artifacts/", type="markdown", flow_run_id=other)

    statuses = [
        await ground.status(claim, "POST", "/artifacts/", mine),
        await ground.status(claim, "POST", "/artifacts/", mine | {"flow_run_id": other}),
        await ground.status(claim, "PATCH", f"/artifacts/{others['id']}", {}),
    ]

    assert statuses == [201, 404, 404]


async def test_run_is_shown_artifacts_of_its_own_only(ground: Ground) -> None:
    claim, other = await ground.claimed(), await ground.run()
    await ground.made("/artifacts/", key="mine", flow_run_id=claim["flow_run"]["id"])
    await ground.made("/artifacts/", key="theirs", flow_run_id=other)
    as_run = {"authorization": f"Bearer {claim['token']}"}

    lists = [
        (await ground.client.post(f"/artifacts/{path}filter", headers=as_run)).json()
        for path in ("", "latest/")
    ]
    latest = [
        await ground.status(claim, "GET", f"/artifacts/{key}/latest", None)
        for key in ("mine", "theirs")
    ]

    assert [[each["key"] for each in listed] for listed in lists] == [["mine"], ["mine"]]
    assert latest == [200, 404]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/work_pools/P"),
        ("GET", "/work_pools/P"),
        ("POST", "/work_pools/P/claim"),
        ("POST", "/work_pools/P/workers/heartbeat"),
        ("POST", "/flow_runs/filter"),
        ("GET", "/tokens"),
    ],
)
async def test_neither_pools_nor_lists_are_open_to_a_run(
    ground: Ground, method: str, path: str
) -> None:
    claim = await ground.claimed()

    status = await ground.status(claim, method, path, None if method == "GET" else {})

    assert status == 403


async def test_token_ends_a_minute_after_its_claim(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authentication, "CACHE_SECONDS", 0.0)
    claim = await ground.claimed()
    path = f"/flow_runs/{claim['flow_run']['id']}"
    await ground.status(claim, "POST", f"{path}/set_state", RUNNING)
    await ground.status(claim, "POST", f"{path}/set_state", COMPLETED)

    at_once = await ground.status(claim, "POST", "/logs/", line(claim["flow_run"]["id"]))
    async with ground.database.write() as db:
        long_ago = await db.now() - queries.LAST_WORDS - timedelta(seconds=1)
        await db.execute(update(claims).values(ended_at=long_ago))
    later = await ground.status(claim, "GET", path, None)

    assert (at_once, later) == (201, 401)


async def test_run_that_another_worker_took_over_keeps_its_token(ground: Ground) -> None:
    claim = await ground.claimed()
    id = claim["flow_run"]["id"]
    body = {"infrastructure_pid": "i"}
    await ground.status(claim, "PATCH", f"/flow_runs/{id}", body)
    adoption = {"worker_name": "w", "flow_run_id": id, "infrastructure_id": "i"}
    await ground.made("/work_pools/P/adopt", **adoption)
    async with ground.database.write() as db:
        ended = update(claims).where(claims.c.ended_at.is_not(None))
        await db.execute(ended.values(ended_at=await db.now() - 2 * queries.LAST_WORDS))

    status = await ground.status(claim, "POST", f"/flow_runs/{id}/set_state", RUNNING)

    assert status == 201


async def test_worker_that_proposes_pending_is_given_the_token_too(ground: Ground) -> None:
    id = await ground.run()
    headers = {**ADMIN, "x-forebay-worker": "w"}
    pending = {"state": {"type": "PENDING"}}

    answer = await ground.client.post(f"/flow_runs/{id}/set_state", json=pending, headers=headers)

    claim = {
        "token": answer.headers["x-forebay-run-token"],
        "claim": answer.headers["x-forebay-claim"],
    }
    assert await ground.status(claim, "GET", f"/flow_runs/{id}", None) == 200


@pytest.mark.parametrize("forge", ["another run", "another signature", "too short", "no base64"])
async def test_forged_token_is_refused(ground: Ground, forge: str) -> None:
    claim = await ground.claimed()
    token = claim["token"]
    other = RunTokens(lambda _: b"another key").make(uuid4(), 1)
    forged = {
        "another run": token[:10] + ("A" if token[10] != "A" else "B") + token[11:],
        "another signature": other,
        "too short": token[:8],
        "no base64": token + "!",
    }[forge]

    path = f"/flow_runs/{claim['flow_run']['id']}"
    status = await ground.status({**claim, "token": forged}, "GET", path, None)

    assert status == 401


async def test_server_that_lets_anybody_in_gives_runs_no_tokens(
    app: FastAPI, ground: Ground
) -> None:
    app.state.authenticator._is_open = True

    claim = await ground.claimed()

    assert claim["token"] is None


def test_without_a_key_runs_get_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not through the handlers, which other tests of this process may have set up differently.
    told: list[str] = []
    monkeypatch.setattr(run_tokens.logger, "warning", lambda text, *_: told.append(text))

    def refused(purpose: str) -> bytes:
        raise Conflict("secret.key: not a key")

    tokens = RunTokens(refused)

    made = [tokens.make(uuid4(), 1) for _ in range(2)]

    assert made == [None, None]
    assert len(told) == 1
