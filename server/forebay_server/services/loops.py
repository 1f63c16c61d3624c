"""Runs services for ever: each tick is isolated, and one failure never ends a loop."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from forebay_server.db.engine import Database
from forebay_server.db.failures import is_passing, is_unwritable, words

logger = logging.getLogger(__name__)

LOG_FAILURES_EVERY_SECONDS = 60.0


@dataclass(frozen=True)
class Service:
    """Something that is done again and again; safe in every process at once."""

    name: str
    every_seconds: float
    tick: Callable[[Database], Awaitable[None]]


async def run_forever(service: Service, database: Database) -> None:
    """Tick until cancelled; failures are counted and logged once a minute."""
    failures = 0
    logged_at = float("-inf")
    while True:
        await asyncio.sleep(service.every_seconds)
        try:
            await service.tick(database)
            failures = 0
        except Exception as error:
            failures += 1
            if time.monotonic() - logged_at < LOG_FAILURES_EVERY_SECONDS:
                continue
            logged_at = time.monotonic()
            about = {"failures": failures}
            if is_passing(error) or is_unwritable(error):
                logger.warning("service %s waits: %s", service.name, words(error), extra=about)
            else:
                logger.exception("service %s failed", service.name, extra=about)
