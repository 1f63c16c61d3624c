"""Notices who has gone quiet: workers, and the pools, queues and deployments they served.

Source: Prefect 3.8.4 `services/foreman.py`. Safe in every process at once: each step is one
statement that finds nothing left to do after another process did it.
"""

from forebay_server.db.engine import Database
from forebay_server.deployments import polls as deployments
from forebay_server.services.loops import Service
from forebay_server.work_pools import queries as work_pools
from forebay_server.work_queues import queries as work_queues
from forebay_server.workers import queries as workers


async def tick(database: Database) -> None:
    """Mark what is served no longer; workers first, since a pool's status follows theirs."""
    async with database.write() as db:
        at = await db.now()
        await workers.mark_silent(db, at)
        await work_pools.mark_unserved(db, at)
        await work_queues.mark_unpolled(db, at)
        await deployments.mark_unpolled(db, at)


FOREMAN = Service("foreman", every_seconds=15, tick=tick)
