"""Every operation by every role, with own and with foreign objects."""

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any, cast
from uuid import uuid4

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import update

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import queries
from forebay_server.access.authentication import hash_token
from forebay_server.access.grants import GRANTS
from forebay_server.access.tables import tokens
from forebay_server.db.engine import Database
from forebay_server.openapi import document
from forebay_server.routing import grants
from forebay_server.settings import ServerSettings

CALLERS = (
    *("anonymous", "read", "worker P", "worker Q", "run", "another run"),
    *("operator", "admin", "expired", "revoked"),
)

# The threat model, by what an operation is; written here a second time, so that a slip in the
# server's table shows.
PUBLIC = ("/health", "/ready", "/version", "/admin/version")
ASKING = r"/(filter|count|count-by/\{countable\}|paginate|history|lateness|explain|validate|concurrency_status)$"
ASKING_ELSEWHERE = ("/deployments/get_scheduled_flow_runs",)
FOR_ALL = r"^/(hello|server|csrf-token|admin/storage|collections/views/.*|variables/name/.*)$"
WORKERS_WORK = r"/(get_scheduled_flow_runs|claim|adopt|adoptable_runs|report|heartbeat|get_runs)$"
ENGINES_WORK = (
    r"^/(logs/|artifacts/|events|(v2/)?concurrency_limits/(increment|decrement)(-with-lease)?"
    r"|v2/concurrency_limits/leases/.*)$"
)
REPORTS = r"^/(flow_runs/\{id\}(|/labels|/set_state|/input|/input/\{key\})|artifacts/\{id\})$"
# Where a worker may look beside where it works, and what of its pool is in the path.
WORKERS_LOOK = (
    r"^(/work_pools/(filter|count)|/work_queues/filter|/flow_runs/(filter|count|paginate)"
    r"|/work_pools/\{(name|pool)\}(|/explain|/concurrency_status|/validate|/queues/filter"
    r"|/queues/\{name\}|/workers/filter)"
    r"|/work_queues/\{id\}(|/status|/explain|/concurrency_status)"
    r"|/flow_runs/\{id\}(|/explain|/input/filter|/input/\{key\})|/deployments/\{id\}|/flows/\{id\}"
    r"|/artifacts/(filter|count|latest/filter|latest/count|\{id\}|\{key\}/latest)"
    r"|/events/(filter|filter/next|count-by/\{countable\})"
    r"|/block_documents/\{id\}|/block_types/slug/\{slug\}/block_documents/name/.*)$"
)
# What the process of a run may do, and of which objects: its run, and what that is made from.
RUNS_DO = (
    rf"{REPORTS}|{ENGINES_WORK}|^/(block_documents/\{{id\}}"
    r"|block_types/slug/\{slug\}/block_documents/name/.*|deployments/\{id\}|flows/\{id\}"
    r"|artifacts/(filter|count|latest/filter|latest/count|\{id\}|\{key\}/latest)"
    r"|flow_runs/\{id\}(|/explain|/input/filter|/input/\{key\}))$"
)
POOLS_OWN = (
    r"^/(work_pools/\{(name|pool)\}|(work_queues|flow_runs|deployments|flows|artifacts)/\{id\})"
)
READING = re.compile(ASKING)


def expected(method: str, path: str) -> set[str]:
    """Callers that the operation is open to."""
    if path in PUBLIC:
        return set(CALLERS)
    if re.match(FOR_ALL, path) and method == "GET":
        return {"read", "worker P", "worker Q", "run", "another run", "operator", "admin"}
    if re.search(WORKERS_WORK, path) and path not in ASKING_ELSEWHERE:
        return {"worker P", "admin"}
    if path.startswith("/tokens"):
        return {"admin"}
    is_asking = method == "GET" or READING.search(path) or path in ASKING_ELSEWHERE
    if path.startswith("/block_documents/") and not is_asking:
        return {"admin"}
    if re.match(ENGINES_WORK, path) and method == "POST":
        return {"worker P", "worker Q", "run", "another run", "operator", "admin"}
    allowed = {"operator", "admin"} | ({"read"} if is_asking else set())
    looks = is_asking and re.match(WORKERS_LOOK, path)
    reports = (
        not is_asking
        and re.match(REPORTS, path)
        and (method, path) not in (("DELETE", "/flow_runs/{id}"), ("DELETE", "/artifacts/{id}"))
    )
    if looks or reports:
        allowed |= {"worker P"}
        is_runs = re.match(RUNS_DO, path)
        if is_runs:
            allowed |= {"run"}
        if not re.match(POOLS_OWN, path):
            allowed |= {"worker Q", "another run"} if is_runs else {"worker Q"}
    return allowed


def operations() -> Iterator[tuple[str, str]]:
    """Every operation of the description."""
    for path, methods in document()["paths"].items():
        for method in methods:
            yield method.upper(), path.removeprefix("/api")


