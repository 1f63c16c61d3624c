"""The table of work queues."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, table


class WorkQueueRow(Row, table=True):
    """A queue; priority 1 is served first."""

    __tablename__ = "work_queue"
    __table_args__ = (
        UniqueConstraint("work_pool_id", "name"),
        Index("ix_work_queue_pool_priority", "work_pool_id", "priority"),
    )

    work_pool_id: UUID = Field(foreign_key="work_pool.id", ondelete="CASCADE")
    name: str = Field(max_length=255)
    description: str | None = ""
    is_paused: bool = False
    concurrency_limit: int | None = None
    priority: int = 1
    status: str = "NOT_READY"
    last_polled: datetime | None = Field(default=None, sa_type=UtcDateTime)


work_queues = table(WorkQueueRow)
