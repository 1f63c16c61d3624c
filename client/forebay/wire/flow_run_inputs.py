"""Inputs of runs on the wire. Source: Prefect 3.8.4 `FlowRunInput`."""

from typing import Annotated
from uuid import UUID

from pydantic import Field

from forebay.wire.base import Lenient, Object, Text

InputKey = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        pattern=r"^[a-z0-9-]+$",
        description="Lowercase letters, digits and hyphens.",
    ),
]


class FlowRunInputCreate(Lenient):
    """A text to hand to a run."""

    key: InputKey
    value: Text
    sender: Text | None = Field(default=None, description="Who sends it, as its receiver reads.")


class FlowRunInput(Object):
    """A text that was handed to a run."""

    flow_run_id: UUID
    key: str
    value: str
    sender: str | None = None
