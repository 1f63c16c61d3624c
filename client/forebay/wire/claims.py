"""Claiming runs in advance of any poll, on the wire. Forebay's own; the original has nothing like it."""

from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import Field, model_validator

from forebay.wire.base import Action, Name, Text, Timestamp, Wire
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import StateCreate
from forebay.wire.work_pools import OnLost

MAX_CLAIMED = 100  # runs of one request
MAX_WAIT_SECONDS = 60.0
MAX_PREFETCH_SECONDS = 60.0
MIN_LEASE_SECONDS = 20.0
MAX_LEASE_SECONDS = 900.0  # three of the longest intervals between heartbeats


class ClaimRequest(Action):
    """Which runs a worker wants to hold from now on."""

    worker_name: Name = Field(description="Worker whose heartbeats renew the claims.")
    limit: Annotated[int, Field(ge=1, le=MAX_CLAIMED)] = Field(description="Most runs to claim.")
    work_queue_names: list[Name] | None = Field(
        default=None, max_length=200, description="Only these queues; null means all."
    )
    attempt: UUID | None = Field(
        default=None,
        description="Sent again with the same request after a lost answer, it gives the same "
        "claims instead of further ones.",
    )
    wait_seconds: Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS)] = Field(
        default=0.0, description="How long the answer may be held until there is a run."
    )
    prefetch_seconds: Annotated[float, Field(ge=0, le=MAX_PREFETCH_SECONDS)] = Field(
        default=0.0, description="How long before their time runs may be claimed."
    )
    lease_seconds: Annotated[float, Field(ge=MIN_LEASE_SECONDS, le=MAX_LEASE_SECONDS)] | None = (
        Field(
            default=None,
            description="Until the worker's first heartbeat; null follows from its interval.",
        )
    )
    known_pool: Timestamp | None = Field(
        default=None,
        description="`updated` of the pool as the caller knows it; the pool is left out of the "
        "answer when it has not changed since.",
    )


class AdoptableQuery(Action):
    """Which claims a worker would take over."""

    worker_name: Name = Field(description="Who asks.")
    is_restarted: bool = Field(
        default=False, description="Whether those under its own name are meant too."
    )
    limit: Annotated[int, Field(ge=1, le=MAX_CLAIMED)] = MAX_CLAIMED


class Adoption(Action):
    """A run whose infrastructure a worker has found, and now holds."""

    worker_name: Name = Field(description="Worker whose heartbeats renew the claim from now on.")
    flow_run_id: UUID
    infrastructure_id: Text = Field(
        min_length=1, description="The run's `infrastructure_pid`: what the worker has found."
    )


class Adopted(Wire):
    """The claim that took the place of the one before."""

    claim: str = Field(description="Value of the header `X-Forebay-Claim` for this run.")


class ClaimedDeployment(Wire):
    """What of a run's deployment is needed to start the run."""

    id: UUID
    name: str
    job_variables: dict[str, Any] = Field(default_factory=dict)
    path: str | None = None
    entrypoint: str | None = None
    pull_steps: list[dict[str, Any]] | None = None


class ClaimedRun(Wire):
    """A run that the caller holds; it is PENDING."""

    flow_run: FlowRun
    claim: str = Field(description="Value of the header `X-Forebay-Claim` for this run.")
    deployment: ClaimedDeployment | None = None
    due_in_seconds: float = Field(
        default=0.0, description="After the answer; more than 0 for a run claimed before its time."
    )
    token: str | None = Field(
        default=None,
        repr=False,
        description="For the run's process alone: a bearer token that reaches only what is this "
        "run's, while the claim lives and for a minute after. Null where none is needed.",
    )


class ClaimedPool(Wire):
    """What of a pool is needed to start its runs."""

    id: UUID
    updated: Timestamp
    name: str
    type: str
    base_job_template: dict[str, Any] = Field(default_factory=dict)
    on_lost: OnLost | None = None


class Claims(Wire):
    """Runs in the order in which they should start; none when the wait was over before."""

    work_pool: ClaimedPool | None = Field(
        default=None, description="Null without runs, and when the caller knows it already."
    )
    runs: list[ClaimedRun] = Field(default_factory=list)


class RunReport(Action):
    """A state that a claimed run has come to."""

    claim: str = Field(
        pattern=r"^[0-9a-fA-F-]{32,36}:[0-9]{1,9}$",
        description="The run and its claim: what the claim's answer gave.",
    )
    state: StateCreate


class RunReports(Action):
    """What a worker reports of its runs; each run at most once."""

    worker_name: Name = Field(description="Worker that holds the claims.")
    reports: Annotated[list[RunReport], Field(min_length=1, max_length=MAX_CLAIMED)]

    @model_validator(mode="after")
    def _each_run_once(self) -> Self:
        runs = [report.claim.partition(":")[0].lower() for report in self.reports]
        if len(set(runs)) != len(runs):
            raise ValueError("a run is reported twice; send the later state alone")
        return self
