"""The table of log lines."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, table


class LogRow(Row, table=True):
    """A line; its run need not exist."""

    __tablename__ = "log"
    __table_args__ = (Index("ix_log_run_time", "flow_run_id", "timestamp", "id"),)

    name: str
    level: int
    message: str
    timestamp: datetime = Field(sa_type=UtcDateTime, index=True)
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


logs = table(LogRow)
