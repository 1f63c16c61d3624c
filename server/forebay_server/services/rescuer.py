"""Ends claims whose lease ran out, and cancellations that never end."""

import logging
import time
from datetime import datetime

from forebay_server.claims import queries as claim_queries
from forebay_server.db.engine import Database
from forebay_server.errors import NotFound
from forebay_server.flow_runs import rescues, sweeps
from forebay_server.services.loops import Service

logger = logging.getLogger(__name__)

EVERY_SECONDS = 5.0
MOST_AT_ONCE = 200  # the rest waits for the next sweep
GREATEST_JUMP_SECONDS = 5.0
GREATEST_PAUSE_SECONDS = 10.0  # between sweeps; half a lease of Forebay's own workers


class Rescuer:
    """One process's sweeps; it remembers when the last one was, by both clocks."""

    def __init__(self) -> None:
        self._swept_at: datetime | None = None
        self._swept_at_monotonic = 0.0

    async def tick(self, database: Database) -> None:
        """Move on every run whose claim has expired; each in a transaction of its own."""
        if not await self._trusts_clock(database):
            return
        async with database.read() as db:
            expired = await claim_queries.expired(db, MOST_AT_ONCE)
            overdue = await sweeps.overdue_cancellations(db, MOST_AT_ONCE)
        for claim in expired:
            async with database.write() as db:
                is_rescued = await rescues.rescue(db, claim.id, claim.flow_run_id)
            if is_rescued:
                logger.warning(
                    "claim expired",
                    extra={"run_id": str(claim.flow_run_id), "claim_epoch": claim.epoch},
                )
        for run_id in overdue:
            try:
                async with database.write() as db:
                    await sweeps.end_cancellation(db, run_id)
            except NotFound:
                continue  # deleted in between

    async def _trusts_clock(self, database: Database) -> bool:
        """Whether leases can be judged; if not, every one of them begins anew.

        They cannot after a jump of the clock, nor at the first sweep or after a long pause: while
        the server or its database was away no worker could renew anything.
        """
        async with database.read() as db:
            at = await db.now()
        monotonic = time.monotonic()
        last, self._swept_at = self._swept_at, at
        last_monotonic, self._swept_at_monotonic = self._swept_at_monotonic, monotonic
        if last is not None:
            pause = monotonic - last_monotonic
            jump = (at - last).total_seconds() - pause
            if abs(jump) <= GREATEST_JUMP_SECONDS and pause <= GREATEST_PAUSE_SECONDS:
                return True
            logger.warning("leases begin anew", extra={"jump": jump, "pause": pause})
        async with database.write() as db:
            await claim_queries.extend_all(db)
        return False


RESCUER = Service("rescuer", EVERY_SECONDS, Rescuer().tick)
