"""Which events a token with a pool may be told, and may tell: those of its pool's runs.

The token of a run: those of that run.
"""

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from forebay.wire.events import RESOURCE_ID, Event, ReceivedEvent
from forebay_server.access.objects import runs_of_pool
from forebay_server.access.roles import Pool, Principal
from forebay_server.db.engine import Database, Transaction
from forebay_server.events.emit import FLOW_RUN
from forebay_server.events.reading import Keep


async def seen(
    database: Database, principal: Principal, events: AsyncIterator[ReceivedEvent]
) -> AsyncIterator[ReceivedEvent]:
    """Those of `events` that the caller may see: with a pool, the ones about its runs."""
    async for event in events:
        run_id = _run_id(event)
        if principal.pool is None or (
            run_id is not None and await _is_callers(database, principal, run_id)
        ):
            yield event


def only_of_pool(pool: Pool) -> Keep:
    """What leaves of many events those about runs of the pool."""

    async def keep(db: Transaction, events: Sequence[ReceivedEvent]) -> Sequence[ReceivedEvent]:
        ids = {id for event in events if (id := _run_id(event)) is not None}
        own = await runs_of_pool(db, ids, pool.id)
        return [event for event in events if _run_id(event) in own]

    return keep


async def may_tell(database: Database, principal: Principal, event: Event) -> bool:
    """Whether the caller may tell this: nothing about a run of another pool than its own.

    Running flows act on events about them, such as that they are to be cancelled.
    """
    run_id = _run_id(event)
    return (
        principal.pool is None or run_id is None or await _is_callers(database, principal, run_id)
    )


async def _is_callers(database: Database, principal: Principal, run_id: UUID) -> bool:
    assert principal.pool is not None  # only such callers are asked about
    if principal.run is not None:
        return run_id == principal.run.id
    async with database.read() as db:
        return bool(await runs_of_pool(db, {run_id}, principal.pool.id))


def _run_id(event: Event | ReceivedEvent) -> UUID | None:
    """The run that the event is about, if it is about one."""
    resource = event.resource.get(RESOURCE_ID, "")
    try:
        return UUID(resource.removeprefix(FLOW_RUN)) if resource.startswith(FLOW_RUN) else None
    except ValueError:
        return None
