"""What the server makes of a proposed state. Pure: no SQL, no HTTP, no clock, no chance.

Source: Prefect 3.8.4 `CoreFlowPolicy` and `MinimalFlowPolicy`. Claims, epochs and the limits of
pools and queues are Forebay's own: the original checks limits in the poll only.
"""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from forebay.wire.flow_runs import FlowRunPolicy
from forebay.wire.states import HOLDING, TERMINAL, StateCreate, StateDetails, StateType
from forebay_server.flow_runs.facts import (
    Abort,
    Accept,
    ClaimChange,
    Decision,
    Facts,
    Reject,
    Wait,
)

AWAITING_SLOT = "AwaitingConcurrencySlot"
AWAITING_RETRY = "AwaitingRetry"
LATE = "Late"
RESUMING = "Resuming"
DEPLOYMENT_BACKOFF_SECONDS = 30


def decide(facts: Facts, proposed: StateCreate) -> Decision:
    """What becomes of `proposed`; the first rule that objects decides."""
    rules = _FORCED if facts.is_forced else _NORMAL
    proposed = _completed(facts, proposed)
    for rule in rules:
        if decision := rule(facts, proposed):
            return _with_claim(facts, decision)
    return _with_claim(facts, Accept(proposed, policy=_policy_after(facts, proposed)))


def claim_change(facts: Facts, state: StateCreate, policy: FlowRunPolicy) -> ClaimChange:
    """What entering `state` does to the claim.

    A claim is kept while a process of the run may be alive: also while it waits to retry by
    itself or sleeps in a pause, so that its slot stays taken and its loss is noticed.
    """
    if state.type in HOLDING:
        is_unclaimed = facts.claim is None and facts.intake is not None
        return ClaimChange.TAKE if is_unclaimed else ClaimChange.KEEP
    is_kept = facts.claim is None or _stays_alive(state, policy)
    return ClaimChange.KEEP if is_kept else ClaimChange.RELEASE


def slot_change(facts: Facts, state: StateCreate, policy: FlowRunPolicy) -> ClaimChange:
    """What entering `state` does to the run's slot of its deployment's limit; kept as claims are.

    A run that was claimed before there was a limit, or by force, takes one beyond it.
    """
    slots = facts.deployment
    if slots is None:
        return ClaimChange.KEEP
    if state.type in (StateType.PENDING, StateType.RUNNING):
        return ClaimChange.KEEP if slots.is_held else ClaimChange.TAKE
    is_kept = not slots.is_held or state.type in HOLDING or _stays_alive(state, policy)
    return ClaimChange.KEEP if is_kept else ClaimChange.RELEASE


def _stays_alive(state: StateCreate, policy: FlowRunPolicy) -> bool:
    """Whether a process of the run waits in `state` for what comes next."""
    retries_itself = state.name == AWAITING_RETRY and policy.retry_type == "in_process"
    sleeps = state.type is StateType.PAUSED and not state.state_details.pause_reschedule
    return retries_itself or sleeps


def _with_claim(facts: Facts, decision: Decision) -> Decision:
    if not isinstance(decision, Accept | Reject) or decision.state is None:
        return decision
    policy = decision.policy or facts.run.policy
    claim = claim_change(facts, decision.state, policy)
    return replace(decision, claim=claim, slot=slot_change(facts, decision.state, policy))


def _completed(facts: Facts, proposed: StateCreate) -> StateCreate:
    """`proposed` with the details that it inherits from the current state."""
    current = facts.run.state
    details = proposed.state_details
    inherited: dict[str, object] = {}
    if details.deployment_concurrency_lease_id is None:
        lease = current.state_details.deployment_concurrency_lease_id
        inherited["deployment_concurrency_lease_id"] = lease
    if (
        not facts.is_forced
        and proposed.type is StateType.PENDING
        and current.type in (StateType.SCHEDULED, StateType.PENDING)
        and details.scheduled_time is None
    ):
        inherited["scheduled_time"] = current.state_details.scheduled_time
    return _with_details(proposed, **inherited)


