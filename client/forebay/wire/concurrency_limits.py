"""Concurrency limits on the wire. Source: Prefect 3.8.4 `ConcurrencyLimit…`, `…V2…`."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from forebay.wire.base import MAX_INT, Action, Limit, Name, Object, Wire

Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Tag = Annotated[Name, Field(max_length=251)]  # with its prefix it is a limit's name
LeaseSeconds = Annotated[float, Field(ge=60, le=86400)]
Slots = Annotated[int, Field(gt=0, le=MAX_INT)]

DEFAULT_LEASE_SECONDS = 300.0


class GlobalConcurrencyLimitCreate(Action):
    """What a caller may set on a new limit."""

    name: Name = Field(description="Name, unique in the server.")
    limit: Limit = Field(description="Most slots taken at once; 0 means none.")
    active: bool = Field(default=True, description="Whether the limit is kept at all.")
    active_slots: Limit = Field(default=0, description="Slots that are taken from the start.")
    denied_slots: Limit = Field(default=0, description="Accepted and not kept.")
    slot_decay_per_second: Decay = Field(
        default=0.0,
        description="Slots that become free by time alone; 0 frees only what is given back.",
    )


class GlobalConcurrencyLimitUpdate(Action):
    """The keys that are present are changed."""

    name: Name | None = None
    limit: Limit | None = None
    active: bool | None = None
    active_slots: Limit | None = Field(
        default=None, description="Takes or frees slots until that many are taken."
    )
    denied_slots: Limit | None = Field(default=None, description="Accepted and not kept.")
    slot_decay_per_second: Decay | None = None


class GlobalConcurrencyLimit(Object):
    """A limit as the API answers it."""

    active: bool = True
    name: str
    limit: int
    active_slots: int
    slot_decay_per_second: float = 0.0


class NewGlobalConcurrencyLimit(GlobalConcurrencyLimit):
    """A limit as the API answers it when it has just been made."""

    denied_slots: int = 0
    avg_slot_occupancy_seconds: float = 2.0


class MinimalConcurrencyLimit(Wire):
    """A limit of which slots were taken or given back."""

    id: UUID
    name: str
    limit: int


class HolderType(StrEnum):
    """What can hold a slot."""

    FLOW_RUN = "flow_run"
    TASK_RUN = "task_run"
    DEPLOYMENT = "deployment"


class ConcurrencyLeaseHolder(Action):
    """Who holds a lease."""

    type: HolderType
    id: UUID


class ConcurrencyLease(Wire):
    """Slots that are taken until the lease runs out or is given back."""

    lease_id: UUID
    limits: list[MinimalConcurrencyLimit]


class TagConcurrencyLimitCreate(Action):
    """The limit of a tag of task runs; an existing one is changed."""

    tag: Tag
    concurrency_limit: Limit


class TagConcurrencyLimit(Object):
    """The limit of a tag as the API answers it."""

    tag: str
    concurrency_limit: int
    active_slots: list[UUID] = Field(
        default_factory=list, description="The task runs that hold a slot."
    )