@dataclass
class Ground:
    """A server with two pools, an object of each kind in P, and a token of each role."""

    client: httpx.AsyncClient
    tokens: dict[str, str]
    values: dict[str, str] = field(default_factory=dict)  # what leads to objects of P

    async def call(self, caller: str, method: str, path: str, **body: Any) -> httpx.Response:
        """The answer to that caller; paths are below `/api`."""
        token = self.tokens[caller]
        headers = {"authorization": f"Bearer {token}"} if token else {}
        content = body or None
        if content is None and method in ("POST", "PATCH"):
            content = {}
        return await self.client.request(method, path, headers=headers, json=content)

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        """What an admin made."""
        answer = await self.call("admin", "POST", path, **body)
        assert answer.status_code in (200, 201), answer.text
        return cast(dict[str, Any], answer.json())


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(update={"require_token": True})


@pytest.fixture
async def ground(
    app: FastAPI, api: httpx.AsyncClient, database: Database
) -> AsyncIterator[Ground]:
    async with database.write() as db:
        await queries.create(db, TokenCreate(name="a", role=Role.ADMIN), hash_token("fb_admin"))
    ground = Ground(api, {"anonymous": "", "admin": "fb_admin"})
    for pool in ("P", "Q"):
        made = await ground.made("/work_pools/", name=pool, type="process")
        ground.values[pool] = made["default_queue_id"]
    wanted: dict[str, dict[str, Any]] = {
        "read": {"role": "read"},
        "operator": {"role": "operator"},
        "worker P": {"role": "worker", "work_pool_name": "P"},
        "worker Q": {"role": "worker", "work_pool_name": "Q"},
        "expired": {"role": "admin", "lifetime_seconds": 1000},
        "revoked": {"role": "admin"},
    }
    ids = {}
    for name, body in wanted.items():
        made = await ground.made("/tokens", name=name, **body)
        ground.tokens[name], ids[name] = made["token"], made["id"]
    for caller in ("another run", "run"):
        flow = await ground.made("/flows/", name=caller)
        deployment = await ground.made(
            "/deployments/", name="d", flow_id=flow["id"], work_pool_name="P"
        )
        run = await ground.made(f"/deployments/{deployment['id']}/create_flow_run")
        claimed = await ground.made("/work_pools/P/claim", worker_name="w", limit=1)
        ground.tokens[caller] = claimed["runs"][0]["token"]
    ground.values |= {"flow": flow["id"], "deployment": deployment["id"], "run": run["id"]}
    artifact = await ground.made("/artifacts/", key="x", flow_run_id=run["id"])
    ground.values["artifact"] = artifact["id"]
    await ground.call("admin", "DELETE", f"/tokens/{ids['revoked']}")
    async with database.write() as db:
        at = await db.now()
        await db.execute(update(tokens).where(tokens.c.name == "expired").values(expires_at=at))
    yield ground


def filled(path: str, values: dict[str, str]) -> str:
    """The path, leading to an object of P where it can."""
    ids = {"/flow_runs/": "run", "/deployments/": "deployment", "/flows/": "flow"}
    ids["/artifacts/"] = "artifact"
    ids["/work_queues/"] = "P"
    id = next((values[of] for start, of in ids.items() if path.startswith(start)), str(uuid4()))
    plain = {"name": "P" if path.startswith("/work_pools/{name}") else "x", "pool": "P", "id": id}
    return re.sub(
        r"\{(\w+)\}",
        lambda m: plain.get(m[1], str(uuid4()) if m[1].endswith("_id") else "x"),
        path,
    )


async def test_each_operation_is_open_to_the_roles_of_the_threat_model(ground: Ground) -> None:
    wrong = []
    cells = 0
    for method, path in operations():
        allowed = expected(method, path)
        statuses: dict[str, int] = {}
        for caller in CALLERS:
            if method == "DELETE" and caller in allowed and caller != "admin":
                continue  # what it would delete, later cells need
            if caller in allowed and path in (
                "/flow_runs/bulk_delete",
                "/flow_runs/bulk_set_state",
            ):
                continue
            if method == "DELETE" and caller == "admin":
                continue
            answer = await ground.call(caller, method, filled(path, ground.values))
            cells += 1
            statuses[caller] = answer.status_code
            is_open = answer.status_code not in (401, 403, 429)  # 429: the 11th wrong token
            neighbour = {"worker Q": "worker P", "another run": "run"}.get(caller)
            if caller not in allowed and neighbour in allowed:
                is_open = answer.status_code != 404
            if is_open != (caller in allowed):
                wrong.append(f"{method} {path} by {caller}: {answer.status_code}")

        is_own = re.match(POOLS_OWN, path) and method == "GET" and "worker P" in allowed
        if is_own and statuses["worker P"] != statuses["admin"]:
            wrong.append(f"{method} {path} by worker P: {statuses['worker P']}")

    assert not wrong
    assert cells > 1000


def test_no_grant_is_for_a_route_that_does_not_exist() -> None:
    served = {f"{method} {path}" for method, path in operations()}
    streams = {name for name in GRANTS if name.startswith("WS ")}

    assert GRANTS.keys() - streams == served
    assert len(grants()) == len(GRANTS)