def _with_details(state: StateCreate, **details: object) -> StateCreate:
    changed = state.state_details.model_copy(update=details)
    return state.model_copy(update={"state_details": changed})


def _policy_after(facts: Facts, proposed: StateCreate) -> FlowRunPolicy | None:
    """The run's policy once `proposed` is accepted; None where it stays as it is."""
    current, policy = facts.run.state, facts.run.policy
    changes: dict[str, object] = {}
    if proposed.type is StateType.RUNNING and policy.resuming:
        changes["resuming"] = False
    if facts.is_forced:
        return policy.model_copy(update=changes) if changes else None
    if current.type in TERMINAL and proposed.type not in TERMINAL:
        is_rescheduled = proposed.type is StateType.SCHEDULED
        changes["retry_type"] = "reschedule" if is_rescheduled else None
        changes |= {"resuming": False, "pause_keys": []}
    elif proposed.type is StateType.SCHEDULED and policy.retry_type == "in_process":
        changes["retry_type"] = None  # no process waits for it any more: workers may take it
    if proposed.type is StateType.PAUSED and proposed.state_details.pause_key:
        changes["pause_keys"] = [*(policy.pause_keys or []), proposed.state_details.pause_key]
    if current.type is StateType.PAUSED and proposed.type is StateType.SCHEDULED:
        changes["resuming"] = True
    return policy.model_copy(update=changes) if changes else None


# ---------------------------------------------------------- the rules, in the order they apply


def _is_repeat(facts: Facts, proposed: StateCreate) -> bool:
    """Whether the proposer has lost the answer that it got, and asks again."""
    current = facts.run.state
    if proposed.state_details.transition_id is not None:
        return proposed.state_details.transition_id == current.state_details.transition_id
    # Without a transition id only a worker that names itself is told apart from its rivals.
    return (
        facts.proposer.is_worker
        and proposed.type is current.type is StateType.PENDING
        and _name(proposed) == current.name
        and current.state_details.transition_id is None
        and facts.claim is not None
        and facts.claim.holder == facts.proposer.holder
    )


def _duplicate(facts: Facts, proposed: StateCreate) -> Decision | None:
    if not _is_repeat(facts, proposed):
        return None
    is_own_claim = (
        facts.run.state.type is StateType.PENDING
        and facts.claim is not None
        and facts.claim.holder == facts.proposer.holder
    )
    if is_own_claim or facts.is_forced:
        return Accept(None)
    return Reject("This run has already made this state transition.")


def _stale_epoch(facts: Facts, proposed: StateCreate) -> Decision | None:
    epoch, claim = facts.proposer.epoch, facts.claim
    if epoch is None or (claim is not None and claim.epoch == epoch):
        return None
    # What was started knows only the claim of its start; the worker that lost it names itself.
    is_started_under_it = claim is not None and claim.started_epoch == epoch
    if is_started_under_it and not facts.proposer.is_worker:
        return None
    return Abort(f"Claim {epoch} of this run has ended; it is no longer yours.")


def _second_start(facts: Facts, proposed: StateCreate) -> Decision | None:
    if facts.claim is not None and proposed.type is facts.run.state.type is StateType.RUNNING:
        return Abort(f"Claim {facts.claim.epoch} of this run has been started already.")
    return None


def has_data(data: object) -> bool:
    """Whether a state's data leads to a result that was kept."""
    is_unpersisted = isinstance(data, dict) and data.get("type") == "unpersisted"
    return bool(data) and not is_unpersisted


def _data_loss(facts: Facts, proposed: StateCreate) -> Decision | None:
    current = facts.run.state
    is_loss = (
        current.type is proposed.type is StateType.COMPLETED
        and has_data(current.data)
        and not has_data(proposed.data)
    )
    if not is_loss:
        return None
    return Reject(
        "Cannot overwrite a COMPLETED state that carries persisted result data with one that "
        "does not."
    )


