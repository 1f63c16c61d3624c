"""Where events come from: stored ones, and what other domains derive from their own tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from forebay.wire.events import ReceivedEvent
from forebay_server.db.broker import Topic
from forebay_server.db.engine import Transaction

Position = tuple[datetime, UUID]  # of an event, by its time and its id


@dataclass(frozen=True)
class Notice:
    """That an event was committed; whoever wants it reads it from its source."""

    source: str
    id: UUID
    event: str


EVENTS: Topic[Notice] = Topic("events")


@dataclass(frozen=True)
class Narrowing:
    """What of a filter an index can answer; None is no bound. What is left over is filtered."""

    since: datetime | None = None
    until: datetime | None = None
    names: tuple[str, ...] | None = None
    prefixes: tuple[str, ...] | None = None
    ids: tuple[UUID, ...] | None = None
    resource_ids: tuple[str, ...] | None = None
    beyond: Position | None = None  # only events that come after this one in the order read


class Source(Protocol):
    """Events of one kind."""

    @property
    def name(self) -> str:
        """As notices name it."""

    async def read(
        self,
        db: Transaction,
        narrowing: Narrowing,
        limit: int,
        *,
        is_oldest_first: bool = False,
    ) -> Sequence[ReceivedEvent]:
        """At most `limit` events within `narrowing` by time and id, the last first unless told."""

    async def count(self, db: Transaction, narrowing: Narrowing, most: int) -> int:
        """How many events are within `narrowing`; `most` when there are as many or more."""
