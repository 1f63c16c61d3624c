"""Where events come from: stored ones, and what other domains derive from their own tables."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from forebay.wire.events import ReceivedEvent
from forebay_server.db.broker import Topic
from forebay_server.db.engine import Transaction


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
    before: tuple[datetime, UUID] | None = None  # only events before this time and id


class Source(Protocol):
    """Events of one kind."""

    @property
    def name(self) -> str:
        """As notices name it."""

    async def newest(
        self, db: Transaction, narrowing: Narrowing, limit: int
    ) -> Sequence[ReceivedEvent]:
        """At most `limit` events within `narrowing`, the last by time and id first."""
