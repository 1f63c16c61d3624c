"""States of runs, proposals and verdicts on the wire. Source: Prefect 3.8.4 `State…`."""

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

from pydantic import AfterValidator, ConfigDict, Field

from forebay.wire.base import Action, Text, Timestamp, Wire, check_json


class StateType(StrEnum):
    """The nine kinds of state."""

    SCHEDULED = "SCHEDULED"
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    CRASHED = "CRASHED"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"


TERMINAL = frozenset(
    {StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED, StateType.CRASHED}
)
# A run in one of these has been claimed and holds its slots.
HOLDING = frozenset({StateType.PENDING, StateType.RUNNING, StateType.CANCELLING})


class StateDetails(Wire):
    """Facts about one state; unknown keys are dropped, as the original does."""

    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
    child_flow_run_id: UUID | None = None
    scheduled_time: Timestamp | None = None
    cache_key: Text | None = None
    cache_expiration: Timestamp | None = None
    deferred: bool | None = False
    untrackable_result: bool = False
    pause_timeout: Timestamp | None = None
    pause_reschedule: bool = False
    pause_key: Text | None = None
    run_input_keyset: dict[Text, Text] | None = None
    refresh_cache: bool | None = None
    retriable: bool | None = None
    transition_id: UUID | None = None
    task_parameters_id: UUID | None = None
    traceparent: Text | None = None
    deployment_concurrency_lease_id: UUID | None = None


def _check_data(value: Any) -> Any:
    return check_json({"data": value})["data"]


class StateCreate(Action):
    """A proposed state; its name defaults to the type's own."""

    type: StateType
    name: Text | None = Field(default=None, max_length=255)
    message: Text | None = None
    data: Annotated[Any | None, AfterValidator(_check_data)] = None
    state_details: StateDetails = Field(default_factory=StateDetails)


class State(Wire):
    """A state as the API answers it; `timestamp` is the server's."""

    id: UUID = Field(default_factory=uuid4)
    type: StateType
    name: str | None = None
    timestamp: Timestamp
    message: str | None = None
    data: Any | None = None
    state_details: StateDetails = Field(default_factory=StateDetails)


class VerdictStatus(StrEnum):
    """What the server made of a proposal."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"
    ABORT = "ABORT"
    WAIT = "WAIT"


class AcceptDetails(Wire):
    """The proposal is now the run's state."""

    type: Literal["accept_details"] = "accept_details"


class RejectDetails(Wire):
    """The run has the state in the answer instead."""

    type: Literal["reject_details"] = "reject_details"
    reason: str | None = None


class AbortDetails(Wire):
    """The proposer must stop."""

    type: Literal["abort_details"] = "abort_details"
    reason: str | None = None


class WaitDetails(Wire):
    """The proposer must propose again after `delay_seconds`."""

    type: Literal["wait_details"] = "wait_details"
    delay_seconds: int
    reason: str | None = None


VerdictDetails = Annotated[
    AcceptDetails | RejectDetails | AbortDetails | WaitDetails, Field(discriminator="type")
]


class Verdict(Wire):
    """The answer to a proposal: what was decided and the state that the run has now."""

    model_config = ConfigDict(from_attributes=True)

    state: State | None
    status: VerdictStatus
    details: VerdictDetails
