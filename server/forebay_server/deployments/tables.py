"""The tables of deployments and of their schedules."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from forebay_server.db.columns import Json, Row, UtcDateTime, json_list, json_object, table


class DeploymentRow(Row, table=True):
    """What to run, with which parameters, and on which queue."""

    __tablename__ = "deployment"
    __table_args__ = (UniqueConstraint("flow_id", "name"),)

    flow_id: UUID = Field(foreign_key="flow.id", ondelete="CASCADE", index=True)
    name: str = Field(max_length=255)
    version: str | None = None
    description: str | None = None
    paused: bool = False
    tags: list[str] = json_list()
    labels: dict[str, Any] = json_object()
    parameters: dict[str, Any] = json_object()
    parameter_openapi_schema: dict[str, Any] | None = Field(default=None, sa_type=Json)
    enforce_parameter_schema: bool = True
    job_variables: dict[str, Any] = json_object()
    pull_steps: list[dict[str, Any]] | None = Field(default=None, sa_type=Json)
    path: str | None = None
    entrypoint: str | None = None
    work_queue_id: UUID | None = Field(
        default=None, foreign_key="work_queue.id", ondelete="SET NULL", index=True
    )
    concurrency_options: dict[str, Any] | None = Field(default=None, sa_type=Json)
    global_concurrency_limit_id: UUID | None = None  # of a limit that may have been deleted
    storage_document_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    created_by: dict[str, Any] | None = Field(default=None, sa_type=Json)
    updated_by: dict[str, Any] | None = Field(default=None, sa_type=Json)
    status: str = "NOT_READY"
    last_polled: datetime | None = Field(default=None, sa_type=UtcDateTime)


class DeploymentScheduleRow(Row, table=True):
    """When a deployment runs by itself."""

    __tablename__ = "deployment_schedule"
    __table_args__ = (UniqueConstraint("deployment_id", "slug"),)

    deployment_id: UUID = Field(foreign_key="deployment.id", ondelete="CASCADE", index=True)
    schedule: dict[str, Any] = json_object()
    active: bool = True
    max_scheduled_runs: int | None = None
    parameters: dict[str, Any] = json_object()
    slug: str | None = Field(default=None, max_length=255)


deployments = table(DeploymentRow)
deployment_schedules = table(DeploymentScheduleRow)
