"""Flow runs on the wire. Source: Prefect 3.8.4 `FlowRun…`."""

from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, Field

from forebay.wire.base import (
    MAX_INT,
    Action,
    JsonObject,
    Name,
    Object,
    Text,
    Timestamp,
    Wire,
    check_json,
)
from forebay.wire.states import State, StateCreate, StateType, Verdict

Labels = Annotated[dict[str, bool | int | float | str], AfterValidator(check_json)]


class CreatedBy(Wire):
    """Who or what made an object."""

    id: UUID | None = None
    type: str | None = None
    display_value: str | None = None


class FlowRunPolicy(Wire):
    """How a run is retried; `max_retries` and `retry_delay_seconds` are old names kept."""

    max_retries: int = Field(default=0, ge=0, le=MAX_INT)
    retry_delay_seconds: float = Field(default=0, ge=0, le=MAX_INT)
    retries: int | None = Field(default=None, ge=0, le=MAX_INT)
    retry_delay: int | None = Field(default=None, ge=0, le=MAX_INT)  # seconds
    pause_keys: list[Text] | None = Field(default_factory=list)
    resuming: bool | None = False
    retry_type: Literal["in_process", "reschedule"] | None = None


class _NewRun(Action):
    state: StateCreate | None = Field(default=None, description="First state of the run.")
    name: Text | None = Field(default=None, max_length=255, description="Null invents one.")
    parameters: JsonObject = Field(default_factory=dict)
    context: JsonObject = Field(default_factory=dict)
    infrastructure_document_id: UUID | None = None
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[Text] = Field(default_factory=list)
    idempotency_key: Text | None = Field(default=None, max_length=255)
    labels: Labels | None = None
    parent_task_run_id: UUID | None = None
    work_queue_name: Name | None = None
    job_variables: JsonObject | None = None


class FlowRunCreate(_NewRun):
    """A run of a flow, with a deployment or without."""

    flow_id: UUID
    flow_version: Text | None = None
    deployment_id: UUID | None = None
    work_pool_name: Name | None = None


class DeploymentFlowRunCreate(_NewRun):
    """A run of a deployment; what is left out comes from the deployment."""

    enforce_parameter_schema: bool | None = None


class NewRunStatus(StrEnum):
    """What became of one run of several that were asked for."""

    CREATED = "CREATED"
    FAILED = "FAILED"


class NewRunResult(Wire):
    """One run of several that were asked for; `error` says why there is none."""

    flow_run_id: UUID | None = None
    status: NewRunStatus
    error: str | None = None


class NewRunResults(Wire):
    """The answer to several runs asked for at once, in their order."""

    results: list[NewRunResult]


class FlowRunUpdate(Action):
    """The keys that are present are changed."""

    name: Text | None = Field(default=None, max_length=255)
    flow_version: Text | None = None
    parameters: JsonObject | None = None
    empirical_policy: FlowRunPolicy | None = None
    tags: list[Text] | None = None
    infrastructure_pid: Text | None = None
    job_variables: JsonObject | None = None


class FlowRun(Object):
    """A run as the API answers it; times in seconds, `state` null in polls."""

    name: str
    flow_id: UUID
    state_id: UUID | None = None
    deployment_id: UUID | None = None
    deployment_version: str | None = None
    work_queue_id: UUID | None = None
    work_queue_name: str | None = None
    flow_version: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    idempotency_key: str | None = None
    context: dict[str, Any] = Field(default_factory=dict)
    empirical_policy: FlowRunPolicy = Field(default_factory=FlowRunPolicy)
    tags: list[str] = Field(default_factory=list)
    labels: Labels = Field(default_factory=dict)
    parent_task_run_id: UUID | None = None
    state_type: StateType | None = None
    state_name: str | None = None
    run_count: int = 0
    expected_start_time: Timestamp | None = None
    next_scheduled_start_time: Timestamp | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    total_run_time: float = 0.0
    estimated_run_time: float = 0.0
    estimated_start_time_delta: float = 0.0
    auto_scheduled: bool = False
    infrastructure_document_id: UUID | None = None
    infrastructure_pid: str | None = None
    created_by: CreatedBy | None = None
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None
    state: State | None = None
    job_variables: dict[str, Any] | None = None


class ScheduledFlowRun(Wire):
    """One entry of a poll's answer."""

    work_pool_id: UUID
    work_queue_id: UUID
    flow_run: FlowRun


class FlowRunVerdict(Verdict):
    """What was decided about one run of several."""

    flow_run_id: UUID


class FlowRunVerdicts(Wire):
    """The answer to a state proposed for several runs."""

    results: list[FlowRunVerdict]
