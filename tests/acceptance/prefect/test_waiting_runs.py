"""Prefect's engine and runners on Forebay where runs wait: for time, people, slots and others.

What the database is makes no difference here; the other tests of this folder use both.
"""

from datetime import UTC, datetime, timedelta

import pytest

from forebay.calls import call, deployments
from forebay.wire.deployments import CollisionStrategy, ConcurrencyOptions, DeploymentUpdate
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import StateType, Verdict, VerdictStatus
from tests.acceptance.prefect.conftest import Prefect

pytestmark = pytest.mark.parametrize("stock_server", ["sqlite"], indirect=True)


def is_paused(run: FlowRun) -> bool:
    return run.state_type == StateType.PAUSED


def awaits_slot(run: FlowRun) -> bool:
    return run.state_name == "AwaitingConcurrencySlot"


def is_scheduled_and_done(run: FlowRun) -> bool:
    return run.auto_scheduled and run.state_type == StateType.COMPLETED


def test_runs_go_on_after_a_suspension_and_after_a_pause_with_their_input(
    prefect: Prefect,
) -> None:
    prefect.deploy("suspends", "asks", "parent")
    prefect.start_worker()
    suspends, asks = prefect.run_deployment("suspends"), prefect.run_deployment("asks")
    parent = prefect.run_deployment("parent")
    suspended = prefect.wait(suspends, is_paused)
    asking = prefect.wait(asks, is_paused)
    assert suspended.state_name == "Suspended"
    assert asking.state_name == "Paused"

    resume = f"/flow_runs/{suspends}/resume"
    answer = f"/flow_runs/{asks}/resume"
    resumed = prefect.client.send(call("POST", resume, Verdict, {}))
    refused = prefect.client.send(call("POST", answer, Verdict, {"run_input": {"value": "x"}}))
    answered = prefect.client.send(call("POST", answer, Verdict, {"run_input": {"value": 7}}))

    assert resumed.status == answered.status == VerdictStatus.ACCEPT
    assert refused.status == VerdictStatus.REJECT
    done = prefect.wait(suspends)
    assert (done.state_type, done.run_count) == (StateType.COMPLETED, 1)
    prefect.wait_for_line(suspends, "went on")
    assert prefect.wait(asks).state_type == StateType.COMPLETED
    prefect.wait_for_line(asks, "answered 7")
    assert prefect.wait(parent).state_type == StateType.COMPLETED
    prefect.wait_for_line(parent, "child says 5")
    child = prefect.wait_for_any(lambda run: run.parent_task_run_id is not None)
    assert child.state_type == StateType.COMPLETED
    task = prefect.client.send(call("GET", f"/task_runs/{child.parent_task_run_id}", dict))
    assert task["flow_run_id"] == str(parent)
    assert task["state_type"] == StateType.COMPLETED


def test_a_run_beyond_its_deployments_limit_waits_and_then_runs(prefect: Prefect) -> None:
    prefect.deploy("works_a_while")
    deployment = prefect.client.send(deployments.read_by_name("works-a-while", "test"))
    options = ConcurrencyOptions(collision_strategy=CollisionStrategy.ENQUEUE)
    limited = DeploymentUpdate(concurrency_limit=1, concurrency_options=options)
    prefect.client.send(deployments.update(deployment.id, limited))
    runs = [
        prefect.run_deployment("works-a-while", "--param", "seconds=3", "--start-in", "5 seconds")
        for _ in range(2)
    ]
    prefect.start_worker()

    waiting = prefect.wait_for_any(awaits_slot)

    ended = [prefect.wait(run, seconds=90) for run in runs]
    assert waiting.id in runs
    assert {run.state_type for run in ended} == {StateType.COMPLETED}
    first, second = sorted(ended, key=lambda run: str(run.start_time))
    assert first.end_time is not None and second.start_time is not None
    assert first.end_time <= second.start_time
    assert second.id == waiting.id


def test_schedules_make_runs_that_workers_and_serving_processes_execute(
    prefect: Prefect,
) -> None:
    prefect.deploy("succeeds")
    soon = (datetime.now(UTC) + timedelta(seconds=8)).isoformat()
    prefect.run(
        *("deployment", "schedule", "create", "succeeds/test"),
        *("--interval", "3600", "--anchor-date", soon),
    )
    prefect.start_worker()
    prefect.start_serving("does_nothing")

    by_worker = prefect.wait_for_any(
        lambda run: is_scheduled_and_done(run) and run.work_pool_name is not None
    )
    by_process = prefect.wait_for_any(
        lambda run: is_scheduled_and_done(run) and run.work_pool_name is None
    )

    assert by_worker.created_by is not None and by_worker.created_by.type == "SCHEDULE"
    assert by_process.deployment_id != by_worker.deployment_id
