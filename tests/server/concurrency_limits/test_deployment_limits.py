"""The limits of deployments: how they are set, and what they mean for runs."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest
from sqlalchemy import func, select

from forebay_server.concurrency_limits import slots
from forebay_server.concurrency_limits.tables import concurrency_leases
from forebay_server.db.engine import Database
from tests.server.concurrency_limits.builders import (
    V2,
    a_limit,
    active_slots,
    end,
    let_time_pass,
    renew,
    take,
)
from tests.server.flow_runs.builders import propose, verdict

ACCEPTED = ("ACCEPT", "PENDING", "Pending")
WAITS = ("REJECT", "SCHEDULED", "AwaitingConcurrencySlot")


async def a_deployment(
    api: httpx.AsyncClient, *, has_pool: bool = True, name: str = "d", **fields: Any
) -> dict[str, Any]:
    """A deployment of flow f, in a pool unless it is said otherwise."""
    if has_pool:
        await api.post("/work_pools/", json={"name": "p", "type": "process"})
        fields["work_pool_name"] = "p"
    flow = (await api.post("/flows/", json={"name": "f"})).json()
    body = {"name": name, "flow_id": flow["id"], **fields}
    answer = await api.post("/deployments/", json=body)
    assert answer.status_code in (200, 201), answer.text
    made: dict[str, Any] = answer.json()
    return made


async def a_run(api: httpx.AsyncClient, deployment: dict[str, Any]) -> UUID:
    """A run of a deployment, due now."""
    answer = await api.post(f"/deployments/{deployment['id']}/create_flow_run", json={})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


async def lease_of(api: httpx.AsyncClient, run: UUID) -> UUID:
    """The lease that the state of a run names."""
    state = (await api.get(f"/flow_runs/{run}")).json()["state"]
    return UUID(state["state_details"]["deployment_concurrency_lease_id"])


async def read(api: httpx.AsyncClient, deployment: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await api.get(f"/deployments/{deployment['id']}")).json()
    return found


# ----------------------------------------------------------------------------- setting limits


async def test_a_deployments_own_limit_is_an_ordinary_limit(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(
        api, concurrency_limit=2, concurrency_options={"collision_strategy": "CANCEL_NEW"}
    )

    limit = (await api.get(f"{V2}/deployment:{deployment['id']}")).json()

    assert deployment["concurrency_limit"] is None
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert deployment["global_concurrency_limit"] == limit
    assert (limit["limit"], limit["active_slots"]) == (2, 0)
    assert await read(api, deployment) == deployment


async def test_a_limit_is_changed_in_place_and_taken_away(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=2)
    path = f"/deployments/{deployment['id']}"

    await api.patch(path, json={"concurrency_limit": 5})
    changed = (await read(api, deployment))["global_concurrency_limit"]
    await api.patch(path, json={"description": "kept"})
    kept = (await read(api, deployment))["global_concurrency_limit"]
    await api.patch(path, json={"concurrency_limit": None})
    gone = (await read(api, deployment))["global_concurrency_limit"]

    assert (changed["id"], changed["limit"]) == (deployment["global_concurrency_limit"]["id"], 5)
    assert kept == changed
    assert gone is None
    assert (await api.get(f"{V2}/deployment:{deployment['id']}")).status_code == 404


async def test_deployments_share_a_limit_that_outlives_them(api: httpx.AsyncClient) -> None:
    shared = await a_limit(api, "shared", 3)
    one = await a_deployment(api, name="one", global_concurrency_limit_id=shared["id"])
    two = await a_deployment(api, name="two", concurrency_limit=1)

    status = await api.patch(
        f"/deployments/{two['id']}", json={"global_concurrency_limit_id": shared["id"]}
    )
    await api.delete(f"/deployments/{one['id']}")

    assert status.status_code == 204
    assert (await read(api, two))["global_concurrency_limit"]["name"] == "shared"
    names = [limit["name"] for limit in (await api.post(f"{V2}/filter")).json()]
    assert names == ["shared"]


async def test_an_unknown_shared_limit_is_refused(api: httpx.AsyncClient) -> None:
    flow = (await api.post("/flows/", json={"name": "f"})).json()
    body = {"name": "d", "flow_id": flow["id"], "global_concurrency_limit_id": str(uuid4())}

    answer = await api.post("/deployments/", json=body)

    assert answer.status_code == 409
    assert body["global_concurrency_limit_id"] in answer.json()["detail"]
    assert (await api.post("/deployments/count")).json() == 0


async def test_deleting_a_deployment_or_its_limit_leaves_the_other(
    api: httpx.AsyncClient,
) -> None:
    one = await a_deployment(api, name="one", concurrency_limit=1)
    two = await a_deployment(api, name="two", concurrency_limit=1)

    await api.delete(f"/deployments/{one['id']}")
    await api.delete(f"{V2}/deployment:{two['id']}")

    assert (await api.post(f"{V2}/filter")).json() == []
    assert (await read(api, two))["global_concurrency_limit"] is None


async def test_deployments_are_filtered_by_their_limit(api: httpx.AsyncClient) -> None:
    await a_deployment(api, name="none")
    await a_deployment(api, name="one", concurrency_limit=1)
    await a_deployment(api, name="five", concurrency_limit=5)

    async def names(**criteria: Any) -> list[str]:
        body = {"deployments": {"concurrency_limit": criteria}}
        found = (await api.post("/deployments/filter", json=body)).json()
        return [deployment["name"] for deployment in found]

    assert await names(is_null_=True) == ["none"]
    assert await names(is_null_=False) == ["five", "one"]
    assert await names(ge_=2) == ["five"]
    assert await names(le_=2) == ["one"]


# ----------------------------------------------------------------------------------- the runs


@pytest.mark.parametrize("has_pool", [True, False])
async def test_a_run_beyond_the_limit_waits_and_gets_the_slot_that_is_given_back(
    api: httpx.AsyncClient, has_pool: bool
) -> None:
    deployment = await a_deployment(api, has_pool=has_pool, concurrency_limit=1)
    first, second = await a_run(api, deployment), await a_run(api, deployment)
    name = f"deployment:{deployment['id']}"

    taken = await propose(api, first, "PENDING", worker="w1")
    refused = await propose(api, second, "PENDING", worker="w1")
    during = await active_slots(api, name)
    await propose(api, first, "RUNNING", worker="w1")
    await propose(api, first, "COMPLETED", worker="w1")
    after = await active_slots(api, name)
    again = await propose(api, second, "PENDING", worker="w1")

    assert (verdict(taken), verdict(refused)) == (ACCEPTED, WAITS)
    assert (during, after) == (1, 0)
    assert verdict(again) == ACCEPTED
    assert await active_slots(api, name) == 1


async def test_a_run_beyond_the_limit_is_cancelled_where_new_ones_are(
    api: httpx.AsyncClient,
) -> None:
    options = {"collision_strategy": "CANCEL_NEW", "grace_period_seconds": 60}
    deployment = await a_deployment(api, concurrency_limit=1, concurrency_options=options)
    first, second = await a_run(api, deployment), await a_run(api, deployment)
    await propose(api, first, "PENDING", worker="w1")

    refused = await propose(api, second, "PENDING", worker="w1")

    assert verdict(refused) == ("REJECT", "CANCELLED", "Cancelled")


async def test_a_limit_of_zero_stops_every_run(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    await api.patch(f"{V2}/deployment:{deployment['id']}", json={"limit": 0})

    answer = await propose(api, await a_run(api, deployment), "PENDING", worker="w1")

    assert verdict(answer) == ("ABORT", "SCHEDULED", "Scheduled")


async def test_an_inactive_limit_stops_no_run(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    await api.patch(f"{V2}/deployment:{deployment['id']}", json={"active": False})

    answers = [
        await propose(api, await a_run(api, deployment), "PENDING", worker="w1") for _ in range(3)
    ]

    assert [verdict(answer) for answer in answers] == [ACCEPTED] * 3


async def test_runs_and_other_callers_share_one_limit(api: httpx.AsyncClient) -> None:
    shared = await a_limit(api, "shared", 1)
    deployment = await a_deployment(api, global_concurrency_limit_id=shared["id"])
    run = await a_run(api, deployment)
    await propose(api, run, "PENDING", worker="w1")

    during = await take(api, "shared")
    await propose(api, run, "CRASHED", worker="w1")
    after = await take(api, "shared")

    assert (during, after) == (423, 200)
    refused = await propose(api, await a_run(api, deployment), "PENDING", worker="w1")
    assert verdict(refused) == WAITS


async def test_a_run_cannot_skip_pending_to_get_around_the_limit(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    await propose(api, await a_run(api, deployment), "PENDING", worker="w1")

    answer = await propose(api, await a_run(api, deployment), "RUNNING", worker="w1")

    assert answer.json()["status"] == "WAIT"


async def test_a_cancelled_run_keeps_its_slot_until_it_has_ended(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    run, name = await a_run(api, deployment), f"deployment:{deployment['id']}"
    for type in ("PENDING", "RUNNING", "CANCELLING"):
        await propose(api, run, type, worker="w1")

    during = await active_slots(api, name)
    await propose(api, run, "CANCELLED", force=True)

    assert (during, await active_slots(api, name)) == (1, 0)


async def test_a_run_that_retries_in_its_process_keeps_its_slot(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    run = await a_run(api, deployment)
    policy = {"empirical_policy": {"retries": 1, "retry_delay": 0}}
    await api.patch(f"/flow_runs/{run}", json=policy)
    for type in ("PENDING", "RUNNING"):
        await propose(api, run, type, worker="w1")

    retried = await propose(api, run, "FAILED", worker="w1")
    other = await propose(api, await a_run(api, deployment), "PENDING", worker="w1")
    again = await propose(api, run, "RUNNING", worker="w1")

    assert verdict(retried) == ("REJECT", "SCHEDULED", "AwaitingRetry")
    assert verdict(other) == WAITS
    assert verdict(again) == ("ACCEPT", "RUNNING", "Running")


async def test_the_slot_of_a_claimed_run_outlives_its_lease(
    api: httpx.AsyncClient, database: Database
) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    run, other = await a_run(api, deployment), await a_run(api, deployment)
    await propose(api, run, "PENDING", worker="w1")
    lease = await lease_of(api, run)
    await let_time_pass(database, 10_000)

    refused = await propose(api, other, "PENDING", worker="w1")
    async with database.write() as db:
        swept = await slots.sweep(db)

    assert verdict(refused) == WAITS
    assert swept == 0
    assert await renew(api, lease) == 204


async def test_the_slot_of_an_unclaimed_run_is_lost_with_its_lease(
    api: httpx.AsyncClient, database: Database
) -> None:
    deployment = await a_deployment(api, has_pool=False, concurrency_limit=1)
    run, other = await a_run(api, deployment), await a_run(api, deployment)
    await propose(api, run, "PENDING")
    lease = await lease_of(api, run)
    await let_time_pass(database, 10_000)

    taken = await propose(api, other, "PENDING")
    late = await propose(api, run, "RUNNING")

    assert verdict(taken) == ACCEPTED
    assert await renew(api, lease) == 410
    assert verdict(late) == ("REJECT", "CANCELLED", "Cancelled")


async def test_an_unclaimed_run_that_was_late_gets_a_free_slot_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    deployment = await a_deployment(api, has_pool=False, concurrency_limit=1)
    run = await a_run(api, deployment)
    await propose(api, run, "PENDING")
    lost = await lease_of(api, run)
    await let_time_pass(database, 10_000)

    answer = await propose(api, run, "RUNNING")

    assert verdict(answer) == ("ACCEPT", "RUNNING", "Running")
    assert await lease_of(api, run) != lost
    assert await active_slots(api, f"deployment:{deployment['id']}") == 1


async def test_a_run_that_begins_renews_its_slot(
    api: httpx.AsyncClient, database: Database
) -> None:
    options = {"collision_strategy": "ENQUEUE", "grace_period_seconds": 60}
    deployment = await a_deployment(
        api, has_pool=False, concurrency_limit=1, concurrency_options=options
    )
    run = await a_run(api, deployment)
    await propose(api, run, "PENDING")
    lease = await lease_of(api, run)
    await let_time_pass(database, 59)

    await propose(api, run, "RUNNING")
    await let_time_pass(database, 200)

    assert await lease_of(api, run) == lease
    assert await renew(api, lease) == 204


async def test_a_deleted_run_gives_its_slot_back(
    api: httpx.AsyncClient, database: Database
) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    run = await a_run(api, deployment)
    await propose(api, run, "PENDING", worker="w1")

    await api.delete(f"/flow_runs/{run}")

    assert await active_slots(api, f"deployment:{deployment['id']}") == 0
    async with database.read() as db:
        assert await db.scalar(select(func.count()).select_from(concurrency_leases)) == 0


async def test_a_lease_that_its_run_ended_itself_is_no_obstacle(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=1)
    run = await a_run(api, deployment)
    for type in ("PENDING", "RUNNING"):
        await propose(api, run, type, worker="w1")
    await end(api, await lease_of(api, run))

    answer = await propose(api, run, "COMPLETED", worker="w1")

    assert verdict(answer) == ("ACCEPT", "COMPLETED", "Completed")


async def test_claims_at_once_never_exceed_a_deployments_limit(api: httpx.AsyncClient) -> None:
    deployment = await a_deployment(api, concurrency_limit=3)
    runs = [await a_run(api, deployment) for _ in range(8)]

    answers = await asyncio.gather(
        *(propose(api, run, "PENDING", worker=f"w{i}") for i, run in enumerate(runs))
    )

    assert sorted(verdict(answer) for answer in answers) == [ACCEPTED] * 3 + [WAITS] * 5
    assert await active_slots(api, f"deployment:{deployment['id']}") == 3
