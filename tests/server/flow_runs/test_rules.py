"""Decisions about proposed states, as a table. The plain table of all pairs is in tests/contract."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from forebay.wire.flow_runs import FlowRunPolicy
from forebay.wire.states import State, StateCreate, StateDetails, StateType
from forebay_server.flow_runs.facts import (
    Abort,
    Accept,
    Claim,
    ClaimChange,
    DeploymentSlots,
    Facts,
    Intake,
    Proposer,
    Reject,
    Run,
    Wait,
)
from forebay_server.flow_runs.rules import decide

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = UUID(int=7)
MINE = Claim("token/w1", 3)
ME = Proposer("token/w1", is_worker=True)
OTHER = Proposer("token/w2", is_worker=True)


def facts(
    current: str,
    *,
    name: str | None = None,
    data: Any = None,
    details: dict[str, Any] | None = None,
    run: dict[str, Any] | None = None,
    policy: dict[str, Any] | None = None,
    **changes: Any,
) -> Facts:
    """A run with a deployment in the state `current`; `changes` are of the facts."""
    state = State(
        type=StateType(current),
        name=name or current.capitalize(),
        timestamp=NOW - timedelta(minutes=1),
        data=data,
        state_details=StateDetails.model_validate(details or {}),
    )
    described = Run(
        state,
        **{"has_deployment": True, "policy": FlowRunPolicy(**(policy or {})), **(run or {})},
    )
    return replace(Facts(run=described, now=NOW), **changes)


def a_state(type: str, *, details: dict[str, Any] | None = None, **fields: Any) -> StateCreate:
    """A proposed state."""
    given = StateDetails.model_validate(details or {})
    return StateCreate(type=StateType(type), state_details=given, **fields)


def outcome(decision: object) -> tuple[str, str | None]:
    """The kind of a decision and the name of the state that it writes."""
    kind = type(decision).__name__.lower()
    state = decision.state if isinstance(decision, Accept | Reject) else None
    return kind, None if state is None else (state.name or state.type.capitalize())


CASES: dict[str, tuple[Facts, StateCreate, tuple[str, str | None]]] = {
    "the same transition again is answered with the current state": (
        facts("RUNNING", details={"transition_id": ID}),
        a_state("RUNNING", details={"transition_id": ID}),
        ("reject", None),
    ),
    "a claimant that repeats its proposal has its claim": (
        facts("PENDING", details={"transition_id": ID}, claim=MINE, proposer=ME),
        a_state("PENDING", details={"transition_id": ID}),
        ("accept", None),
    ),
    "a named worker that repeats its proposal without a transition id has its claim": (
        facts("PENDING", claim=MINE, proposer=ME),
        a_state("PENDING"),
        ("accept", None),
    ),
    "another transition of the claimant is a second claim": (
        facts("PENDING", details={"transition_id": ID}, claim=MINE, proposer=ME),
        a_state("PENDING", details={"transition_id": uuid4()}),
        ("abort", None),
    ),
    "a worker that repeats what another proposed does not get its claim": (
        facts("PENDING", claim=MINE, proposer=OTHER),
        a_state("PENDING"),
        ("abort", None),
    ),
    "somebody without a name who proposes PENDING again is aborted": (
        facts("PENDING", claim=Claim("token", 1), proposer=Proposer("token")),
        a_state("PENDING"),
        ("abort", None),
    ),
    "a worker does not claim what has ended since the poll": (
        facts("COMPLETED", proposer=OTHER),
        a_state("PENDING"),
        ("abort", None),
    ),
    "the holder goes on within PENDING": (
        facts("PENDING", claim=MINE, proposer=ME),
        a_state("PENDING", name="Submitting"),
        ("accept", "Submitting"),
    ),
    "another worker does not go on within PENDING": (
        facts("PENDING", claim=MINE, proposer=OTHER),
        a_state("PENDING", name="Submitting"),
        ("abort", None),
    ),
    "Submitting twice is a second submission": (
        facts("PENDING", name="Submitting"),
        a_state("PENDING", name="Submitting"),
        ("abort", None),
    ),
    "back to the plain PENDING is a second claim": (
        facts("PENDING", name="Submitting"),
        a_state("PENDING", name="Pending"),
        ("abort", None),
    ),
    "the current epoch may report": (
        facts("RUNNING", claim=MINE, proposer=Proposer("x", epoch=3)),
        a_state("COMPLETED"),
        ("accept", "Completed"),
    ),
    "an older epoch may report nothing": (
        facts("RUNNING", claim=MINE, proposer=Proposer("x", epoch=2)),
        a_state("COMPLETED"),
        ("abort", None),
    ),
    "an ended claim may report nothing, not even by force": (
        facts("SCHEDULED", proposer=Proposer("x", epoch=3), is_forced=True),
        a_state("COMPLETED"),
        ("abort", None),
    ),
    "a claim is started once": (
        facts("RUNNING", claim=MINE),
        a_state("RUNNING"),
        ("abort", None),
    ),
    "a completed run with data is not run again": (
        facts("COMPLETED", data={"type": "reference"}),
        a_state("SCHEDULED"),
        ("reject", None),
    ),
    "data is not lost by force": (
        facts("COMPLETED", data={"type": "reference"}, is_forced=True),
        a_state("COMPLETED"),
        ("reject", None),
    ),
    "data is not lost without force": (
        facts("COMPLETED", data={"type": "reference"}),
        a_state("COMPLETED"),
        ("reject", None),
    ),
    "data that was not persisted does not keep a run from running again": (
        facts("COMPLETED", data={"type": "unpersisted"}),
        a_state("RUNNING"),
        ("accept", "Running"),
    ),
    "a scheduled run with infrastructure is cancelled by whoever runs it": (
        facts("SCHEDULED", run={"has_infrastructure": True}),
        a_state("CANCELLING"),
        ("accept", "Cancelling"),
    ),
    "a resuming run has no infrastructure": (
        facts("SCHEDULED", name="Resuming", run={"has_infrastructure": True}),
        a_state("CANCELLING"),
        ("reject", "Cancelled"),
    ),
    "a suspended run has no infrastructure": (
        facts("PAUSED", name="Suspended", details={"pause_reschedule": True}),
        a_state("CANCELLING"),
        ("reject", "Cancelled"),
    ),
    "a run is late once": (
        facts("SCHEDULED", name="Late"),
        a_state("SCHEDULED", name="Late"),
        ("reject", None),
    ),
    "a running run is not late": (
        facts("RUNNING"),
        a_state("SCHEDULED", name="Late"),
        ("reject", None),
    ),
    "a pause is made once": (
        facts("RUNNING", policy={"pause_keys": ["k"]}),
        a_state("PAUSED", details={"pause_key": "k"}),
        ("reject", None),
    ),
    "a subflow is not suspended": (
        facts("RUNNING", run={"is_subflow": True}),
        a_state("PAUSED", details={"pause_reschedule": True}),
        ("abort", None),
    ),
    "a run without a deployment is not suspended": (
        facts("RUNNING", run={"has_deployment": False}),
        a_state("PAUSED", details={"pause_reschedule": True}),
        ("abort", None),
    ),
    "a pause that timed out ends the run": (
        facts("PAUSED", details={"pause_timeout": NOW - timedelta(seconds=1)}),
        a_state("RUNNING"),
        ("reject", "Failed"),
    ),
    "a run fails for good when its retries are used up": (
        facts("RUNNING", policy={"retries": 1}, run={"run_count": 2}),
        a_state("FAILED"),
        ("accept", "Failed"),
    ),
    "a failed run with retries left is scheduled again": (
        facts("RUNNING", policy={"retries": 1}, run={"run_count": 1}),
        a_state("FAILED"),
        ("reject", "AwaitingRetry"),
    ),
    "force fails a run that has retries left": (
        facts("RUNNING", policy={"retries": 1}, run={"run_count": 1}, is_forced=True),
        a_state("FAILED"),
        ("accept", "Failed"),
    ),
    "a deployment without a free slot puts its run off": (
        facts("SCHEDULED", deployment=DeploymentSlots(limit=1, free=0)),
        a_state("PENDING"),
        ("reject", "AwaitingConcurrencySlot"),
    ),
    "a deployment without a free slot cancels its run where it says so": (
        facts("SCHEDULED", deployment=DeploymentSlots(1, 0, cancels_new=True)),
        a_state("PENDING"),
        ("reject", "Cancelled"),
    ),
    "a deployment with limit 0 never runs": (
        facts("SCHEDULED", deployment=DeploymentSlots(0, 0)),
        a_state("PENDING"),
        ("abort", None),
    ),
    "a full pool puts a run off": (
        facts("SCHEDULED", intake=Intake(pool_free=0)),
        a_state("PENDING"),
        ("reject", "AwaitingConcurrencySlot"),
    ),
    "a full queue puts a run off that is started without a claim": (
        facts("SCHEDULED", intake=Intake(queue_free=-1)),
        a_state("RUNNING"),
        ("reject", "AwaitingConcurrencySlot"),
    ),
    "a paused pool or queue puts a run off": (
        facts("SCHEDULED", intake=Intake(is_paused=True)),
        a_state("PENDING"),
        ("reject", "AwaitingConcurrencySlot"),
    ),
    "a finished run waits for a slot instead of being scheduled": (
        facts("FAILED", intake=Intake(pool_free=0)),
        a_state("RUNNING"),
        ("wait", None),
    ),
    "force does not exceed a limit": (
        facts("SCHEDULED", intake=Intake(pool_free=0), is_forced=True),
        a_state("RUNNING"),
        ("reject", "AwaitingConcurrencySlot"),
    ),
    "force by an admin exceeds a limit": (
        facts(
            "SCHEDULED",
            intake=Intake(pool_free=0),
            is_forced=True,
            proposer=Proposer("admin", may_exceed_limits=True),
        ),
        a_state("RUNNING"),
        ("accept", "Running"),
    ),
    "who has a claim needs no slot": (
        facts("PENDING", claim=MINE, intake=Intake(is_paused=True, pool_free=0)),
        a_state("RUNNING"),
        ("accept", "Running"),
    ),
    "cancelling gets through a paused pool": (
        facts("SCHEDULED", run={"has_infrastructure": True}, intake=Intake(is_paused=True)),
        a_state("CANCELLING"),
        ("accept", "Cancelling"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_decision(case: str) -> None:
    given, proposed, expected = CASES[case]

    decision = decide(given, proposed)

    assert outcome(decision) == expected


@pytest.mark.parametrize("current", ["SCHEDULED", "PENDING"])
def test_a_run_that_is_not_due_waits_whole_seconds(current: str) -> None:
    given = facts(current, details={"scheduled_time": NOW + timedelta(seconds=99.2)})

    decision = decide(given, a_state("RUNNING"))

    assert decision == Wait(100, "Scheduled time is in the future")


def test_pending_inherits_the_time_and_the_lease() -> None:
    inherited = {"scheduled_time": NOW, "deployment_concurrency_lease_id": ID}
    given = facts("SCHEDULED", details=inherited)

    decision = decide(given, a_state("PENDING"))

    assert isinstance(decision, Accept)
    assert decision.state == a_state("PENDING", details=inherited)


def test_a_retry_keeps_the_claim_and_is_not_offered_to_workers() -> None:
    given = facts(
        "RUNNING",
        policy={"retries": 1, "retry_delay": 5},
        run={"run_count": 1},
        claim=MINE,
        intake=Intake(),
    )

    decision = decide(given, a_state("FAILED", message="boom"))

    assert isinstance(decision, Reject)
    assert decision.claim is ClaimChange.KEEP
    assert decision.policy is not None
    assert decision.policy.retry_type == "in_process"
    assert decision.state is not None
    assert decision.state.state_details.scheduled_time == NOW + timedelta(seconds=5)
    assert decision.state.message == "boom"


def test_a_run_scheduled_by_hand_while_it_waits_to_retry_is_offered_to_workers() -> None:
    given = facts("SCHEDULED", name="AwaitingRetry", policy={"retry_type": "in_process"})

    decision = decide(given, a_state("SCHEDULED"))

    assert isinstance(decision, Accept)
    assert decision.policy is not None
    assert decision.policy.retry_type is None


def test_a_finished_run_that_is_scheduled_again_forgets_its_pauses() -> None:
    given = facts("FAILED", policy={"pause_keys": ["k"], "resuming": True})

    decision = decide(given, a_state("SCHEDULED"))

    assert isinstance(decision, Accept)
    assert decision.policy == FlowRunPolicy(retry_type="reschedule")


@pytest.mark.parametrize(
    ("current", "proposed"),
    [("SCHEDULED", "PENDING"), ("SCHEDULED", "RUNNING"), ("FAILED", "RUNNING")],
)
def test_entering_a_holding_state_without_a_claim_takes_one(current: str, proposed: str) -> None:
    decision = decide(facts(current, intake=Intake()), a_state(proposed))

    assert isinstance(decision, Accept)
    assert decision.claim is ClaimChange.TAKE


@pytest.mark.parametrize(
    ("proposed", "expected"),
    [
        (a_state("COMPLETED"), ClaimChange.RELEASE),
        (a_state("CRASHED"), ClaimChange.RELEASE),
        (a_state("SCHEDULED"), ClaimChange.RELEASE),
        (a_state("PAUSED", details={"pause_reschedule": True}), ClaimChange.RELEASE),
        (a_state("PAUSED"), ClaimChange.KEEP),
        (a_state("CANCELLING"), ClaimChange.KEEP),
    ],
)
@pytest.mark.parametrize("is_forced", [False, True])
def test_a_claim_ends_when_no_process_of_the_run_is_left(
    proposed: StateCreate, expected: ClaimChange, is_forced: bool
) -> None:
    given = facts("RUNNING", claim=MINE, intake=Intake(), is_forced=is_forced)

    decision = decide(given, proposed)

    assert isinstance(decision, Accept)
    assert decision.claim is expected


def test_a_run_on_no_queue_needs_no_claim() -> None:
    decision = decide(facts("SCHEDULED"), a_state("RUNNING"))

    assert isinstance(decision, Accept)
    assert decision.claim is ClaimChange.KEEP


def test_the_reason_of_an_abort_names_the_claim_that_has_ended() -> None:
    given = facts("RUNNING", claim=MINE, proposer=Proposer("x", epoch=2))

    decision = decide(given, a_state("COMPLETED"))

    assert isinstance(decision, Abort)
    assert "Claim 2" in decision.reason
