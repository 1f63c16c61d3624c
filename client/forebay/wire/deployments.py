"""Deployments on the wire. Source: Prefect 3.8.4 `Deployment…`."""

from enum import StrEnum
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from forebay.wire.base import (
    MAX_INT,
    Action,
    JsonObject,
    Name,
    Object,
    Text,
    Timestamp,
)
from forebay.wire.concurrency_limits import GlobalConcurrencyLimit
from forebay.wire.flow_runs import CreatedBy, Labels
from forebay.wire.schedules import (
    DeploymentSchedule,
    DeploymentScheduleCreate,
    DeploymentScheduleUpdate,
)

DeploymentLimit = Annotated[int, Field(gt=0, le=MAX_INT)]


class DeploymentStatus(StrEnum):
    """Whether somebody polls for the deployment's runs."""

    READY = "READY"
    NOT_READY = "NOT_READY"


class CollisionStrategy(StrEnum):
    """What becomes of a run that finds the deployment's limit reached."""

    ENQUEUE = "ENQUEUE"
    CANCEL_NEW = "CANCEL_NEW"


class ConcurrencyOptions(Action):
    """How the deployment's limit is kept."""

    collision_strategy: CollisionStrategy
    grace_period_seconds: Annotated[int, Field(ge=60, le=86400)] | None = None


class _OneLimit(Action):
    concurrency_limit: DeploymentLimit | None = Field(
        default=None, description="Most runs of the deployment at once; null means no limit."
    )
    concurrency_options: ConcurrencyOptions | None = None
    global_concurrency_limit_id: UUID | None = None

    @model_validator(mode="after")
    def _has_one_limit(self) -> Self:
        if self.concurrency_limit is not None and self.global_concurrency_limit_id is not None:
            raise ValueError(
                "concurrency_limit and global_concurrency_limit_id exclude each other"
            )
        return self


class DeploymentCreate(_OneLimit):
    """A deployment; one of the same name in the same flow is replaced."""

    name: Name = Field(description="Name, unique in the flow.")
    flow_id: UUID
    version: Text | None = None
    version_info: JsonObject | None = Field(default=None, description="Accepted and not kept.")
    description: Text | None = None
    paused: bool = Field(default=False, description="Whether its schedules make no runs.")
    schedules: list[DeploymentScheduleCreate] = Field(default_factory=list, max_length=100)
    tags: list[Text] = Field(default_factory=list)
    labels: Labels | None = None
    parameters: JsonObject = Field(default_factory=dict)
    parameter_openapi_schema: JsonObject | None = Field(
        default_factory=dict, description="JSON schema of the parameters."
    )
    enforce_parameter_schema: bool = Field(
        default=True, description="Whether runs with other parameters are refused."
    )
    job_variables: JsonObject = Field(
        default_factory=dict, description="Values for the variables of the pool's template."
    )
    work_pool_name: Name | None = None
    work_queue_name: Name | None = Field(
        default=None, description="Made when the pool has none of this name."
    )
    pull_steps: list[JsonObject] | None = None
    path: Text | None = Field(default=None, description="Where the code lies.")
    entrypoint: Text | None = Field(default=None, description="`FILE.py:FUNCTION`.")
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None


class DeploymentUpdate(_OneLimit):
    """The keys that are present are changed."""

    version: Text | None = None
    version_info: JsonObject | None = None
    description: Text | None = None
    paused: bool = False
    schedules: list[DeploymentScheduleUpdate] = Field(default_factory=list, max_length=100)
    tags: list[Text] = Field(default_factory=list)
    parameters: JsonObject | None = None
    parameter_openapi_schema: JsonObject | None = None
    enforce_parameter_schema: bool | None = None
    job_variables: JsonObject | None = None
    work_pool_name: Name | None = None
    work_queue_name: Name | None = None
    pull_steps: list[JsonObject] | None = None
    path: Text | None = None
    entrypoint: Text | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None


class Deployment(Object):
    """A deployment as the API answers it."""

    name: str
    version: str | None = None
    description: str | None = None
    flow_id: UUID
    paused: bool = False
    schedules: list[DeploymentSchedule] = Field(default_factory=list)
    concurrency_limit: int | None = Field(
        default=None, description="Always null: see `global_concurrency_limit`."
    )
    global_concurrency_limit: GlobalConcurrencyLimit | None = None
    concurrency_options: ConcurrencyOptions | None = None
    job_variables: dict[str, Any] = Field(default_factory=dict)
    parameters: dict[str, Any] = Field(default_factory=dict)
    tags: list[str] = Field(default_factory=list)
    labels: Labels = Field(default_factory=dict)
    work_queue_name: str | None = None
    work_queue_id: UUID | None = None
    last_polled: Timestamp | None = None
    parameter_openapi_schema: dict[str, Any] | None = None
    path: str | None = None
    pull_steps: list[dict[str, Any]] | None = None
    entrypoint: str | None = None
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    created_by: CreatedBy | None = None
    updated_by: CreatedBy | None = None
    work_pool_name: str | None = None
    status: DeploymentStatus | None = DeploymentStatus.NOT_READY
    enforce_parameter_schema: bool = True
