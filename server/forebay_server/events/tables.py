"""The table of events that clients sent."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, json_list, json_object, table


class EventRow(Row, table=True):
    """An event under the id that its sender gave it; `created` is when it was received."""

    __tablename__ = "event"
    __table_args__ = (
        # What a replay reads, with and without names of events: the newest first.
        Index("ix_event_occurred", "occurred", "id"),
        Index("ix_event_name_occurred", "event", "occurred", "id"),
        Index("ix_event_created", "created"),  # what retention deletes
    )

    occurred: datetime = Field(sa_type=UtcDateTime)  # by the sender's clock
    event: str = Field(max_length=1024)
    resource_id: str
    resource: dict[str, Any] = json_object()
    related: list[dict[str, Any]] = json_list()
    payload: dict[str, Any] = json_object()
    follows: UUID | None = None


events = table(EventRow)
