"""The table of task runs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from forebay_server.db.columns import Json, Row, UtcDateTime, json_list, json_object, table


class TaskRunRow(Row, table=True):
    """A call of a task in a run, with its current state; earlier states are not kept."""

    __tablename__ = "task_run"
    __table_args__ = (UniqueConstraint("flow_run_id", "task_key", "dynamic_key"),)

    name: str = Field(max_length=255)
    flow_run_id: UUID | None = Field(default=None, foreign_key="flow_run.id", ondelete="CASCADE")
    task_key: str
    dynamic_key: str
    cache_key: str | None = None
    cache_expiration: datetime | None = Field(default=None, sa_type=UtcDateTime)
    task_version: str | None = None
    empirical_policy: dict[str, Any] = json_object()
    tags: list[str] = json_list()
    labels: dict[str, Any] = json_object()
    task_inputs: dict[str, Any] = json_object()

    state_id: UUID | None = None
    state_type: str | None = Field(default=None, max_length=16)
    state_name: str | None = Field(default=None, max_length=255)
    state_timestamp: datetime | None = Field(default=None, sa_type=UtcDateTime)
    state_message: str | None = None
    state_data: Any | None = Field(default=None, sa_type=Json)
    state_details: dict[str, Any] = json_object()

    run_count: int = 0
    flow_run_run_count: int = 0  # the run's own count when the task last began
    expected_start_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    next_scheduled_start_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    start_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    end_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    total_run_time_seconds: float = 0.0


task_runs = table(TaskRunRow)
