"""Proposals over HTTP: claims, limits, epochs, lost answers and the books."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from sqlalchemy import delete, update

from forebay_server.db.engine import Database
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues
from tests.server.flow_runs.builders import (
    a_deployment,
    a_flow,
    a_place,
    a_queue,
    a_run,
    a_running_run,
    live_claims,
    propose,
    verdict,
)

ABSENT = "00000000-0000-4000-8000-000000000001"  # the id of nothing; constant, as it names a case

ACCEPTED_PENDING = ("ACCEPT", "PENDING", "Pending")
AWAITING_SLOT = ("REJECT", "SCHEDULED", "AwaitingConcurrencySlot")


async def test_a_claim_tells_its_epoch(api: httpx.AsyncClient, database: Database) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)

    answer = await propose(api, run, "PENDING", worker="w1")

    assert answer.status_code == 201
    assert verdict(answer) == ACCEPTED_PENDING
    assert answer.json()["details"] == {"type": "accept_details"}
    assert answer.headers["x-forebay-claim"] == f"{run}:1"
    assert await live_claims(database) == [(run, 1)]


async def test_second_claim_of_a_run_is_aborted(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    await propose(api, run, "PENDING", worker="w1")

    answer = await propose(api, run, "PENDING", worker="w2")

    assert answer.status_code == 200
    assert verdict(answer) == ("ABORT", "PENDING", "Pending")
    assert "x-forebay-claim" not in answer.headers


async def test_a_claim_without_a_worker_s_name_is_made_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    await propose(api, run, "PENDING")

    answer = await propose(api, run, "PENDING")

    assert verdict(answer)[0] == "ABORT"


@pytest.mark.parametrize("details", [None, {"transition_id": ABSENT}])
async def test_a_claimant_that_lost_the_answer_gets_it_again(
    api: httpx.AsyncClient, database: Database, details: dict[str, Any] | None
) -> None:
    place = await a_place(database, concurrency_limit=1)
    run = await a_run(database, place.queue_id)
    first = await propose(api, run, "PENDING", worker="w1", details=details)

    again = await propose(api, run, "PENDING", worker="w1", details=details)

    assert again.status_code == 200
    assert verdict(again) == ACCEPTED_PENDING
    assert again.json()["state"]["id"] == first.json()["state"]["id"]
    assert again.headers["x-forebay-claim"] == f"{run}:1"


async def test_a_repeated_report_is_answered_with_its_state(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    report = {"claim": f"{run}:1", "details": {"transition_id": str(uuid4())}}
    first = await propose(api, run, "COMPLETED", **report)

    again = await propose(api, run, "COMPLETED", **report)

    assert verdict(again) == ("REJECT", "COMPLETED", "Completed")
    assert again.json()["state"]["id"] == first.json()["state"]["id"]


@pytest.mark.parametrize("limited", ["pool", "queue"])
@pytest.mark.parametrize("type", ["PENDING", "RUNNING"])
async def test_a_run_without_a_slot_is_put_off(
    api: httpx.AsyncClient, database: Database, limited: str, type: str
) -> None:
    place = await a_place(
        database,
        concurrency_limit=1 if limited == "pool" else None,
        queue_limit=1 if limited == "queue" else None,
    )
    held, other = [await a_run(database, place.queue_id) for _ in range(2)]
    await propose(api, held, "PENDING")

    answer = await propose(api, other, type)

    assert answer.status_code == 201
    assert verdict(answer) == AWAITING_SLOT
    due = datetime.fromisoformat(answer.json()["state"]["state_details"]["scheduled_time"])
    written = datetime.fromisoformat(answer.json()["state"]["timestamp"])
    assert timedelta(seconds=8) <= due - written <= timedelta(seconds=12)
    assert await live_claims(database) == [(held, 1)]


async def test_a_pool_s_limit_holds_across_its_queues(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=1)
    other_queue = await a_queue(database, place.pool_id, "other")
    first = await a_run(database, place.queue_id)
    second = await a_run(database, other_queue)
    await propose(api, first, "PENDING")

    answer = await propose(api, second, "PENDING")

    assert verdict(answer) == AWAITING_SLOT


@pytest.mark.parametrize("table", [work_pools, work_queues])
async def test_a_pause_stops_claims(
    api: httpx.AsyncClient, database: Database, table: Any
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    async with database.write() as db:
        await db.execute(update(table).values(is_paused=True))

    answer = await propose(api, run, "PENDING")

    assert verdict(answer) == AWAITING_SLOT


@pytest.mark.parametrize("last", ["COMPLETED", "FAILED", "CRASHED", "CANCELLED", "SCHEDULED"])
async def test_the_slot_is_free_after_the_run(
    api: httpx.AsyncClient, database: Database, last: str
) -> None:
    place = await a_place(database, concurrency_limit=1)
    run = await a_running_run(api, database, place)
    following = await a_run(database, place.queue_id)

    await propose(api, run, last)

    assert await live_claims(database) == []
    assert verdict(await propose(api, following, "PENDING")) == ACCEPTED_PENDING


async def test_cancelling_and_pausing_hold_the_slot(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    cancelled = await a_running_run(api, database, place)
    paused = await a_running_run(api, database, place)

    await propose(api, cancelled, "CANCELLING")
    await propose(api, paused, "PAUSED")

    assert sorted(await live_claims(database)) == sorted([(cancelled, 1), (paused, 1)])


async def test_a_worker_that_was_offered_a_run_does_not_carry_it_out_after_another(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    for type in ("PENDING", "RUNNING", "COMPLETED"):
        await propose(api, run, type, worker="w1")

    answer = await propose(api, run, "PENDING", worker="w2")

    assert verdict(answer) == ("ABORT", "COMPLETED", "Completed")


async def test_a_run_claimed_again_has_the_next_epoch_and_no_infrastructure(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    await api.patch(f"/flow_runs/{run}", json={"infrastructure_pid": "host:1"})
    await propose(api, run, "SCHEDULED")

    answer = await propose(api, run, "PENDING", worker="w2")

    assert answer.headers["x-forebay-claim"] == f"{run}:2"
    assert (await api.get(f"/flow_runs/{run}")).json()["infrastructure_pid"] is None


async def test_a_holder_of_an_older_epoch_changes_nothing(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    await propose(api, run, "SCHEDULED")
    await propose(api, run, "PENDING", worker="w2")

    for type in ("RUNNING", "COMPLETED", "CRASHED"):
        answer = await propose(api, run, type, claim=f"{run}:1")
        assert verdict(answer) == ("ABORT", "PENDING", "Pending")

    answer = await propose(api, run, "RUNNING", claim=f"{run}:2")
    assert verdict(answer) == ("ACCEPT", "RUNNING", "Running")


async def test_a_claim_of_another_run_says_nothing_about_this_one(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_run(database)

    answer = await propose(api, run, "RUNNING", claim=f"{uuid4()}:1")

    assert verdict(answer)[0] == "ACCEPT"


@pytest.mark.parametrize("claim", ["", "x", ABSENT, f"{ABSENT}:-1", "0" * 36 + ":1"])
async def test_a_malformed_claim_is_refused(
    api: httpx.AsyncClient, database: Database, claim: str
) -> None:
    run = await a_run(database)

    answer = await propose(api, run, "RUNNING", claim=claim)

    assert answer.status_code == 422
    assert "X-Forebay-Claim" in answer.json()["detail"]


async def test_of_two_engines_on_one_claim_the_second_is_aborted(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)

    answer = await propose(api, run, "RUNNING", worker="w1")

    assert verdict(answer) == ("ABORT", "RUNNING", "Running")


async def test_a_run_that_retries_by_itself_keeps_its_claim(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=1)
    run = await a_running_run(api, database, place)
    await api.patch(f"/flow_runs/{run}", json={"empirical_policy": {"retries": 1}})

    failed = await propose(api, run, "FAILED")
    taken = await propose(api, run, "PENDING", worker="w2")
    again = await propose(api, run, "RUNNING")

    assert verdict(failed) == ("REJECT", "SCHEDULED", "AwaitingRetry")
    assert verdict(taken)[0] == "ABORT"
    assert verdict(again) == ("ACCEPT", "RUNNING", "Running")
    assert await live_claims(database) == [(run, 1)]
    assert (await api.get(f"/flow_runs/{run}")).json()["run_count"] == 2


async def test_a_run_whose_queue_was_deleted_frees_its_slot(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_running_run(api, database, place)
    async with database.write() as db:
        await db.execute(delete(work_queues).where(work_queues.c.id == place.queue_id))

    answer = await propose(api, run, "COMPLETED")

    assert verdict(answer)[0] == "ACCEPT"
    assert await live_claims(database) == []


async def test_force_by_an_admin_exceeds_a_limit_and_is_counted(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=0)
    run = await a_run(database, place.queue_id)

    answer = await propose(api, run, "RUNNING", force=True)

    assert verdict(answer) == ("ACCEPT", "RUNNING", "Running")
    assert await live_claims(database) == [(run, 1)]


async def test_the_life_of_a_run_is_kept_in_its_books(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    due = datetime.now(UTC) - timedelta(seconds=60)
    run = await a_run(database, place.queue_id, due=due)

    pending = (await propose(api, run, "PENDING")).json()["state"]
    claimed = (await api.get(f"/flow_runs/{run}")).json()
    running = (await propose(api, run, "RUNNING")).json()["state"]
    completed = (await propose(api, run, "COMPLETED", data=[1])).json()["state"]
    ended = (await api.get(f"/flow_runs/{run}")).json()
    states = (await api.get("/flow_run_states/", params={"flow_run_id": str(run)})).json()

    assert datetime.fromisoformat(pending["state_details"]["scheduled_time"]) == due
    assert claimed["next_scheduled_start_time"] is None
    assert claimed["start_time"] is None
    assert datetime.fromisoformat(ended["expected_start_time"]) == due
    assert ended["start_time"] == running["timestamp"]
    assert ended["end_time"] == completed["timestamp"]
    spent = datetime.fromisoformat(completed["timestamp"]) - datetime.fromisoformat(
        running["timestamp"]
    )
    assert ended["total_run_time"] == pytest.approx(spent.total_seconds())
    assert ended["run_count"] == 1
    assert ended["state"] == completed
    assert [state["name"] for state in states] == [
        "Scheduled",
        "Pending",
        "Running",
        "Completed",
    ]
    assert states[-1] == completed


async def test_leaving_a_terminal_state_clears_the_end(
    api: httpx.AsyncClient, database: Database
) -> None:
    flow_id = await a_flow(database)
    deployment_id = await a_deployment(database, flow_id)
    run = await a_run(database, flow_id=flow_id, deployment_id=deployment_id)
    await propose(api, run, "FAILED")

    await propose(api, run, "SCHEDULED", name="AwaitingRetry")

    read = (await api.get(f"/flow_runs/{run}")).json()
    assert read["end_time"] is None
    assert read["next_scheduled_start_time"] == read["state"]["state_details"]["scheduled_time"]
    assert read["empirical_policy"]["retry_type"] == "reschedule"


async def test_a_suspended_run_resumes_without_counting_again(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    flow_id = await a_flow(database)
    deployment_id = await a_deployment(database, flow_id)
    run = await a_run(database, place.queue_id, flow_id=flow_id, deployment_id=deployment_id)
    await propose(api, run, "RUNNING")
    await propose(api, run, "PAUSED", name="Suspended", details={"pause_reschedule": True})

    resumed = await api.post(f"/flow_runs/{run}/resume")
    await propose(api, run, "PENDING")
    await propose(api, run, "RUNNING")

    assert verdict(resumed) == ("ACCEPT", "SCHEDULED", "Resuming")
    read = (await api.get(f"/flow_runs/{run}")).json()
    assert read["run_count"] == 1
    assert read["empirical_policy"]["resuming"] is False


async def test_only_a_paused_run_is_resumed(api: httpx.AsyncClient, database: Database) -> None:
    run = await a_run(database)

    answer = await api.post(f"/flow_runs/{run}/resume")

    assert answer.status_code == 200
    assert answer.json() == {
        "state": None,
        "status": "ABORT",
        "details": {
            "type": "abort_details",
            "reason": "Cannot resume a flow run that is not paused.",
        },
    }


async def test_a_proposal_about_a_missing_run_is_answered_in_prefect_s_shape(
    api: httpx.AsyncClient,
) -> None:
    run = uuid4()

    answer = await propose(api, run, "RUNNING")

    assert answer.status_code == 404
    assert answer.json()["exception_message"] == f"Flow run with id {run} not found"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"state": {"type": "BOGUS"}},
        {"state": {"type": "RUNNING", "name": "x" * 256}},
        {"state": {"type": "RUNNING", "name": "\x00"}},
        {"state": {"type": "RUNNING", "data": 2**70}},
        {"state": {"type": "RUNNING", "unknown": 1}},
        {"state": {"type": "PAUSED", "state_details": {"pause_key": "\ud800"}}},
        {"state": {"type": "PAUSED", "state_details": {"run_input_keyset": {"\x00": "x"}}}},
        {"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": "9999-12-31"}}},
        {
            "state": {
                "type": "SCHEDULED",
                "state_details": {"scheduled_time": "0001-01-01T00:00:00+14:00"},
            }
        },
    ],
)
async def test_a_bad_proposal_is_refused(
    api: httpx.AsyncClient, database: Database, body: dict[str, Any]
) -> None:
    run = await a_run(database)

    answer = await api.post(
        f"/flow_runs/{run}/set_state",
        content=json.dumps(body),
        headers={"content-type": "application/json"},
    )

    # A date far away is a date, and the only one of these that can be meant.
    assert answer.status_code == (201 if "9999" in str(body) else 422), answer.text


@pytest.mark.parametrize("state", ["PENDING", "RUNNING"])
async def test_a_run_that_begins_claimed_needs_a_slot(
    api: httpx.AsyncClient, database: Database, state: str
) -> None:
    await a_place(database, concurrency_limit=1)
    body = {
        "flow_id": str(await a_flow(database)),
        "work_pool_name": "p",
        "state": {"type": state},
    }

    first = await api.post("/flow_runs/", json=body)
    second = await api.post("/flow_runs/", json=body)

    assert first.json()["state_type"] == state
    assert second.json()["state_name"] == "AwaitingConcurrencySlot"
    assert len(await live_claims(database)) == 1


async def test_a_stale_holder_cannot_tell_of_infrastructure(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    await propose(api, run, "PENDING", worker="w1")
    statuses = []

    for epoch in (2, 1):
        answer = await api.patch(
            f"/flow_runs/{run}",
            json={"infrastructure_pid": f"job {epoch}"},
            headers={"x-forebay-claim": f"{run}:{epoch}"},
        )
        statuses.append(answer.status_code)

    assert statuses == [409, 204]
    assert (await api.get(f"/flow_runs/{run}")).json()["infrastructure_pid"] == "job 1"
