"""What a decision about a proposed state rests on, and what it can be. Pure values."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from forebay.wire.flow_runs import FlowRunPolicy
from forebay.wire.states import State, StateCreate


@dataclass(frozen=True)
class Run:
    """What of a run takes part in decisions."""

    state: State
    run_count: int = 0
    policy: FlowRunPolicy = field(default_factory=FlowRunPolicy)
    has_deployment: bool = False
    has_infrastructure: bool = False
    is_subflow: bool = False


@dataclass(frozen=True)
class Claim:
    """The live claim of the run."""

    holder: str
    epoch: int
    started_epoch: int | None = (
        None  # of the claim that it was adopted from: what runs knows that one
    )


@dataclass(frozen=True)
class Intake:
    """Whether the run's pool and queue take a run now; free slots of None are without limit."""

    is_paused: bool = False
    pool_free: int | None = None
    queue_free: int | None = None

    @property
    def has_slot(self) -> bool:
        """Whether one more claim keeps both limits."""
        return all(free is None or free > 0 for free in (self.pool_free, self.queue_free))


@dataclass(frozen=True)
class DeploymentSlots:
    """The concurrency limit of the run's deployment; counted only where the run has no slot."""

    limit: int = 0
    free: int = 0
    cancels_new: bool = False  # what becomes of a run that finds no slot; else it waits
    is_held: bool = False  # whether the run has its slot


@dataclass(frozen=True)
class Proposer:
    """Who proposes."""

    holder: str = "anonymous"
    epoch: int | None = None  # that it says it holds; stock clients say none
    is_worker: bool = False  # whether it names itself as one worker, not only by its token
    may_exceed_limits: bool = False


@dataclass(frozen=True)
class Facts:
    """All that a decision rests on; read under the locks that keep it true."""

    run: Run
    now: datetime
    claim: Claim | None = None
    intake: Intake | None = None  # None: the run is on no queue and needs no claim
    deployment: DeploymentSlots | None = None
    proposer: Proposer = Proposer()
    is_forced: bool = False
    backoff_seconds: float = 10.0  # how long a run without a slot waits for its next try


class ClaimChange(Enum):
    """What the new state does to the run's claim, or to its slot of the deployment's limit."""

    KEEP = "keep"
    TAKE = "take"
    RELEASE = "release"


@dataclass(frozen=True)
class Accept:
    """The proposal becomes the run's state; with no state it is the run's state already."""

    state: StateCreate | None
    claim: ClaimChange = ClaimChange.KEEP
    policy: FlowRunPolicy | None = None  # the run's from now on, where it changes
    slot: ClaimChange = ClaimChange.KEEP  # of the deployment's limit


@dataclass(frozen=True)
class Reject:
    """The run gets `state` instead, or keeps what it has."""

    reason: str
    state: StateCreate | None = None
    claim: ClaimChange = ClaimChange.KEEP
    policy: FlowRunPolicy | None = None
    slot: ClaimChange = ClaimChange.KEEP


@dataclass(frozen=True)
class Wait:
    """The same proposal may be accepted after `seconds`."""

    seconds: int
    reason: str


@dataclass(frozen=True)
class Abort:
    """The proposer must stop."""

    reason: str


Decision = Accept | Reject | Wait | Abort
