"""Work queues on the wire. Source: Prefect 3.8.4 `WorkQueue…`."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from forebay.wire.base import (
    Action,
    JsonObject,
    Limit,
    Name,
    Object,
    Priority,
    Text,
    Timestamp,
    Wire,
)


class WorkQueueStatus(StrEnum):
    """Whether somebody polls the queue."""

    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"


class WorkQueueCreate(Action):
    """What a caller may set on a new queue."""

    name: Name = Field(description="Name, unique in the pool.")
    description: Text | None = ""
    is_paused: bool = Field(default=False, description="Whether no run may be claimed.")
    concurrency_limit: Limit | None = Field(
        default=None, description="Most runs at once; null means no limit, 0 means none."
    )
    priority: Priority | None = Field(
        default=None, description="1 is served first; null takes the smallest free number."
    )
    filter: JsonObject | None = Field(default=None, description="Accepted and kept empty.")


class WorkQueueUpdate(Action):
    """The keys that are present are changed; present with null clears."""

    name: Name | None = None
    description: Text | None = None
    is_paused: bool | None = None
    concurrency_limit: Limit | None = None
    priority: Priority | None = None
    last_polled: Timestamp | None = None
    filter: dict[str, Any] | None = None


class WorkQueue(Object):
    """A queue as the API answers it."""

    name: str
    description: str | None = ""
    is_paused: bool = False
    concurrency_limit: int | None = None
    priority: int = 1
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None
    filter: dict[str, Any] | None = None
    last_polled: Timestamp | None = None
    status: WorkQueueStatus | None = None
    active_slots: int | None = None


class WorkQueueHealthPolicy(Wire):
    """What a healthy queue must keep to."""

    maximum_late_runs: int | None = 0
    maximum_seconds_since_last_polled: int | None = 60


class WorkQueueStatusDetail(Wire):
    """Whether a queue is healthy and the figures behind it."""

    healthy: bool
    late_runs_count: int = 0
    last_polled: Timestamp | None = None
    health_check_policy: WorkQueueHealthPolicy
