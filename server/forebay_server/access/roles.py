"""Who calls, and what each role and route is about. Knows neither HTTP nor SQL."""

from dataclasses import dataclass
from enum import Enum
from uuid import UUID

from forebay.wire.tokens import Role

ADMINS = frozenset({Role.ADMIN})
OPERATORS = ADMINS | {Role.OPERATOR}
READERS = OPERATORS | {Role.READ}
WORKERS = ADMINS | {Role.WORKER}  # a worker's work is no operator's
REPORTERS = OPERATORS | WORKERS
EVERYBODY = frozenset(Role)


@dataclass(frozen=True)
class Pool:
    """The pool that a worker's token is for."""

    id: UUID
    name: str


class Kind(Enum):
    """Of which kind the object is that a path leads to, and how it is named there."""

    POOL = "pool"  # by its name: {name} or {pool}
    QUEUE = "queue"  # the others by {id}
    RUN = "run"
    DEPLOYMENT = "deployment"
    FLOW = "flow"
    ARTIFACT = "artifact"
    BLOCK = "block"
    BLOCK_BY_NAME = "block by name"  # {slug} and {block_document_name}


KINDS_OF_RUNS = (Kind.RUN, Kind.FLOW, Kind.DEPLOYMENT)  # of which a run has one


@dataclass(frozen=True)
class Run:
    """The run that a run's token is for."""

    id: UUID
    flow_id: UUID
    deployment_id: UUID | None

    def object_id(self, kind: Kind) -> UUID | None:
        """The one object of a kind among `KINDS_OF_RUNS` that is the run's."""
        return {
            Kind.RUN: self.id,
            Kind.FLOW: self.flow_id,
            Kind.DEPLOYMENT: self.deployment_id,
        }[kind]


@dataclass(frozen=True)
class Principal:
    """The caller. `name` tells tokens apart without revealing them."""

    name: str
    role: Role
    pool: Pool | None = None  # None: no object is another's
    run: Run | None = None  # whose process calls, with the token of its claim


@dataclass(frozen=True)
class Grant:
    """Which roles a route is open to, and which object a token with a pool must be allowed.

    Without a `kind`, what the route answers is nobody's, or its queries narrow it by
    `Transaction.pools`.
    """

    roles: frozenset[Role] | None  # None: anybody, without credentials
    kind: Kind | None = None
    is_runs: bool = False  # open to the process of a run too, about that run
