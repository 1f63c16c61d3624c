"""What the server makes of a state proposed for a task run. Pure: no SQL, no HTTP, no clock.

Source: Prefect 3.8.4 `CoreTaskPolicy`. Results are cached and slots of tags are taken by the
engines themselves, so no rule looks at either.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from forebay.wire.states import TERMINAL, State, StateCreate, StateDetails, StateType
from forebay.wire.task_runs import TaskRunPolicy
from forebay_server.flow_runs.facts import Abort, Accept, Decision, Reject, Wait
from forebay_server.flow_runs.rules import AWAITING_RETRY, has_data

NOT_READY = "NotReady"
RETRYING = "Retrying"


@dataclass(frozen=True)
class TaskFacts:
    """All that a decision about a task run rests on."""

    state: State
    now: datetime
    run_count: int = 0
    policy: TaskRunPolicy = field(default_factory=TaskRunPolicy)
    flow_state: State | None = None  # of the run that it is in; None: it is in none
    is_again: bool = False  # whether that run has begun anew since the task last ran


Rule = Callable[[TaskFacts, StateCreate], Decision | None]


def decide(facts: TaskFacts, proposed: StateCreate, *, is_forced: bool) -> Decision:
    """What becomes of `proposed`; the first rule that objects decides."""
    for rule in () if is_forced else _RULES:
        if decision := rule(facts, proposed):
            return decision
    return Accept(_completed(facts, proposed))


def _completed(facts: TaskFacts, proposed: StateCreate) -> StateCreate:
    current, details = facts.state, proposed.state_details
    is_starting = current.type is StateType.SCHEDULED and proposed.type is StateType.PENDING
    if is_starting and details.scheduled_time is None:
        due = current.state_details.scheduled_time
        details = details.model_copy(update={"scheduled_time": due})
    is_retry = proposed.type is StateType.RUNNING and facts.is_again and current.type in TERMINAL
    name = RETRYING if is_retry else proposed.name
    return proposed.model_copy(update={"state_details": details, "name": name})


def _duplicate(facts: TaskFacts, proposed: StateCreate) -> Decision | None:
    transition = proposed.state_details.transition_id
    if transition is None or transition != facts.state.state_details.transition_id:
        return None
    return Reject("This run has already made this state transition.")


def _terminal(facts: TaskFacts, proposed: StateCreate) -> Decision | None:
    current = facts.state
    if current.type not in TERMINAL:
        return None
    if proposed.type in (StateType.CANCELLING, StateType.PAUSED, StateType.CRASHED):
        return Abort(f"Run is already {current.type}.")
    if current.type is StateType.COMPLETED and has_data(current.data):
        return Reject("This run is already completed.")
    return None


def _flow_not_running(facts: TaskFacts, proposed: StateCreate) -> Decision | None:
    flow = facts.flow_state
    if proposed.type is not StateType.RUNNING or flow is None or flow.type is StateType.RUNNING:
        return None
    if flow.type is not StateType.PAUSED:
        return Abort("The enclosing flow must be running to begin task execution.")
    details = StateDetails(
        pause_timeout=flow.state_details.pause_timeout,
        pause_reschedule=flow.state_details.pause_reschedule,
    )
    return Reject(
        "The flow is paused; its tasks can begin once it is resumed.",
        StateCreate(type=StateType.PAUSED, name=NOT_READY, state_details=details),
    )


def _not_due(facts: TaskFacts, proposed: StateCreate) -> Decision | None:
    due = facts.state.state_details.scheduled_time
    is_waiting = facts.state.type in (StateType.SCHEDULED, StateType.PENDING)
    if proposed.type is not StateType.RUNNING or not is_waiting or due is None or due <= facts.now:
        return None
    return Wait(math.ceil((due - facts.now).total_seconds()), "Scheduled time is in the future")


def _retry(facts: TaskFacts, proposed: StateCreate) -> Decision | None:
    retries = facts.policy.retries
    if (
        proposed.type is not StateType.FAILED
        or facts.state.type is not StateType.RUNNING
        or retries is None
        or facts.run_count > retries
        or proposed.state_details.retriable is False
    ):
        return None
    due = facts.now + timedelta(seconds=_retry_delay(facts))
    again = StateCreate(
        type=StateType.SCHEDULED,
        name=AWAITING_RETRY,
        message=proposed.message,
        data=proposed.data,
        state_details=StateDetails(scheduled_time=due),
    )
    return Reject("Retrying", again)


def _retry_delay(facts: TaskFacts) -> float:
    """Seconds before the next try; of a list the last one holds for all that follow."""
    delay = facts.policy.retry_delay
    if isinstance(delay, list):
        return delay[min(facts.run_count, len(delay)) - 1] if delay else 0
    return delay or 0


_RULES: tuple[Rule, ...] = (_duplicate, _terminal, _flow_not_running, _not_due, _retry)
