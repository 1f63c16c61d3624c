"""The tables of artifacts and of the latest one of each key."""

from typing import Any
from uuid import UUID

from sqlalchemy import Index
from sqlmodel import Field

from forebay_server.db.columns import Json, Row, table


class ArtifactRow(Row, table=True):
    """One version; its runs need not exist, as those of tasks are known by events only."""

    __tablename__ = "artifact"
    __table_args__ = (
        Index("ix_artifact_key", "key", "id"),  # the newest of a key
        Index("ix_artifact_key_updated", "key", "updated", "id"),  # what stock flows look for
        Index("ix_artifact_created", "created", "id"),
        Index("ix_artifact_updated", "updated", "id"),
    )

    key: str | None = Field(default=None, max_length=255)
    type: str | None = None
    description: str | None = None
    data: Any | None = Field(default=None, sa_type=Json)
    metadata_: dict[str, str] | None = Field(default=None, sa_type=Json)
    flow_run_id: UUID | None = Field(default=None, index=True)
    task_run_id: UUID | None = Field(default=None, index=True)


class ArtifactKeyRow(Row, table=True):
    """A key that has artifacts, so that the latest of all keys cost no look at all versions."""

    __tablename__ = "artifact_key"

    key: str = Field(max_length=255, unique=True)
    latest_id: UUID  # the greatest of the key's, for ids grow with time


artifacts = table(ArtifactRow)
artifact_keys = table(ArtifactKeyRow)