def _terminal(facts: Facts, proposed: StateCreate) -> Decision | None:
    current = facts.run.state
    if current.type not in TERMINAL:
        return None
    if proposed.type in (StateType.CANCELLING, StateType.PAUSED, StateType.CRASHED):
        return Abort(f"Run is already in terminal state {current.type}.")
    if (
        current.type is StateType.COMPLETED
        and proposed.type not in TERMINAL
        and has_data(current.data)
    ):
        return Reject("Run is already COMPLETED.")
    if proposed.type is StateType.SCHEDULED and not facts.run.has_deployment:
        return Abort("Cannot reschedule a run without an associated deployment.")
    return None


def _cancelling(facts: Facts, proposed: StateCreate) -> Decision | None:
    if facts.run.state.type is StateType.CANCELLING and proposed.type is not StateType.CANCELLED:
        return Reject(
            "Cannot transition flows that are cancelling to a state other than Cancelled."
        )
    return None


def _no_infrastructure(facts: Facts, proposed: StateCreate) -> Decision | None:
    if proposed.type is not StateType.CANCELLING:
        return None
    current = facts.run.state
    is_unstarted = current.type is StateType.SCHEDULED and (
        not facts.run.has_infrastructure or current.name == RESUMING
    )
    is_suspended = current.type is StateType.PAUSED and current.state_details.pause_reschedule
    if not (is_unstarted or is_suspended):
        return None
    kind = "Suspended" if is_suspended else "Scheduled"
    return Reject(
        f"{kind} flow run has no infrastructure to terminate.",
        StateCreate(type=StateType.CANCELLED, message=proposed.message),
    )


def _pending_guard(facts: Facts, proposed: StateCreate) -> Decision | None:
    if proposed.type is not StateType.PENDING:
        return None
    current, claim = facts.run.state, facts.claim
    if claim is not None and claim.holder != facts.proposer.holder:
        return Abort(f"This run is in a {current.type} state and claimed by another.")
    is_guarded = current.type in HOLDING or current.type is StateType.CANCELLED
    # A worker claims what a poll offered it, and meanwhile another may have carried that out.
    is_guarded = is_guarded or (facts.proposer.is_worker and current.type in TERMINAL)
    is_progress = current.type is StateType.PENDING and _name(proposed) not in (
        "Pending",
        current.name,
    )
    if is_guarded and not is_progress:
        return Abort(
            f"This run is in a {current.type} state and cannot transition to a PENDING state."
        )
    return None


def _deployment_limit(facts: Facts, proposed: StateCreate) -> Decision | None:
    slots, current = facts.deployment, facts.run.state
    if slots is None or slots.is_held or slots.free > 0:
        return None
    reason = "Deployment concurrency limit reached."
    cancelled = StateCreate(type=StateType.CANCELLED, message=reason)
    if current.type in HOLDING:
        had_slot = current.state_details.deployment_concurrency_lease_id is not None
        is_lost = current.type is StateType.PENDING and proposed.type is StateType.RUNNING
        return Reject(reason, cancelled) if had_slot and is_lost else None
    if proposed.type is StateType.RUNNING:
        return Wait(DEPLOYMENT_BACKOFF_SECONDS, reason)
    if proposed.type is not StateType.PENDING:
        return None
    if slots.limit <= 0:
        return Abort("The deployment's concurrency limit is 0.")
    if slots.cancels_new:
        return Reject(reason, cancelled)
    return Reject(reason, _awaiting_slot(facts.now, DEPLOYMENT_BACKOFF_SECONDS))


def _late(facts: Facts, proposed: StateCreate) -> Decision | None:
    if proposed.type is not StateType.SCHEDULED or proposed.name != LATE:
        return None
    if facts.run.state.type is not StateType.SCHEDULED:
        return Reject("Only scheduled flow runs can be late.")
    if facts.run.state.name == LATE:
        return Reject("This flow run is already marked late.")
    return None


