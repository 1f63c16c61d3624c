"""Runs whose worker is lost, runs that nobody took, and cancellations that never end."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest
from sqlalchemy import select, update

from forebay.wire.states import StateType
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.rules import lease_seconds
from forebay_server.claims.tables import claims, sweeps
from forebay_server.db.engine import Database
from forebay_server.flow_runs import rescues
from forebay_server.flow_runs.rescues import Lost, fate
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.services import late_runs
from forebay_server.services.rescuer import Rescuer
from tests.server.flow_runs.builders import (
    a_place,
    a_run,
    a_running_run,
    live_claims,
    propose,
    verdict,
)


def lost(state: str, **changes: Any) -> Lost:
    """A lost run of a pool that crashes lost runs."""
    facts: dict[str, Any] = {
        "state_type": StateType(state),
        "has_infrastructure": False,
        "rescue_count": 0,
        "on_lost": "crash",
        "max_rescues": 3,
        "expired_for": timedelta(seconds=1),
        "silence": "Worker w1 was lost.",
    }
    return Lost(**(facts | changes))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (lost("PENDING"), "SCHEDULED"),
        (lost("PENDING", rescue_count=9), "SCHEDULED"),
        (lost("PENDING", has_infrastructure=True), "CRASHED"),
        (lost("PENDING", has_infrastructure=True, on_lost="reschedule"), "SCHEDULED"),
        (lost("RUNNING"), "CRASHED"),
        (lost("RUNNING", on_lost="reschedule"), "SCHEDULED"),
        (lost("RUNNING", on_lost="reschedule", rescue_count=2), "SCHEDULED"),
        (lost("RUNNING", on_lost="reschedule", rescue_count=3), "CRASHED"),
        (lost("PAUSED"), "CRASHED"),
        (lost("SCHEDULED"), "CRASHED"),
        (lost("CANCELLING"), "CANCELLED"),
        (lost("CANCELLING", has_infrastructure=True), None),
        (
            lost("CANCELLING", has_infrastructure=True, expired_for=timedelta(seconds=60)),
            "CRASHED",
        ),
    ],
)
def test_fate_of_a_lost_run(given: Lost, expected: str | None) -> None:
    state = fate(given)

    assert (state and state.type) == expected


@pytest.mark.parametrize(
    ("interval", "seconds"), [(5, 20), (1, 4), (6, 20), (30, 90), (None, 90), (0, 90), (300, 900)]
)
def test_a_lease_outlasts_lost_heartbeats(interval: int | None, seconds: float) -> None:
    assert lease_seconds(interval) == seconds


async def expire(database: Database, seconds: float = 1) -> None:
    """Let every lease have run out `seconds` ago."""
    async with database.write() as db:
        at = await db.now() - timedelta(seconds=seconds)
        await db.execute(update(claims).values(expires_at=at))


async def sweep(database: Database) -> None:
    """A sweep of a process that has swept before."""
    rescuer = Rescuer()
    async with database.read() as db:
        expiries = await db.rows(select(claims.c.id, claims.c.expires_at))
    await rescuer.tick(database)
    async with database.write() as db:  # the first one gives every lease anew
        for claim in expiries:
            await db.execute(
                update(claims).where(claims.c.id == claim.id).values(expires_at=claim.expires_at)
            )
    await rescuer.tick(database)


async def read(api: httpx.AsyncClient, run: UUID) -> dict[str, Any]:
    """A run as the API shows it."""
    found: dict[str, Any] = (await api.get(f"/flow_runs/{run}")).json()
    return found


async def test_a_claim_that_was_never_started_goes_back_to_the_queue(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=1)
    run = await a_run(database, place.queue_id)
    await propose(api, run, "PENDING", worker="w1")
    await expire(database)

    await sweep(database)

    rescued = await read(api, run)
    assert rescued["state_type"] == "SCHEDULED"
    assert "w1" in rescued["state"]["message"]
    assert await live_claims(database) == []
    late_start = await propose(api, run, "RUNNING", claim=f"{run}:1")
    assert verdict(late_start)[0] == "ABORT"
    again = await propose(api, run, "PENDING", worker="w2")
    assert again.headers["x-forebay-claim"] == f"{run}:2"


@pytest.mark.parametrize(
    ("on_lost", "expected"), [("crash", "CRASHED"), ("reschedule", "SCHEDULED")]
)
async def test_a_running_run_is_crashed_or_rescheduled_as_its_pool_says(
    api: httpx.AsyncClient, database: Database, on_lost: str, expected: str
) -> None:
    place = await a_place(database, on_lost=on_lost)
    run = await a_running_run(api, database, place)
    await api.patch(f"/flow_runs/{run}", json={"infrastructure_pid": "host:1"})
    await expire(database)

    await sweep(database)

    assert (await read(api, run))["state_type"] == expected
    assert await live_claims(database) == []


async def test_a_run_is_rescued_so_often_and_no_more(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, on_lost="reschedule", max_rescues=2)
    run = await a_run(database, place.queue_id)
    ends = []

    for _ in range(3):
        await propose(api, run, "RUNNING")
        await expire(database)
        await sweep(database)
        ends.append((await read(api, run))["state_type"])

    assert ends == ["SCHEDULED", "SCHEDULED", "CRASHED"]


async def test_a_run_that_is_lost_while_it_waits_to_retry_is_offered_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, on_lost="reschedule")
    run = await a_running_run(api, database, place)
    await api.patch(f"/flow_runs/{run}", json={"empirical_policy": {"retries": 1}})
    await propose(api, run, "FAILED")
    await expire(database)

    await sweep(database)

    offered = (await api.post("/work_pools/p/get_scheduled_flow_runs")).json()
    assert [entry["flow_run"]["id"] for entry in offered] == [str(run)]


async def test_a_renewed_claim_is_left_alone(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    mine = await a_running_run(api, database, place)
    other = await a_run(database, place.queue_id)
    await propose(api, other, "PENDING", worker="w2")
    await expire(database)

    async with database.write() as db:
        await claim_queries.renew(db, (place.pool_id, "w1"), 20, await db.now())
    await sweep(database)

    assert await live_claims(database) == [(mine, 1)]


async def test_a_lost_cancellation_is_cancelled_when_nothing_was_started(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    await propose(api, run, "CANCELLING")
    await expire(database)

    await sweep(database)

    assert (await read(api, run))["state_type"] == "CANCELLED"


async def test_a_lost_cancellation_with_infrastructure_crashes_after_a_minute(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    await api.patch(f"/flow_runs/{run}", json={"infrastructure_pid": "host:1"})
    await propose(api, run, "CANCELLING")

    await expire(database, 30)
    await sweep(database)
    early = (await read(api, run))["state_type"]
    await expire(database, 61)
    await sweep(database)

    assert early == "CANCELLING"
    assert (await read(api, run))["state_type"] == "CRASHED"


async def test_many_rescuers_rescue_a_run_once(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    await propose(api, run, "PENDING", worker="w1")
    await expire(database)
    async with database.read() as db:
        (claim,) = await claim_queries.expired(db, 10)

    async def one() -> bool:
        async with database.write() as db:
            return await rescues.rescue(db, claim.id, run)

    rescued = await asyncio.gather(*(one() for _ in range(6)))

    assert sorted(rescued) == [False] * 5 + [True]
    async with database.read() as db:
        assert await db.scalar(select(flow_runs.c.rescue_count)) == 1


async def test_the_first_sweep_gives_workers_time_to_come_back(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    await expire(database, 3600)
    rescuer = Rescuer()

    await rescuer.tick(database)
    await rescuer.tick(database)

    assert (await read(api, run))["state_type"] == "RUNNING"


async def test_nothing_expires_when_the_clock_jumps(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    rescuer = Rescuer()
    await rescuer.tick(database)
    await expire(database, 3600)
    rescuer._swept_at = datetime.now(UTC) - timedelta(hours=1)  # what a jump looks like

    await rescuer.tick(database)
    await rescuer.tick(database)

    assert (await read(api, run))["state_type"] == "RUNNING"


async def pass_downtime(database: Database, seconds: float = 30) -> None:
    """Let the last sweep of any process, and the ends of leases, be `seconds` longer ago."""
    async with database.write() as db:
        (found,) = await db.rows(select(sweeps.c.at))
        await db.execute(update(sweeps).values(at=found.at - timedelta(seconds=seconds)))
        for claim in await db.rows(select(claims.c.id, claims.c.expires_at)):
            expires_at = claim.expires_at - timedelta(seconds=seconds)
            await db.execute(
                update(claims).where(claims.c.id == claim.id).values(expires_at=expires_at)
            )


async def test_nothing_expires_while_the_server_or_its_database_was_away(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    rescuer = Rescuer()
    await rescuer.tick(database)
    await pass_downtime(database, 3600)

    await rescuer.tick(database)
    await rescuer.tick(database)

    assert (await read(api, run))["state_type"] == "RUNNING"


async def test_a_process_that_starts_beside_others_extends_no_lease(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    await Rescuer().tick(database)
    await expire(database)

    await Rescuer().tick(database)

    assert (await read(api, run))["state_type"] == "CRASHED"


async def test_processes_that_start_together_after_a_downtime_extend_leases_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    await a_running_run(api, database, place)
    await Rescuer().tick(database)
    await pass_downtime(database)

    await asyncio.gather(*(Rescuer().tick(database) for _ in range(3)))

    async with database.read() as db:
        assert await db.rows(select(claims.c.extensions)) == [(2,)]


async def test_a_dead_workers_lease_ends_however_often_the_server_is_away(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    for _ in range(claim_queries.MAX_EXTENSIONS):
        await Rescuer().tick(database)
        await Rescuer().tick(database)
        assert (await read(api, run))["state_type"] == "RUNNING"
        await pass_downtime(database, 3600)

    await Rescuer().tick(database)
    await Rescuer().tick(database)

    assert (await read(api, run))["state_type"] == "CRASHED"


async def test_a_worker_that_is_heard_of_may_be_missed_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    async with database.write() as db:
        await db.execute(
            update(claims).values(worker_name="w", extensions=claim_queries.MAX_EXTENSIONS)
        )

    async with database.write() as db:
        await claim_queries.renew(db, (place.pool_id, "w"), 30, await db.now())
    await Rescuer().tick(database)
    await pass_downtime(database, 3600)
    await Rescuer().tick(database)
    await Rescuer().tick(database)

    assert (await read(api, run))["state_type"] == "RUNNING"


async def test_a_run_that_nobody_took_is_late_and_still_offered(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    at = datetime.now(UTC)
    overdue = await a_run(database, place.queue_id, due=at - timedelta(seconds=16), name="late")
    await a_run(database, place.queue_id, due=at - timedelta(seconds=1), name="soon")

    await late_runs.tick(database)
    await late_runs.tick(database)

    late = await read(api, overdue)
    states = (await api.get("/flow_run_states/", params={"flow_run_id": str(overdue)})).json()
    offered = (await api.post("/work_pools/p/get_scheduled_flow_runs")).json()
    assert late["state_name"] == "Late"
    assert late["state"]["state_details"]["scheduled_time"] == late["expected_start_time"]
    assert [state["name"] for state in states] == ["Scheduled", "Late"]
    assert [entry["flow_run"]["name"] for entry in offered] == ["late", "soon"]
    assert offered[1]["flow_run"]["state_name"] == "Scheduled"


async def test_a_cancellation_ends_after_five_minutes(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    old = await a_running_run(api, database, place)
    young = await a_running_run(api, database, place)
    for run in (old, young):
        await propose(api, run, "CANCELLING")
    async with database.write() as db:
        then = await db.now() - timedelta(seconds=301)
        is_old = flow_runs.c.id == old
        await db.execute(update(flow_runs).where(is_old).values(state_timestamp=then))

    await sweep(database)

    assert (await read(api, old))["state_type"] == "CANCELLED"
    assert (await read(api, young))["state_type"] == "CANCELLING"
