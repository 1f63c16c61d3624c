"""Prefect's workers and engine execute flows on Forebay: every way to wait and every way to end.

All runs are made at once, for two workers of one pool whose limit is below what the two take;
each test looks at its own. The last one looks at the limit.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from uuid import UUID

import pytest

from forebay.calls import call, deployments, flow_runs, work_pools
from forebay.wire.artifacts import LatestArtifact
from forebay.wire.deployments import CollisionStrategy, ConcurrencyOptions, DeploymentUpdate
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import HOLDING, State, StateType, Verdict, VerdictStatus
from forebay.wire.work_pools import WorkPoolUpdate
from tests.acceptance.prefect.conftest import Prefect

# The first test of a database waits for all that is set up, and for engines on a busy machine.
pytestmark = pytest.mark.timeout(600)

POOL = "executing"
LIMIT = 3
TAKEN_BY_EACH = "2"  # so that the limit is reached by both workers only, and is below both
FLOWS = (
    *("works_a_while", "succeeds", "fails", "succeeds_at_the_second_try", "crashes", "suspends"),
    *("asks", "parent", "leaves_artifacts", "starts_by_schedule", "sleeps"),
)


@dataclass(frozen=True)
class Executing:
    """The real Prefect, and its runs by what their flows do."""

    prefect: Prefect
    runs: dict[str, UUID]
    in_turn: list[UUID]  # runs of a deployment that takes one at a time

    def states(self, run: UUID) -> list[State]:
        """What the run has gone through until now."""
        return self.prefect.client.send(flow_runs.states(run))


@pytest.fixture(scope="session")
def executing(prefect: Prefect) -> Iterator[Executing]:
    """Runs of every flow and two workers to execute them; a schedule and a serving process."""
    prefect.deploy(POOL, *FLOWS)
    prefect.client.send(work_pools.update(POOL, WorkPoolUpdate(concurrency_limit=LIMIT)))
    limited = prefect.client.send(deployments.read_by_name("works-a-while", POOL))
    options = ConcurrencyOptions(collision_strategy=CollisionStrategy.ENQUEUE)
    change = DeploymentUpdate(concurrency_limit=1, concurrency_options=options)
    prefect.client.send(deployments.update(limited.id, change))
    started = [
        prefect.start(*("worker", "start", "--pool", POOL, "--name", name, "-l", TAKEN_BY_EACH))
        for name in ("one", "two")
    ]
    started.append(prefect.start("does_nothing", script="serve.py"))
    in_turn = [prefect.run_deployment("works-a-while", POOL) for _ in range(2)]
    soon = (datetime.now(UTC) + timedelta(seconds=15)).isoformat()
    prefect.run(
        *("deployment", "schedule", "create", f"starts-by-schedule/{POOL}"),
        *("--interval", "120", "--anchor-date", soon),
    )
    runs = {
        flow: prefect.run_deployment(flow, POOL, *options)
        for flow, *options in (
            ("suspends",),
            ("asks",),
            ("succeeds", "--param", "x=5"),
            ("fails",),
            ("succeeds-at-the-second-try",),
            ("crashes",),
            ("parent",),
            ("leaves-artifacts",),
            ("sleeps",),
        )
    }
    yield Executing(prefect, runs, in_turn)
    for command in started:
        command.stop()


def is_paused(run: FlowRun) -> bool:
    return run.state_type == StateType.PAUSED


def is_running(run: FlowRun) -> bool:
    return run.state_type == StateType.RUNNING


def is_scheduled_and_done(run: FlowRun) -> bool:
    return run.auto_scheduled and run.state_type == StateType.COMPLETED


def test_a_run_goes_on_after_its_suspension(executing: Executing) -> None:
    prefect, run = executing.prefect, executing.runs["suspends"]
    suspended = prefect.wait(run, is_paused)

    resumed = prefect.client.send(call("POST", f"/flow_runs/{run}/resume", Verdict, {}))

    assert suspended.state_name == "Suspended"
    assert resumed.status == VerdictStatus.ACCEPT
    done = prefect.wait(run)
    assert (done.state_type, done.run_count) == (StateType.COMPLETED, 1)
    prefect.wait_for_line(run, "went on")


def test_a_run_goes_on_after_a_pause_with_what_it_asked_for(executing: Executing) -> None:
    prefect, run = executing.prefect, executing.runs["asks"]
    asking = prefect.wait(run, is_paused)
    resume = f"/flow_runs/{run}/resume"

    refused = prefect.client.send(call("POST", resume, Verdict, {"run_input": {"value": "x"}}))
    answered = prefect.client.send(call("POST", resume, Verdict, {"run_input": {"value": 7}}))

    assert asking.state_name == "Paused"
    assert refused.status == VerdictStatus.REJECT
    assert answered.status == VerdictStatus.ACCEPT
    assert prefect.wait(run).state_type == StateType.COMPLETED
    prefect.wait_for_line(run, "answered 7")


def test_a_flow_gets_its_parameters_and_its_lines_are_kept(executing: Executing) -> None:
    prefect, run = executing.prefect, executing.runs["succeeds"]

    done = prefect.wait(run)

    assert done.state_type == StateType.COMPLETED
    assert done.parameters == {"x": 5}
    prefect.wait_for_line(run, "sum 7")
    shown = prefect.run("flow-run", "logs", str(run))
    assert "printed 5" in shown
    assert "sum 7" in shown


def test_a_flow_that_raises_fails_with_its_words(executing: Executing) -> None:
    failed = executing.prefect.wait(executing.runs["fails"])

    assert failed.state_type == StateType.FAILED
    assert failed.state is not None and "no good" in str(failed.state.message)


def test_a_flow_with_retries_is_tried_again(executing: Executing) -> None:
    retried = executing.prefect.wait(executing.runs["succeeds-at-the-second-try"])

    assert (retried.state_type, retried.run_count) == (StateType.COMPLETED, 2)
    names = [state.name for state in executing.states(retried.id)]
    assert "AwaitingRetry" in names


def test_a_flow_whose_process_dies_has_crashed(executing: Executing) -> None:
    crashed = executing.prefect.wait(executing.runs["crashes"])

    assert crashed.state_type == StateType.CRASHED


def test_a_subflow_has_a_run_of_its_own_within_its_parent(executing: Executing) -> None:
    prefect, parent = executing.prefect, executing.runs["parent"]

    done = prefect.wait(parent)

    assert done.state_type == StateType.COMPLETED
    prefect.wait_for_line(parent, "child says 5")
    child = prefect.wait_for_any(lambda run: run.parent_task_run_id is not None)
    assert child.state_type == StateType.COMPLETED
    task = prefect.client.send(call("GET", f"/task_runs/{child.parent_task_run_id}", dict))
    assert task["flow_run_id"] == str(parent)
    assert task["state_type"] == StateType.COMPLETED


def test_what_a_flow_leaves_to_look_at_is_kept_by_key_and_version(executing: Executing) -> None:
    prefect, run = executing.prefect, executing.runs["leaves-artifacts"]

    done = prefect.wait(run)

    assert done.state_type == StateType.COMPLETED, done.state
    of_run = {"flow_runs": {"id": {"any_": [str(run)]}}}
    path = "/artifacts/latest/filter"
    latest = prefect.client.send(call("POST", path, list[LatestArtifact], of_run))
    assert {each.key: each.data for each in latest} == {
        "notes": "# second",
        "site": "[a site](https://example.org)",
        "rows": '[{"name": "a", "size": null}]',
        "progress": 100.0,
    }
    assert [each.key for each in latest if each.task_run_id is not None] == ["rows"]
    inspected = prefect.run("artifact", "inspect", "notes")
    assert "# first" in inspected and "# second" in inspected
    assert "notes" in prefect.run("artifact", "ls")


def test_a_schedule_makes_runs_for_workers_and_for_serving_processes(
    executing: Executing,
) -> None:
    prefect = executing.prefect

    by_worker = prefect.wait_for_any(
        lambda run: is_scheduled_and_done(run) and run.work_pool_name == POOL
    )
    by_process = prefect.wait_for_any(
        lambda run: is_scheduled_and_done(run) and run.work_pool_name is None
    )

    assert by_worker.created_by is not None and by_worker.created_by.type == "SCHEDULE"
    assert by_process.deployment_id != by_worker.deployment_id


def test_a_run_beyond_its_deployments_limit_waits_and_then_runs(executing: Executing) -> None:
    ended = [executing.prefect.wait(run) for run in executing.in_turn]

    assert {run.state_type for run in ended} == {StateType.COMPLETED}
    first, second = sorted(ended, key=lambda run: str(run.start_time))
    assert first.end_time is not None and second.start_time is not None
    assert first.end_time <= second.start_time
    names = [state.name for state in executing.states(second.id)]
    assert "AwaitingConcurrencySlot" in names


def test_a_running_flow_is_cancelled_and_every_slot_comes_back(executing: Executing) -> None:
    prefect, run = executing.prefect, executing.runs["sleeps"]
    prefect.wait(run, is_running)

    prefect.run("flow-run", "cancel", str(run))

    assert prefect.wait(run).state_type == StateType.CANCELLED
    for other in (*executing.runs.values(), *executing.in_turn):
        prefect.wait(other)
    status = prefect.client.send(call("POST", f"/work_pools/{POOL}/concurrency_status", dict))
    assert status["active_slots"] == 0


def test_two_workers_reach_the_limit_of_their_pool_and_never_exceed_it(
    executing: Executing,
) -> None:
    runs = [*executing.runs.values(), *executing.in_turn]
    for run in runs:
        executing.prefect.wait(run)

    moments = [moment for run in runs for moment in holds_and_releases(executing.states(run))]

    moments.sort()
    assert max(accumulate(step for _, step in moments)) == LIMIT


def holds_and_releases(states: list[State]) -> Iterator[tuple[datetime, int]]:
    """When a run took a slot, as +1, and when it gave it back, as -1."""
    is_held = False
    for state in states:
        holds = state.type in HOLDING
        if holds != is_held:
            yield state.timestamp, 1 if holds else -1
        is_held = holds
