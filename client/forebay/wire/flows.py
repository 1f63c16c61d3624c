"""Flows on the wire. Source: Prefect 3.8.4 `Flow…`."""

from pydantic import Field

from forebay.wire.base import Action, Name, Object, Text
from forebay.wire.flow_runs import Labels


class FlowCreate(Action):
    """What a caller may set on a new flow."""

    name: Name = Field(description="Name, unique in the server.")
    tags: list[Text] = Field(default_factory=list)
    labels: Labels | None = None


class FlowUpdate(Action):
    """The keys that are present are changed."""

    tags: list[Text] | None = None


class Flow(Object):
    """A flow as the API answers it."""

    name: str
    tags: list[str] = Field(default_factory=list)
    labels: Labels = Field(default_factory=dict)
