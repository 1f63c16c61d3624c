"""Log lines on the wire. Source: Prefect 3.8.4 `Log…`."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from forebay.wire.base import MAX_INT, Action, Object, Text, Timestamp

LogLevel = Annotated[int, Field(ge=0, le=MAX_INT)]  # as in Python: 20 is INFO


class LogCreate(Action):
    """One line; the runs that it names need not exist."""

    name: Text = Field(max_length=255, description="Name of the logger.")
    level: LogLevel
    message: Text
    timestamp: Timestamp
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class Log(Object):
    """A line as the API answers it."""

    name: str
    level: int
    message: str
    timestamp: Timestamp
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None
