"""The table of work pools."""

from typing import Any
from uuid import UUID

from sqlmodel import Field

from forebay.wire.work_pools import DEFAULT_MAX_RESCUES, OnLost
from forebay_server.db.columns import Row, json_object, table


class WorkPoolRow(Row, table=True):
    """A pool; `default_queue_id` has no foreign key because the queue refers back."""

    __tablename__ = "work_pool"

    name: str = Field(max_length=255, unique=True)
    description: str | None = None
    type: str = Field(max_length=255)
    base_job_template: dict[str, Any] = json_object()
    is_paused: bool = False
    concurrency_limit: int | None = None
    status: str = "NOT_READY"
    default_queue_id: UUID | None = None
    storage_configuration: dict[str, Any] = json_object()
    on_lost: str = OnLost.CRASH  # what becomes of a run whose worker was lost
    max_rescues: int = DEFAULT_MAX_RESCUES


work_pools = table(WorkPoolRow)
