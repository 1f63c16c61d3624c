"""Work pools and their workers on the wire. Source: Prefect 3.8.4 `WorkPool…`, `Worker…`."""

from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, field_validator

from forebay.wire.base import (
    Action,
    JsonObject,
    Limit,
    Name,
    NoBoolean,
    Object,
    Text,
    Timestamp,
    Wire,
)

DEFAULT_QUEUE = "default"  # the queue that is made with its pool
AGENT_TYPE = "prefect-agent"  # pools of this type have no workers, hence no status
AGENT_POOL = "default-agent-pool"  # holds the queues that are made without naming a pool

DRAIN_HEADER = "X-Forebay-Drain"  # in the answer to a heartbeat: take no more runs
MAX_RESCUES = 1000  # of one run; whoever loses more workers has another problem
DEFAULT_MAX_RESCUES = 3
Rescues = Annotated[int, Field(ge=0, le=MAX_RESCUES), NoBoolean]


class WorkPoolStatus(StrEnum):
    """Whether somebody serves the pool."""

    READY = "READY"
    NOT_READY = "NOT_READY"
    PAUSED = "PAUSED"


class WorkerStatus(StrEnum):
    """Whether a worker's heartbeats arrive."""

    ONLINE = "ONLINE"
    OFFLINE = "OFFLINE"


class OnLost(StrEnum):
    """What becomes of a run that had been started when its worker was lost. Forebay's own."""

    CRASH = "crash"
    RESCHEDULE = "reschedule"


ON_LOST = (
    "What becomes of a run that had been started when its worker was lost, or stopped without "
    "waiting for its end: `crash` ends it as CRASHED, `reschedule` lets another worker run it again "
    "(Forebay extension)."
)
RESCUES = (
    "How often one run is rescheduled after losing its worker; then it is CRASHED all the same "
    "(Forebay extension)."
)


class StorageConfiguration(Action):
    """Where bundled code and results of a pool's runs are kept."""

    bundle_upload_step: JsonObject | None = None
    bundle_execution_step: JsonObject | None = None
    default_result_storage_block_id: UUID | None = None


class WorkPoolCreate(Action):
    """What a caller may set on a new pool."""

    name: Name = Field(description="Name, unique in the server.")
    description: Text | None = None
    type: Text = Field(
        default="prefect-agent",
        min_length=1,
        max_length=255,
        description="Worker type that serves the pool; it cannot be changed later.",
    )
    base_job_template: JsonObject = Field(
        default_factory=dict,
        description="`job_configuration` with placeholders and the `variables` that fill them.",
    )
    is_paused: bool = Field(default=False, description="Whether no run may be claimed.")
    concurrency_limit: Limit | None = Field(
        default=None, description="Most runs at once; null means no limit, 0 means none."
    )
    storage_configuration: StorageConfiguration = Field(default_factory=StorageConfiguration)
    on_lost: OnLost = Field(default=OnLost.CRASH, description=ON_LOST)
    max_rescues: Rescues = Field(default=DEFAULT_MAX_RESCUES, description=RESCUES)


class WorkPoolUpdate(Action):
    """The keys that are present are changed; present with null clears."""

    description: Text | None = None
    is_paused: bool | None = None
    base_job_template: JsonObject | None = None
    concurrency_limit: Limit | None = None
    storage_configuration: StorageConfiguration | None = None
    on_lost: OnLost | None = Field(default=None, description=ON_LOST)
    max_rescues: Rescues | None = Field(default=None, description=RESCUES)


class WorkPool(Object):
    """A pool as the API answers it."""

    name: str
    description: str | None = None
    type: str
    base_job_template: dict[str, Any] = Field(default_factory=dict)
    is_paused: bool = False
    concurrency_limit: int | None = None
    status: WorkPoolStatus | None = None
    default_queue_id: UUID | None = None
    storage_configuration: StorageConfiguration = Field(default_factory=StorageConfiguration)
    active_slots: int | None = Field(
        default=None, description="Slots held now; null where there is no limit."
    )
    # A server of another make answers neither; ours answers both.
    on_lost: OnLost | None = Field(default=None, description=ON_LOST)
    max_rescues: int | None = Field(default=None, description=RESCUES)


class WorkerHeartbeat(Wire):
    """A worker's sign of life; unknown keys are ignored as the original does."""

    name: Name
    heartbeat_interval_seconds: int | None = None
    is_new: bool = Field(
        default=False,
        description="Whether this is the first sign of a process: what was asked of an earlier "
        "one under the same name is not asked of it (Forebay extension).",
    )
    flow_run_ids: list[UUID] | None = Field(
        default=None,
        max_length=10_000,
        description="The runs that the worker has in hand; claims of other runs under its name "
        "are not renewed. Null renews all of them.",
    )

    @field_validator("heartbeat_interval_seconds")
    @classmethod
    def _in_range(cls, value: int | None) -> int | None:
        # 0 is what some stock workers send for "unknown"; above 300 s a lease means nothing.
        if value is not None and not 0 <= value <= 300:
            raise ValueError("a heartbeat interval is 0 to 300 seconds")
        return value


class Worker(Object):
    """A worker as the API answers it."""

    name: str
    work_pool_id: UUID
    last_heartbeat_time: Timestamp | None = None
    heartbeat_interval_seconds: int | None = None
    status: WorkerStatus = WorkerStatus.OFFLINE
    is_draining: bool = Field(
        default=False,
        description="Whether it was asked to take no more runs and to end after those that it "
        "has (Forebay extension).",
    )
