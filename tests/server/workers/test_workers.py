"""Workers over HTTP, and what becomes of those that fall silent."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest
from sqlalchemy import Table, insert, select, update

from forebay.wire.work_pools import WorkerHeartbeat
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database, Transaction
from forebay_server.deployments.tables import DeploymentRow, deployments
from forebay_server.services.foreman import FOREMAN
from forebay_server.work_queues.tables import work_queues
from forebay_server.workers import queries
from forebay_server.workers.tables import workers
from tests.server.work_pools.builders import Counted, a_claim, a_pool


async def beat(api: httpx.AsyncClient, **body: Any) -> int:
    return (await api.post("/work_pools/p/workers/heartbeat", json=body)).status_code


async def listed(api: httpx.AsyncClient, **criteria: Any) -> list[dict[str, Any]]:
    answer = await api.post("/work_pools/p/workers/filter", json={"workers": criteria})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def pool_status(api: httpx.AsyncClient) -> str:
    return str((await api.get("/work_pools/p")).json()["status"])


async def test_first_heartbeat_makes_the_worker_known(api: httpx.AsyncClient) -> None:
    pool = await a_pool(api, "p")

    status = await beat(api, name="w", heartbeat_interval_seconds=30, metadata={}, return_id=True)

    (worker,) = await listed(api)
    assert status == 204
    assert (worker["name"], worker["status"]) == ("w", "ONLINE")
    assert (worker["heartbeat_interval_seconds"], worker["work_pool_id"]) == (30, pool["id"])


async def test_later_heartbeats_are_of_the_same_worker(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")
    await beat(api, name="w", heartbeat_interval_seconds=30)
    (first,) = await listed(api)

    await beat(api, name="w")

    (second,) = await listed(api)
    assert second["id"] == first["id"]
    assert second["created"] == first["created"]
    assert second["last_heartbeat_time"] > first["last_heartbeat_time"]
    assert second["heartbeat_interval_seconds"] == 30


@pytest.mark.parametrize(
    ("interval", "status"),
    [(None, 204), (0, 204), (1, 204), (300, 204), (301, 422), (-1, 422), (30.5, 422), ("x", 422)],
)
async def test_interval_is_null_or_0_to_300_whole_seconds(
    api: httpx.AsyncClient, interval: Any, status: int
) -> None:
    await a_pool(api, "p")

    assert await beat(api, name="w", heartbeat_interval_seconds=interval) == status


@pytest.mark.parametrize("body", [{}, {"name": None}, {"name": "a/b"}, {"name": ""}])
async def test_heartbeat_without_a_usable_name_is_refused(
    api: httpx.AsyncClient, body: dict[str, Any]
) -> None:
    await a_pool(api, "p")

    assert await beat(api, **body) == 422


async def test_pool_that_is_not_there_answers_404(api: httpx.AsyncClient) -> None:
    answers = [
        await api.post("/work_pools/p/workers/heartbeat", json={"name": "w"}),
        await api.post("/work_pools/p/workers/filter"),
        await api.delete("/work_pools/p/workers/w"),
    ]

    assert {answer.status_code for answer in answers} == {404}


async def test_many_heartbeats_are_one_statement_once_the_pool_is_ready(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")
    beats = {
        ("p", f"w{n}"): WorkerHeartbeat(name=f"w{n}", heartbeat_interval_seconds=10 * (n + 1))
        for n in range(3)
    }
    counts = []
    for _ in range(2):
        async with database.write() as db:
            statements = Counted(db)
            live = await queries.record_heartbeats(statements, beats)  # type: ignore[arg-type]
        counts.append(statements.count)

    assert counts == [2, 1]
    assert [live["p", f"w{n}"].lease_seconds for n in (0, 1, 2)] == [30, 60, 90]


async def test_heartbeat_renews_the_leases_of_that_worker_only(
    api: httpx.AsyncClient, database: Database
) -> None:
    pool = await a_pool(api, "p")
    pool_id, queue_id = UUID(pool["id"]), UUID(pool["default_queue_id"])
    mine = await a_claim(database, pool_id, queue_id, worker="w")
    ended = await a_claim(database, pool_id, queue_id, worker="w", is_live=False)
    other = await a_claim(database, pool_id, queue_id, worker="v")
    await age(database, claims, "expires_at", 60)

    await beat(api, name="w", heartbeat_interval_seconds=30)

    async with database.read() as db:
        at = await db.now()
        rows = await db.rows(select(claims.c.flow_run_id, claims.c.expires_at))
    left = {row.flow_run_id: (row.expires_at - at).total_seconds() for row in rows}
    assert 80 < left[mine] <= 90
    assert left[ended] < 0
    assert left[other] < 0


async def test_heartbeats_at_once_share_transactions_and_answers_are_their_own(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("p", "q"):
        await a_pool(api, name)
    sent = [(pool, f"w{n}") for pool in ("p", "q", "nowhere") for n in range(20)]
    record, begun = queries.record_heartbeats, []

    async def counted(db: Transaction, beats: queries.Heartbeats) -> Any:
        begun.append(len(beats))
        return await record(db, beats)

    monkeypatch.setattr(queries, "record_heartbeats", counted)

    answers = await asyncio.gather(
        *(api.post(f"/work_pools/{p}/workers/heartbeat", json={"name": n}) for p, n in sent),
        *(beat(api, name="w0") for _ in range(3)),
    )

    codes = [answer if isinstance(answer, int) else answer.status_code for answer in answers]
    assert codes == 40 * [204] + 20 * [404] + 3 * [204]
    assert len(await listed(api)) == 20
    assert len(begun) < 20


async def test_worker_that_names_its_runs_keeps_no_other_claim(
    api: httpx.AsyncClient, database: Database
) -> None:
    pool = await a_pool(api, "p")
    pool_id, queue_id = UUID(pool["id"]), UUID(pool["default_queue_id"])
    known = await a_claim(database, pool_id, queue_id, worker="w")
    forgotten = await a_claim(database, pool_id, queue_id, worker="w")
    await age(database, claims, "expires_at", 60)

    named = await beat(api, name="w", flow_run_ids=[str(known)])
    left_after_naming = await seconds_left(database)
    none = await beat(api, name="w", flow_run_ids=[])

    assert (named, none) == (204, 204)
    assert left_after_naming[known] > 80
    assert left_after_naming[forgotten] < 31
    assert (await seconds_left(database))[forgotten] < 31


async def seconds_left(database: Database) -> dict[UUID, float]:
    """What is left of every lease, by run."""
    async with database.read() as db:
        at = await db.now()
        rows = await db.rows(select(claims.c.flow_run_id, claims.c.expires_at))
    return {row.flow_run_id: (row.expires_at - at).total_seconds() for row in rows}


async def test_workers_are_listed_by_status_the_latest_first(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")
    for name in ("a", "b", "c"):
        await beat(api, name=name)
    await beat(api, name="a")

    everything = await listed(api)
    online = await listed(api, status={"any_": ["ONLINE"]})
    offline = await listed(api, status={"any_": ["OFFLINE"]})
    recent = await listed(
        api, last_heartbeat_time={"after_": everything[0]["last_heartbeat_time"]}
    )

    assert [worker["name"] for worker in everything] == ["a", "c", "b"]
    assert online == everything
    assert offline == []
    assert [worker["name"] for worker in recent] == ["a"]


async def test_unknown_status_in_a_filter_is_refused(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")

    answer = await api.post(
        "/work_pools/p/workers/filter", json={"workers": {"status": {"any_": ["BAD"]}}}
    )

    assert answer.status_code == 422


async def test_deleted_worker_is_forgotten_until_its_next_heartbeat(
    api: httpx.AsyncClient,
) -> None:
    await a_pool(api, "p")
    await beat(api, name="w")

    deleted = [(await api.delete("/work_pools/p/workers/w")).status_code for _ in range(2)]
    forgotten = await listed(api)
    await beat(api, name="w")

    assert (deleted, forgotten) == ([204, 404], [])
    assert len(await listed(api)) == 1


async def age(database: Database, table: Table, column: str, seconds: float) -> None:
    """Make what the column tells lie `seconds` back."""
    async with database.write() as db:
        then = await db.now() - timedelta(seconds=seconds)
        await db.execute(update(table).values({column: then}))


@pytest.mark.parametrize(
    ("interval", "silent_seconds", "status"),
    [
        (10, 29, "ONLINE"),
        (10, 31, "OFFLINE"),
        (None, 89, "ONLINE"),
        (None, 91, "OFFLINE"),
        (0, 89, "ONLINE"),
        (0, 91, "OFFLINE"),
    ],
)
async def test_worker_is_offline_after_three_missed_heartbeats(
    api: httpx.AsyncClient,
    database: Database,
    interval: int | None,
    silent_seconds: float,
    status: str,
) -> None:
    await a_pool(api, "p")
    await beat(api, name="w", heartbeat_interval_seconds=interval)
    await age(database, workers, "last_heartbeat_time", silent_seconds)

    await FOREMAN.tick(database)

    assert [worker["status"] for worker in await listed(api)] == [status]
    assert await pool_status(api) == ("READY" if status == "ONLINE" else "NOT_READY")


async def test_pool_stays_ready_while_one_worker_is_online(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")
    await beat(api, name="dead", heartbeat_interval_seconds=1)
    await age(database, workers, "last_heartbeat_time", 60)
    await beat(api, name="alive")

    await FOREMAN.tick(database)

    assert [worker["status"] for worker in await listed(api)] == ["ONLINE", "OFFLINE"]
    assert await pool_status(api) == "READY"


async def test_worker_that_comes_back_makes_the_pool_ready_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")
    await beat(api, name="w")
    await age(database, workers, "last_heartbeat_time", 600)
    await FOREMAN.tick(database)
    before = await pool_status(api)

    await beat(api, name="w")

    assert (before, await pool_status(api)) == ("NOT_READY", "READY")


@pytest.mark.parametrize(("seconds", "status"), [(55, "READY"), (65, "NOT_READY")])
async def test_queue_is_not_ready_a_minute_after_its_last_poll(
    api: httpx.AsyncClient, database: Database, seconds: float, status: str
) -> None:
    await a_pool(api, "p")
    async with database.write() as db:
        await db.execute(update(work_queues).values(status="READY"))
    await age(database, work_queues, "last_polled", seconds)

    await FOREMAN.tick(database)

    queue = (await api.get("/work_pools/p/queues/default")).json()
    assert queue["status"] == status


@pytest.mark.parametrize(("seconds", "status"), [(55, "READY"), (65, "NOT_READY")])
async def test_deployment_is_not_ready_a_minute_after_its_last_poll(
    api: httpx.AsyncClient, database: Database, seconds: float, status: str
) -> None:
    flow = (await api.post("/flows/", json={"name": "f"})).json()
    async with database.write() as db:
        row = DeploymentRow(flow_id=UUID(flow["id"]), name="d", status="READY")
        await db.execute(insert(deployments).values(row.model_dump()))
    await age(database, deployments, "last_polled", seconds)

    await FOREMAN.tick(database)

    async with database.read() as db:
        assert await db.scalar(select(deployments.c.status)) == status


async def test_worker_that_is_asked_to_drain_learns_it_from_its_heartbeats(
    api: httpx.AsyncClient,
) -> None:
    await a_pool(api, "p")
    await beat(api, name="w", heartbeat_interval_seconds=30)
    await beat(api, name="v", heartbeat_interval_seconds=30)

    asked = await api.post("/work_pools/p/workers/w/drain")

    heard = {
        name: (await api.post("/work_pools/p/workers/heartbeat", json={"name": name})).headers
        for name in ("w", "v")
    }
    assert asked.status_code == 204
    assert "x-forebay-drain" in heard["w"]
    assert "x-forebay-drain" not in heard["v"]
    online = await listed(api, status={"any_": ["ONLINE"]})
    assert {(w["name"], w["status"], w["is_draining"]) for w in online} == {
        ("w", "ONLINE", True),
        ("v", "ONLINE", False),
    }


async def test_new_process_under_a_drained_name_takes_runs(api: httpx.AsyncClient) -> None:
    await a_pool(api, "p")
    await beat(api, name="w")
    await api.post("/work_pools/p/workers/w/drain")

    await beat(api, name="w", is_new=True)

    (worker,) = await listed(api)
    assert not worker["is_draining"]


async def test_worker_that_falls_silent_while_it_drains_is_offline_and_cannot_be_drained(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_pool(api, "p")
    await beat(api, name="w", heartbeat_interval_seconds=1)
    await api.post("/work_pools/p/workers/w/drain")
    await age(database, workers, "last_heartbeat_time", 60)

    async with database.write() as db:
        await queries.mark_silent(db, await db.now())
    again = await api.post("/work_pools/p/workers/w/drain")
    unknown = await api.post("/work_pools/p/workers/x/drain")

    (worker,) = await listed(api)
    assert (worker["status"], worker["is_draining"]) == ("OFFLINE", False)
    assert (again.status_code, unknown.status_code) == (409, 404)
