"""The tables of flow runs and of the states they went through."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field

from forebay_server.db.columns import Json, Row, UtcDateTime, json_list, json_object, table

_IS_SCHEDULED = text("state_type = 'SCHEDULED'")
_HAS_ENDED = text("end_time IS NOT NULL")
_IS_CALLED = text("parent_task_run_id IS NOT NULL")


class FlowRunRow(Row, table=True):
    """A run with its current state, so that the hot paths need no join."""

    __tablename__ = "flow_run"
    __table_args__ = (
        UniqueConstraint("flow_id", "idempotency_key"),
        # What a poll and a claim read: the due runs of a queue in order.
        Index(
            "ix_flow_run_due",
            "work_queue_id",
            "next_scheduled_start_time",
            "id",
            sqlite_where=_IS_SCHEDULED,
            postgresql_where=_IS_SCHEDULED,
        ),
        # What schedules look after: the coming runs of a deployment.
        Index(
            "ix_flow_run_coming",
            "deployment_id",
            "next_scheduled_start_time",
            "id",
            sqlite_where=_IS_SCHEDULED,
            postgresql_where=_IS_SCHEDULED,
        ),
        Index("ix_flow_run_state", "state_type", "state_name", "next_scheduled_start_time"),
        # What is deleted when it has been kept long enough; only runs that ended are in it.
        Index(
            "ix_flow_run_ended", "end_time", sqlite_where=_HAS_ENDED, postgresql_where=_HAS_ENDED
        ),
        Index(
            "ix_flow_run_parent",
            "parent_task_run_id",
            sqlite_where=_IS_CALLED,
            postgresql_where=_IS_CALLED,
        ),
    )

    name: str = Field(max_length=255)
    flow_id: UUID = Field(foreign_key="flow.id", ondelete="CASCADE")
    deployment_id: UUID | None = Field(
        default=None, foreign_key="deployment.id", ondelete="SET NULL", index=True
    )
    deployment_version: str | None = None
    work_queue_id: UUID | None = Field(
        default=None, foreign_key="work_queue.id", ondelete="SET NULL", index=True
    )
    work_queue_name: str | None = None  # as it was asked for; survives the queue
    flow_version: str | None = None
    parameters: dict[str, Any] = json_object()
    context: dict[str, Any] = json_object()
    empirical_policy: dict[str, Any] = json_object()
    tags: list[str] = json_list()
    labels: dict[str, Any] = json_object()
    job_variables: dict[str, Any] | None = Field(default=None, sa_type=Json)
    idempotency_key: str | None = Field(default=None, max_length=255)
    request_digest: str | None = Field(default=None, max_length=64)  # of what came with the key
    parent_task_run_id: UUID | None = None
    infrastructure_document_id: UUID | None = None
    infrastructure_pid: str | None = None
    created_by: dict[str, Any] | None = Field(default=None, sa_type=Json)
    auto_scheduled: bool = False

    state_id: UUID | None = None
    state_type: str | None = Field(default=None, max_length=16)
    state_name: str | None = Field(default=None, max_length=255)
    state_timestamp: datetime | None = Field(default=None, sa_type=UtcDateTime)
    state_message: str | None = None
    state_data: Any | None = Field(default=None, sa_type=Json)
    state_details: dict[str, Any] = json_object()

    run_count: int = 0
    expected_start_time: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    next_scheduled_start_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    start_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    end_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    total_run_time_seconds: float = 0.0

    epoch: int = 0  # grows with every claim; a holder of an older one is a stranger
    rescue_count: int = 0


class FlowRunStateRow(Row, table=True):
    """One state of a run's history; `created` is when it was written."""

    __tablename__ = "flow_run_state"
    __table_args__ = (
        UniqueConstraint("flow_run_id", "timestamp"),
        Index("ix_flow_run_state_time", "timestamp", "id", "name"),  # replays as events
    )

    flow_run_id: UUID = Field(foreign_key="flow_run.id", ondelete="CASCADE")
    timestamp: datetime = Field(sa_type=UtcDateTime)
    type: str = Field(max_length=16)
    name: str = Field(max_length=255)
    message: str | None = None
    data: Any | None = Field(default=None, sa_type=Json)
    state_details: dict[str, Any] = json_object()


flow_runs = table(FlowRunRow)
flow_run_states = table(FlowRunStateRow)
