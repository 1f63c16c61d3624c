"""The table of workers."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, table

# A status of the table alone: whoever knows two statuses is told ONLINE, with `is_draining`.
DRAINING = "DRAINING"


class WorkerRow(Row, table=True):
    """A worker of a pool; two processes with one name are one worker."""

    __tablename__ = "worker"
    __table_args__ = (UniqueConstraint("work_pool_id", "name"),)

    work_pool_id: UUID = Field(foreign_key="work_pool.id", ondelete="CASCADE")
    name: str = Field(max_length=255)
    last_heartbeat_time: datetime | None = Field(default=None, sa_type=UtcDateTime)
    heartbeat_interval_seconds: int | None = None
    status: str = "OFFLINE"


workers = table(WorkerRow)
