"""Task runs on the wire. Source: Prefect 3.8.4 `TaskRun…`."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from forebay.wire.base import MAX_INT, Action, Object, Text, Timestamp, Wire
from forebay.wire.flow_runs import Labels
from forebay.wire.states import State, StateCreate, StateType

Seconds = Annotated[float, Field(ge=0, le=MAX_INT)]


class TaskRunPolicy(Wire):
    """How a task is retried; `max_retries` and `retry_delay_seconds` are old names kept."""

    max_retries: int = Field(default=0, ge=0, le=MAX_INT)
    retry_delay_seconds: Seconds = 0
    retries: int | None = Field(default=None, ge=0, le=MAX_INT)
    retry_delay: Seconds | list[Seconds] | None = Field(
        default=None, description="Seconds before a retry; of a list, one for each retry."
    )
    retry_jitter_factor: Seconds | None = None


class TaskRunResult(Wire):
    """The result of a task."""

    input_type: Literal["task_run"] = "task_run"
    id: UUID


class FlowRunResult(Wire):
    """The result of a run."""

    input_type: Literal["flow_run"] = "flow_run"
    id: UUID


class Parameter(Wire):
    """A parameter of the run."""

    input_type: Literal["parameter"] = "parameter"
    name: Text


class Constant(Wire):
    """A value that is known beforehand."""

    input_type: Literal["constant"] = "constant"
    type: Text


TaskInput = TaskRunResult | FlowRunResult | Parameter | Constant
TaskInputs = dict[Text, list[TaskInput]]


class TaskRunCreate(Action):
    """A call of a task; one of the same keys in the same run is the known one."""

    id: UUID | None = None
    state: StateCreate | None = Field(default=None, description="First state; PENDING unless set.")
    name: Text = Field(default="", max_length=255, description="Blank invents one.")
    flow_run_id: UUID | None = None
    task_key: Text = Field(max_length=1000, description="Which task, unique in its flow.")
    dynamic_key: Text = Field(max_length=1000, description="Which call of it, unique in the run.")
    cache_key: Text | None = None
    cache_expiration: Timestamp | None = None
    task_version: Text | None = None
    empirical_policy: TaskRunPolicy = Field(default_factory=TaskRunPolicy)
    tags: list[Text] = Field(default_factory=list)
    labels: Labels | None = None
    task_inputs: TaskInputs = Field(default_factory=dict)


class TaskRunUpdate(Action):
    """The keys that are present are changed."""

    name: Text = Field(default="", max_length=255)


class TaskRun(Object):
    """A task run as the API answers it; times in seconds."""

    name: str
    flow_run_id: UUID | None = None
    task_key: str
    dynamic_key: str
    cache_key: str | None = None
    cache_expiration: Timestamp | None = None
    task_version: str | None = None
    empirical_policy: TaskRunPolicy = Field(default_factory=TaskRunPolicy)
    tags: list[str] = Field(default_factory=list)
    labels: Labels = Field(default_factory=dict)
    state_id: UUID | None = None
    task_inputs: TaskInputs = Field(default_factory=dict)
    state_type: StateType | None = None
    state_name: str | None = None
    run_count: int = 0
    flow_run_run_count: int = 0
    expected_start_time: Timestamp | None = None
    next_scheduled_start_time: Timestamp | None = None
    start_time: Timestamp | None = None
    end_time: Timestamp | None = None
    total_run_time: float = 0.0
    estimated_run_time: float = 0.0
    estimated_start_time_delta: float = 0.0
    state: State | None = None
