"""Reports about many claimed runs at once: each is decided as a proposal of its own would be."""

from typing import Any
from uuid import UUID, uuid4

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database
from tests.server.dispatch.builders import claim
from tests.server.flow_runs.builders import a_place, a_run, live_claims, propose
from tests.server.statements import recorded


async def report(
    api: httpx.AsyncClient, *reports: dict[str, Any], pool: str = "p", worker: str = "w1"
) -> httpx.Response:
    """Tell of runs; the answer as it came."""
    body = {"worker_name": worker, "reports": list(reports)}
    return await api.post(f"/work_pools/{pool}/report", json=body)


def told(claim: str, type: str, transition: UUID | None = None) -> dict[str, Any]:
    """One report."""
    details = {"transition_id": str(transition or uuid4())}
    return {"claim": claim, "state": {"type": type, "state_details": details}}


async def claimed(api: httpx.AsyncClient, database: Database, runs: int) -> list[str]:
    """Claims of so many new runs, of a new pool."""
    place = await a_place(database)
    for _ in range(runs):
        await a_run(database, place.queue_id)
    return [run["claim"] for run in (await claim(api)).json()["runs"]]


def statuses(answer: httpx.Response) -> list[str]:
    """What was decided, in the order of the reports."""
    assert answer.status_code == 200, answer.text
    return [result["status"] for result in answer.json()["results"]]


async def history(api: httpx.AsyncClient, claim: str) -> list[str]:
    """Types of the states of a claim's run."""
    run = claim.partition(":")[0]
    states = (await api.get(f"/flow_run_states/?flow_run_id={run}")).json()
    return [state["type"] for state in states]


async def test_runs_move_on_together_and_give_their_slots_back(
    api: httpx.AsyncClient, database: Database
) -> None:
    first, second, third = await claimed(api, database, 3)

    running = await report(api, *(told(each, "RUNNING") for each in (first, second, third)))
    ended = await report(api, told(first, "COMPLETED"), told(second, "FAILED"))

    assert statuses(running) == ["ACCEPT"] * 3
    assert statuses(ended) == ["ACCEPT"] * 2
    assert await history(api, first) == ["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"]
    assert await history(api, second) == ["SCHEDULED", "PENDING", "RUNNING", "FAILED"]
    ((left, _epoch),) = await live_claims(database)
    assert str(left) == third.partition(":")[0]
    run = (await api.get(f"/flow_runs/{first.partition(':')[0]}")).json()
    assert run["run_count"] == 1
    assert run["start_time"] is not None
    assert run["end_time"] is not None


async def test_a_report_whose_answer_was_lost_changes_nothing(
    api: httpx.AsyncClient, database: Database
) -> None:
    (held,) = await claimed(api, database, 1)
    await report(api, told(held, "RUNNING"))
    ended = told(held, "COMPLETED")

    once, again = await report(api, ended), await report(api, ended)

    (first,), (second,) = once.json()["results"], again.json()["results"]
    assert first["status"] == "ACCEPT"
    assert second["state"] == first["state"]
    assert await history(api, held) == ["SCHEDULED", "PENDING", "RUNNING", "COMPLETED"]


async def test_one_refusal_leaves_the_others_as_they_are(
    api: httpx.AsyncClient, database: Database
) -> None:
    good, stale = await claimed(api, database, 2)
    run, _, epoch = stale.partition(":")
    older = f"{run}:{int(epoch) + 5}"
    nobody = f"{uuid4()}:1"

    answer = await report(
        api, told(older, "RUNNING"), told(good, "RUNNING"), told(nobody, "RUNNING")
    )

    assert statuses(answer) == ["ABORT", "ACCEPT", "ABORT"]
    assert await history(api, stale) == ["SCHEDULED", "PENDING"]


async def test_a_run_that_lost_its_claim_is_not_moved(
    api: httpx.AsyncClient, database: Database
) -> None:
    (held,) = await claimed(api, database, 1)
    await propose(api, held.partition(":")[0], "CANCELLED", force=True)

    answer = await report(api, told(held, "RUNNING"))

    assert statuses(answer) == ["ABORT"]
    assert (await history(api, held))[-1] == "CANCELLED"


async def test_a_run_of_another_pool_is_unknown_here(
    api: httpx.AsyncClient, database: Database
) -> None:
    (held,) = await claimed(api, database, 1)
    await a_place(database, "other")

    answer = await report(api, told(held, "RUNNING"), pool="other")

    assert statuses(answer) == ["ABORT"]
    assert await history(api, held) == ["SCHEDULED", "PENDING"]


async def test_a_failed_run_with_retries_waits_for_its_next_try(
    api: httpx.AsyncClient, database: Database
) -> None:
    (held,) = await claimed(api, database, 1)
    policy = {"retries": 1, "retry_delay": 3}
    run = held.partition(":")[0]
    await api.patch(f"/flow_runs/{run}", json={"empirical_policy": policy})
    await report(api, told(held, "RUNNING"))

    answer = await report(api, told(held, "FAILED"))

    assert statuses(answer) == ["REJECT"]
    assert (await history(api, held))[-1] == "SCHEDULED"


async def test_the_number_of_statements_does_not_grow_with_the_runs(
    api: httpx.AsyncClient, database: Database
) -> None:
    held = await claimed(api, database, 10)
    await report(api, *(told(each, "RUNNING") for each in held))

    with recorded(database) as one:
        await report(api, told(held[0], "COMPLETED"))
    with recorded(database) as many:
        await report(api, *(told(each, "COMPLETED") for each in held[1:]))

    assert len(many) == len(one)


@pytest.mark.parametrize(
    "body",
    [
        {"worker_name": "w", "reports": []},
        {"worker_name": "w", "reports": [{"claim": "x", "state": {"type": "RUNNING"}}]},
        {
            "worker_name": "w",
            "reports": [{"claim": "0" * 32 + ":1", "state": {"type": "RUNNING"}}] * 2,
        },
    ],
    ids=["none", "malformed", "twice"],
)
async def test_bad_reports_are_refused(
    api: httpx.AsyncClient, database: Database, body: dict[str, Any]
) -> None:
    await a_place(database)

    answer = await api.post("/work_pools/p/report", json=body)

    assert answer.status_code == 422
