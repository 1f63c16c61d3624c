"""Who holds the slots of pools and queues. Source: Prefect 3.8.4 `…ConcurrencyStatus`."""

from uuid import UUID

from pydantic import Field

from forebay.wire.base import Timestamp, Wire
from forebay.wire.states import StateType


class SlotHolder(Wire):
    """A run that holds a slot."""

    id: UUID
    name: str
    state_type: StateType | None = None
    state_name: str | None = None
    start_time: Timestamp | None = None
    state_timestamp: Timestamp | None = None
    time_in_current_state: float | None = Field(default=None, description="Seconds.")


class QueueSlots(Wire):
    """A queue's part in the slots of its pool; `flow_runs` may be cut short."""

    queue_id: UUID
    queue_name: str
    active_slots: int
    concurrency_limit: int | None = None
    flow_runs: list[SlotHolder] = Field(default_factory=list)
    flow_run_count: int | None = None


class _Page(Wire):
    active_slots: int
    concurrency_limit: int | None = None
    count: int
    limit: int
    pages: int
    page: int


class WorkPoolSlots(_Page):
    """A pool's slots; `count` and pages are of its queues."""

    queues: list[QueueSlots] = Field(default_factory=list)


class WorkQueueSlots(_Page):
    """A queue's slots; `count` and pages are of the runs that hold them."""

    flow_runs: list[SlotHolder] = Field(default_factory=list)
