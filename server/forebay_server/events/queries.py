"""Every statement about stored events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    delete,
    func,
    literal,
    or_,
    select,
    tuple_,
)
from sqlalchemy.dialects import postgresql, sqlite

from forebay.wire.events import RESOURCE_ID, Event, ReceivedEvent
from forebay_server.db.engine import Transaction
from forebay_server.events.sources import EVENTS, Narrowing, Notice
from forebay_server.events.tables import EventRow, events

DELETED_AT_ONCE = 5_000


class StoredEvents:
    """The events that clients sent."""

    name = "stored"

    async def read(
        self,
        db: Transaction,
        narrowing: Narrowing,
        limit: int,
        *,
        is_oldest_first: bool = False,
    ) -> Sequence[ReceivedEvent]:
        """See `Source.read`."""
        statement = selected(narrowing, limit, is_oldest_first=is_oldest_first)
        return [_to_wire(row) for row in await db.rows(statement)]

    async def count(self, db: Transaction, narrowing: Narrowing, most: int) -> int:
        """See `Source.count`."""
        conditions = _conditions(narrowing, is_oldest_first=False)
        some = select(events.c.id).where(*conditions).limit(most).subquery()
        return int(await db.scalar(select(func.count()).select_from(some)))


STORED = StoredEvents()


async def create(db: Transaction, sent: Sequence[Event]) -> None:
    """Store what is not stored yet under its id, and tell subscribers of that."""
    if not sent:
        return
    at = await db.now()
    values = [_row(event, at).model_dump() for event in {e.id: e for e in sent}.values()]
    insert = sqlite.insert if db.dialect == "sqlite" else postgresql.insert
    statement = insert(events).values(values).on_conflict_do_nothing()
    stored = await db.rows(statement.returning(events.c.id, events.c.event))
    db.publish(EVENTS, [Notice(STORED.name, row.id, row.event) for row in stored])


def _row(event: Event, at: datetime) -> EventRow:
    return EventRow(
        id=event.id,
        created=at,
        updated=at,
        occurred=event.occurred,
        event=event.event,
        resource_id=event.resource[RESOURCE_ID],
        resource=event.resource,
        related=event.related,
        payload=event.payload,
        follows=event.follows,
    )


def selected(narrowing: Narrowing, limit: int, *, is_oldest_first: bool = False) -> Select[Any]:
    """The statement that reads events within `narrowing`, the newest first unless told."""
    conditions = _conditions(narrowing, is_oldest_first=is_oldest_first)
    keys = (events.c.occurred, events.c.id)
    order = [key.asc() if is_oldest_first else key.desc() for key in keys]
    return select(events).where(*conditions).order_by(*order).limit(limit)


def _conditions(narrowing: Narrowing, *, is_oldest_first: bool) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if narrowing.since is not None:
        found.append(events.c.occurred >= narrowing.since)
    if narrowing.until is not None:
        found.append(events.c.occurred <= narrowing.until)
    if narrowing.names is not None:
        found.append(events.c.event.in_(narrowing.names))
    if narrowing.prefixes is not None:
        found.append(
            or_(*(events.c.event.startswith(p, autoescape=True) for p in narrowing.prefixes))
        )
    if narrowing.ids is not None:
        found.append(events.c.id.in_(narrowing.ids))
    if narrowing.resource_ids is not None:
        found.append(events.c.resource_id.in_(narrowing.resource_ids))
    if narrowing.beyond is not None:
        occurred, id = narrowing.beyond
        bound = tuple_(literal(occurred, events.c.occurred.type), literal(id, events.c.id.type))
        position = tuple_(events.c.occurred, events.c.id)
        found.append(position > bound if is_oldest_first else position < bound)
    return found


def _to_wire(row: Row[Any]) -> ReceivedEvent:
    # Checked when it was stored.
    return ReceivedEvent.model_construct(
        occurred=row.occurred,
        event=row.event,
        resource=row.resource,
        related=row.related,
        payload=row.payload,
        id=row.id,
        follows=row.follows,
        received=row.created,
    )


# ----------------------------------------------------------------------------------- retention


async def newest_surplus(db: Transaction, most: int) -> datetime | None:
    """When the newest event beyond the last `most` was received; None without any."""
    statement = select(events.c.created).order_by(events.c.created.desc())
    found: datetime | None = await db.scalar(statement.offset(most).limit(1))
    return found


async def delete_until(db: Transaction, until: datetime) -> int:
    """Delete the oldest events received at `until` or before, at most `DELETED_AT_ONCE`.

    Returns how many there were.
    """
    oldest = select(events.c.id).where(events.c.created <= until).order_by(events.c.created)
    statement = delete(events).where(events.c.id.in_(oldest.limit(DELETED_AT_ONCE)))
    return (await db.execute(statement)).rowcount