def _pause(facts: Facts, proposed: StateCreate) -> Decision | None:
    if proposed.type is not StateType.PAUSED:
        return None
    if facts.run.state.type is not StateType.RUNNING:
        return Reject("Cannot pause flows that are not currently running.")
    details = proposed.state_details
    if details.pause_key and details.pause_key in (facts.run.policy.pause_keys or []):
        return Reject("This pause has been made already.")
    if details.pause_reschedule and facts.run.is_subflow:
        return Abort("A subflow cannot be suspended; suspend the run that started it.")
    if details.pause_reschedule and not facts.run.has_deployment:
        return Abort("A run without a deployment cannot be suspended.")
    return None


def _resume(facts: Facts, proposed: StateCreate) -> Decision | None:
    current = facts.run.state
    if current.type is not StateType.PAUSED:
        return None
    if proposed.type not in {StateType.RUNNING, StateType.SCHEDULED, *TERMINAL}:
        return Reject(
            f"This run cannot transition to the StateType.{proposed.type} state from the "
            "StateType.PAUSED state."
        )
    timeout = current.state_details.pause_timeout
    if timeout is not None and timeout < facts.now and proposed.type not in TERMINAL:
        reason = "The pause has timed out."
        return Reject(reason, StateCreate(type=StateType.FAILED, message=reason))
    return None


def _not_due(facts: Facts, proposed: StateCreate) -> Decision | None:
    current = facts.run.state
    due = current.state_details.scheduled_time
    if (
        proposed.type is StateType.RUNNING
        and current.type in (StateType.SCHEDULED, StateType.PENDING)
        and due is not None
        and due > facts.now
    ):
        seconds = math.ceil((due - facts.now).total_seconds())
        return Wait(seconds, "Scheduled time is in the future")
    return None


def _retry(facts: Facts, proposed: StateCreate) -> Decision | None:
    run, policy = facts.run, facts.run.policy
    if (
        proposed.type is not StateType.FAILED
        or run.state.type is not StateType.RUNNING
        or policy.retries is None
        or run.run_count > policy.retries
    ):
        return None
    due = facts.now + timedelta(seconds=policy.retry_delay or 0)
    again = StateCreate(
        type=StateType.SCHEDULED,
        name=AWAITING_RETRY,
        message=proposed.message,
        data=proposed.data,
        state_details=StateDetails(scheduled_time=due),
    )
    changes = {"retry_type": "in_process", "resuming": False, "pause_keys": []}
    return Reject("Retrying", again, policy=policy.model_copy(update=changes))


def _no_slot(facts: Facts, proposed: StateCreate) -> Decision | None:
    intake = facts.intake
    if proposed.type not in HOLDING or facts.claim is not None or intake is None:
        return None
    if facts.is_forced and facts.proposer.may_exceed_limits:
        return None
    # A cancellation must get through to infrastructure that is left over, also in a pause.
    is_paused = intake.is_paused and proposed.type is not StateType.CANCELLING
    if not is_paused and intake.has_slot:
        return None
    reason = (
        "The work pool or queue is paused."
        if is_paused
        else "The concurrency limit of the work pool or queue is reached."
    )
    if facts.run.state.type is not StateType.SCHEDULED or proposed.type is StateType.CANCELLING:
        return Wait(math.ceil(facts.backoff_seconds), reason)
    return Reject(reason, _awaiting_slot(facts.now, facts.backoff_seconds))


def _awaiting_slot(now: datetime, seconds: float) -> StateCreate:
    due = now + timedelta(seconds=seconds)
    return StateCreate(
        type=StateType.SCHEDULED,
        name=AWAITING_SLOT,
        state_details=StateDetails(scheduled_time=due),
    )


def _name(state: StateCreate) -> str:
    return state.name or state.type.capitalize()


_NORMAL = (
    _duplicate,
    _stale_epoch,
    _second_start,
    _terminal,
    _data_loss,
    _cancelling,
    _no_infrastructure,
    _pending_guard,
    _deployment_limit,
    _late,
    _pause,
    _resume,
    _not_due,
    _retry,
    _no_slot,
)
_FORCED = (_duplicate, _stale_epoch, _data_loss, _no_infrastructure, _no_slot)
