"""Events on the wire. Source: Prefect 3.8.4 `Event`, `ReceivedEvent`."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field

from forebay.wire.base import JsonObject, Text, Timestamp, Wire

RESOURCE_ID = "prefect.resource.id"
RESOURCE_NAME = "prefect.resource.name"
RESOURCE_ROLE = "prefect.resource.role"
MAX_NAME = 1024
MAX_NAME_BYTES = 2048  # what an index of PostgreSQL can hold beside the time
MAX_LABELS = 500  # of one resource
MAX_RELATED = 100


def _check_resource(labels: dict[str, str]) -> dict[str, str]:
    if not labels.get(RESOURCE_ID):
        raise ValueError(f"a resource must have the label {RESOURCE_ID}")
    return labels


def _check_related(labels: dict[str, str]) -> dict[str, str]:
    if not labels.get(RESOURCE_ROLE):
        raise ValueError(f"a related resource must have the label {RESOURCE_ROLE}")
    return _check_resource(labels)


def _check_event_name(name: str) -> str:
    if len(name.encode()) > MAX_NAME_BYTES:
        raise ValueError(f"the name of an event has at most {MAX_NAME_BYTES} bytes")
    return name


_Labels = Annotated[dict[Text, Text], Field(max_length=MAX_LABELS)]
Resource = Annotated[_Labels, AfterValidator(_check_resource)]
RelatedResource = Annotated[_Labels, AfterValidator(_check_related)]


EventName = Annotated[Text, Field(max_length=MAX_NAME), AfterValidator(_check_event_name)]


class Event(Wire):
    """Something that happened to a resource, as its sender tells it."""

    occurred: Timestamp
    event: EventName = Field(description="Name of what happened.")
    resource: Resource
    related: list[RelatedResource] = Field(default_factory=list, max_length=MAX_RELATED)
    payload: JsonObject = Field(default_factory=dict)
    id: UUID
    follows: UUID | None = Field(default=None, description="An event that came before this one.")


class ReceivedEvent(Event):
    """An event as the API answers it."""

    received: Timestamp


class EventPage(Wire):
    """One page of events; `next_page` is the address of the next one."""

    events: list[ReceivedEvent]
    total: int
    next_page: str | None = None


class EventCount(Wire):
    """How many events have a value in common, and from when to when they are."""

    value: str
    label: str
    count: int
    start_time: Timestamp
    end_time: Timestamp
