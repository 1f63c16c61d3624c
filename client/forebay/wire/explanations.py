"""Why runs wait, on the wire. Forebay's own."""

from enum import StrEnum
from uuid import UUID

from pydantic import Field

from forebay.wire.base import Timestamp, Wire


class Rule(StrEnum):
    """What must be so before a run is given to a worker."""

    STATE = "state"
    SCHEDULED_TIME = "scheduled_time"
    PLACE = "place"
    DUE_RUN = "due_run"
    POOL_PAUSED = "pool_paused"
    QUEUE_PAUSED = "queue_paused"
    POOL_LIMIT = "pool_limit"
    QUEUE_LIMIT = "queue_limit"
    DEPLOYMENT_LIMIT = "deployment_limit"
    WORKER_ONLINE = "worker_online"
    QUEUE_POLLED = "queue_polled"
    JOB_VARIABLES = "job_variables"


class LimitHolder(Wire):
    """A run that holds a slot."""

    flow_run_id: UUID
    name: str
    worker: str | None = None
    since: Timestamp
    lease_expires_at: Timestamp | None = Field(
        default=None, description="When the slot gets free unless somebody renews it."
    )


class Condition(Wire):
    """One rule as it is now."""

    rule: Rule
    met: bool
    is_blocking: bool = Field(
        default=True, description="False for advice: a run may start although it is not met."
    )
    detail: str
    limit: int | None = None
    held: int | None = None
    holders: list[LimitHolder] = Field(
        default_factory=list, description="Who holds a limit that is reached, the oldest first."
    )


class Explanation(Wire):
    """Every condition; what is explained may start when all that block are met."""

    may_start: bool
    conditions: list[Condition]
