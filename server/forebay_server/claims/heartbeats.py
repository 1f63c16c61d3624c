"""Signs of life of the runs themselves, which reach the server as events of their engines."""

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from sqlalchemy import update

from forebay.wire.events import RESOURCE_ID, Event
from forebay_server.claims.queries import is_live
from forebay_server.claims.rules import lease_seconds
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Transaction

HEARTBEAT = "prefect.flow-run.heartbeat"  # Source: Prefect 3.8.4, at most every 30 seconds
RUN_PREFIX = "prefect.flow-run."


async def renew(db: Transaction, events: Iterable[Event]) -> None:
    """Extend the claims of runs that say that they are alive; never shorten one.

    A run that goes on while its worker is gone is not lost.
    """
    alive = sorted({id for event in events if (id := _run_id(event)) is not None})
    if not alive:
        return
    at = await db.now()
    until = at + timedelta(seconds=lease_seconds(None))
    statement = update(claims).where(claims.c.flow_run_id.in_(alive), is_live())
    is_shorter = claims.c.expires_at < until
    await db.execute(statement.where(is_shorter).values(expires_at=until, updated=at))


def _run_id(event: Event) -> UUID | None:
    """The run that a heartbeat is of; None for other events and malformed ones."""
    resource = event.resource[RESOURCE_ID]
    if event.event != HEARTBEAT or not resource.startswith(RUN_PREFIX):
        return None
    try:
        return UUID(resource.removeprefix(RUN_PREFIX))
    except ValueError:
        return None
