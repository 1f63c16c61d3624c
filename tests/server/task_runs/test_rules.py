"""What becomes of states proposed for task runs, rule by rule."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from forebay.wire.states import State, StateCreate, StateDetails, StateType
from forebay.wire.task_runs import TaskRunPolicy
from forebay_server.flow_runs.facts import Abort, Accept, Reject, Wait
from forebay_server.task_runs.rules import TaskFacts, decide

NOW = datetime(2030, 1, 1, tzinfo=UTC)


def a_state(type: str, **fields: Any) -> State:
    return State(type=StateType(type), name=type.capitalize(), timestamp=NOW, **fields)


def facts(type: str, **others: Any) -> TaskFacts:
    state = others.pop("state", None) or a_state(type)
    return TaskFacts(**{"state": state, "now": NOW, **others})


def to(type: str, **details: Any) -> StateCreate:
    return StateCreate(type=StateType(type), state_details=StateDetails(**details))


def test_a_task_begins_in_a_run_that_runs() -> None:
    decision = decide(
        facts("PENDING", flow_state=a_state("RUNNING")), to("RUNNING"), is_forced=False
    )

    assert isinstance(decision, Accept)


def test_no_task_begins_in_a_run_that_has_stopped() -> None:
    decision = decide(
        facts("PENDING", flow_state=a_state("CANCELLED")), to("RUNNING"), is_forced=False
    )

    assert isinstance(decision, Abort)


def test_a_task_in_a_paused_run_pauses_with_it() -> None:
    timeout = NOW + timedelta(hours=1)
    details = StateDetails(pause_timeout=timeout, pause_reschedule=True)
    paused = a_state("PAUSED", state_details=details)

    decision = decide(facts("PENDING", flow_state=paused), to("RUNNING"), is_forced=False)

    assert isinstance(decision, Reject) and decision.state is not None
    assert (decision.state.type, decision.state.name) == ("PAUSED", "NotReady")
    assert decision.state.state_details.pause_timeout == timeout


@pytest.mark.parametrize(
    ("delay", "run_count", "seconds"),
    [(None, 1, 0), (5, 1, 5), ([1, 7], 1, 1), ([1, 7], 2, 7), ([1, 7], 3, 7), ([], 1, 0)],
)
def test_a_failed_task_waits_as_its_policy_says(
    delay: Any, run_count: int, seconds: float
) -> None:
    policy = TaskRunPolicy(retries=3, retry_delay=delay)

    decision = decide(
        facts("RUNNING", run_count=run_count, policy=policy), to("FAILED"), is_forced=False
    )

    assert isinstance(decision, Reject) and decision.state is not None
    assert decision.state.name == "AwaitingRetry"
    assert decision.state.state_details.scheduled_time == NOW + timedelta(seconds=seconds)


def test_a_task_fails_once_its_retries_are_used_up_or_make_no_sense() -> None:
    policy = TaskRunPolicy(retries=1)
    used_up = facts("RUNNING", run_count=2, policy=policy)
    first = facts("RUNNING", run_count=1, policy=policy)

    assert isinstance(decide(used_up, to("FAILED"), is_forced=False), Accept)
    assert isinstance(decide(first, to("FAILED", retriable=False), is_forced=False), Accept)


def test_a_task_does_not_begin_before_its_time() -> None:
    due = StateDetails(scheduled_time=NOW + timedelta(seconds=2.5))
    waiting = facts("SCHEDULED", state=a_state("SCHEDULED", state_details=due))

    decision = decide(waiting, to("RUNNING"), is_forced=False)

    assert isinstance(decision, Wait)
    assert decision.seconds == 3


@pytest.mark.parametrize("type", ["CANCELLING", "PAUSED", "CRASHED"])
def test_what_has_ended_is_not_stopped(type: str) -> None:
    assert isinstance(decide(facts("FAILED"), to(type), is_forced=False), Abort)


def test_a_kept_result_is_not_computed_again_unless_forced() -> None:
    kept = facts("COMPLETED", state=a_state("COMPLETED", data={"type": "reference"}))

    assert isinstance(decide(kept, to("RUNNING"), is_forced=False), Reject)
    assert isinstance(decide(kept, to("RUNNING"), is_forced=True), Accept)


def test_a_task_that_ran_in_an_earlier_try_of_its_run_is_retrying() -> None:
    again = facts("COMPLETED", flow_state=a_state("RUNNING"), is_again=True)

    decision = decide(again, to("RUNNING"), is_forced=False)

    assert isinstance(decision, Accept) and decision.state is not None
    assert decision.state.name == "Retrying"


def test_a_transition_is_made_once() -> None:
    id = uuid4()
    made = facts("RUNNING", state=a_state("RUNNING", state_details={"transition_id": id}))

    decision = decide(made, to("RUNNING", transition_id=id), is_forced=False)

    assert isinstance(decision, Reject) and decision.state is None


def test_what_is_late_keeps_its_time_when_it_begins() -> None:
    due = NOW - timedelta(minutes=1)
    scheduled = a_state("SCHEDULED", state_details=StateDetails(scheduled_time=due))

    decision = decide(facts("SCHEDULED", state=scheduled), to("PENDING"), is_forced=False)

    assert isinstance(decision, Accept) and decision.state is not None
    assert decision.state.state_details.scheduled_time == due
