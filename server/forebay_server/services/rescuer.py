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
        """Whether leases can be judged; if not, they begin anew, once for all processes.

        They cannot after a jump of the clock, nor when no process looked for a while: while the
        server or its database was away no worker could renew anything. A process that starts
        beside others changes nothing.
        """
        async with database.write() as db:
            at = await db.now()
            last = await claim_queries.last_sweep(db)
            is_first = await claim_queries.mark_swept(db, last)
            jump = self._jump(at)
            pause = (at - last).total_seconds() if last is not None else None
            was_away = (
                pause is None or not -GREATEST_JUMP_SECONDS <= pause <= GREATEST_PAUSE_SECONDS
            )
            if abs(jump) <= GREATEST_JUMP_SECONDS and not was_away:
                return True
            if is_first:
                extended = await claim_queries.extend_all(db)
                logger.warning(
                    "leases begin anew", extra={"jump": jump, "pause": pause, "claims": extended}
                )
        return False

    def _jump(self, at: datetime) -> float:
        """By how many seconds the database's clock went ahead of this process's since the last
        sweep here."""
        monotonic = time.monotonic()
        last, self._swept_at = self._swept_at, at
        passed = monotonic - self._swept_at_monotonic
        self._swept_at_monotonic = monotonic
        return (at - last).total_seconds() - passed if last is not None else 0.0


def rescuer(every_seconds: float) -> Service:
    """The service that looks for expired claims so often; a process has one."""
    return Service("rescuer", every_seconds, Rescuer().tick)
