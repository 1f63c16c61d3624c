"""What is counted and summed up of runs."""

from datetime import UTC, datetime, timedelta

import httpx2 as httpx
import pytest

from forebay.wire.states import StateCreate, StateType
from forebay_server.db.engine import Database
from tests.server.flow_runs.builders import a_flow, a_run

START = datetime(2030, 1, 1, tzinfo=UTC)
HOURS = {
    "history_start": START.isoformat(),
    "history_end": (START + timedelta(hours=3)).isoformat(),
    "history_interval_seconds": 3600,
}


async def test_runs_are_counted_where_they_were_expected_to_start(
    api: httpx.AsyncClient, database: Database
) -> None:
    for minutes in (-1, 0, 59, 60, 150, 180):
        await a_run(database, due=START + timedelta(minutes=minutes))

    answer = await api.post("/flow_runs/history", json=HOURS)

    assert answer.status_code == 200, answer.text
    hours = answer.json()
    assert [hour["interval_start"][11:13] for hour in hours] == ["00", "01", "02"]
    counted = [[state["count_runs"] for state in hour["states"]] for hour in hours]
    assert counted == [[2], [1], [1]]
    assert hours[0]["states"][0]["state_type"] == "SCHEDULED"
    assert hours[0]["states"][0]["sum_estimated_lateness"] == 0


async def test_a_history_is_of_the_runs_that_are_asked_for(
    api: httpx.AsyncClient, database: Database
) -> None:
    flow = await a_flow(database)
    await a_run(database, due=START, flow_id=flow)
    await a_run(database, due=START)

    answer = await api.post(
        "/flow_runs/history", json={**HOURS, "flows": {"id": {"any_": [str(flow)]}}}
    )

    assert [state["count_runs"] for state in answer.json()[0]["states"]] == [1]


async def test_the_time_that_a_run_runs_is_summed_up(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_run(database, state=StateCreate(type=StateType.RUNNING))
    now = datetime.now(UTC)
    around = {
        "history_start": (now - timedelta(hours=1)).isoformat(),
        "history_end": (now + timedelta(hours=1)).isoformat(),
        "history_interval_seconds": 7200,
    }

    (interval,) = (await api.post("/flow_runs/history", json=around)).json()

    (state,) = interval["states"]
    assert 0 <= state["sum_estimated_run_time"] < 60
    assert 0 <= state["sum_estimated_lateness"] < 60


async def test_task_runs_have_a_history_too(api: httpx.AsyncClient) -> None:
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": START.isoformat()}}
    await api.post("/task_runs/", json={"task_key": "t", "dynamic_key": "0", "state": state})

    answer = await api.post("/task_runs/history", json=HOURS)

    assert [len(hour["states"]) for hour in answer.json()] == [1, 0, 0]


@pytest.mark.parametrize("seconds", [0, -1, 0.5, 1, 1e9])
async def test_steps_too_short_or_too_many_are_refused(
    api: httpx.AsyncClient, seconds: float
) -> None:
    body = {**HOURS, "history_interval_seconds": seconds}

    assert (await api.post("/flow_runs/history", json=body)).status_code == 422


async def test_lateness_is_an_average(api: httpx.AsyncClient, database: Database) -> None:
    nothing = await api.post("/flow_runs/lateness")
    await a_run(database, due=datetime.now(UTC) - timedelta(seconds=100))
    await a_run(database, due=datetime.now(UTC) + timedelta(seconds=100))

    some = await api.post("/flow_runs/lateness", json={})

    assert nothing.json() is None
    assert 50 <= some.json() < 80
