"""Artifacts on the wire. Source: Prefect 3.8.4 `Artifact…`."""

import re
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, Field

from forebay.wire.base import Action, Object, Text, check_json

MAX_KEY = 255
MAX_METADATA_TEXT = 500


def _check_key(key: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]+", key):
        raise ValueError("a key has only lowercase letters, digits and dashes")
    return key


def _check_data(data: Any) -> Any:
    check_json({"data": data})
    return data


def _cut(metadata: dict[str, str]) -> dict[str, str]:
    """`metadata` with long values cut off, as the original keeps them."""
    return {
        key: value if len(value) <= MAX_METADATA_TEXT else f"{value[:MAX_METADATA_TEXT]}..."
        for key, value in metadata.items()
    }


Key = Annotated[str, Field(max_length=MAX_KEY), AfterValidator(_check_key)]
Data = Annotated[Any, AfterValidator(_check_data)]
Metadata = Annotated[dict[Text, Text], AfterValidator(_cut)]


class ArtifactCreate(Action):
    """What a caller may set on a new artifact."""

    key: Key | None = Field(default=None, description="Shared by the versions of one artifact.")
    type: Text | None = Field(default=None, description="The shape of the data, such as `table`.")
    description: Text | None = None
    data: Data = Field(default=None, description="Any JSON value.")
    metadata_: Metadata | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class ArtifactUpdate(Action):
    """The keys that are present are changed."""

    data: Data = None
    description: Text | None = None
    metadata_: Metadata | None = None


class Artifact(Object):
    """An artifact as the API answers it."""

    key: str | None = None
    type: str | None = None
    description: str | None = None
    data: Any = None
    metadata_: dict[str, str] | None = None
    flow_run_id: UUID | None = None
    task_run_id: UUID | None = None


class LatestArtifact(Artifact):
    """A key with its latest artifact; `id` and `created` are the key's."""

    key: str
    latest_id: UUID
