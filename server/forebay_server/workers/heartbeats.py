"""Takes in heartbeats together: those that arrive while others are written share a transaction."""

import asyncio

from forebay.wire.work_pools import WorkerHeartbeat
from forebay_server.claims import queries as claims
from forebay_server.db import retries
from forebay_server.db.engine import Database, Transaction
from forebay_server.db.failures import is_passing
from forebay_server.errors import NotFound
from forebay_server.workers import queries
from forebay_server.workers.queries import LiveWorker

MOST_AT_ONCE = 500

Key = tuple[str, str]  # the names of pool and worker


class Intake:
    """The heartbeats of one process's clients, none of whom waits for a turn of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._arrived: dict[Key, tuple[WorkerHeartbeat, asyncio.Future[LiveWorker | None]]] = {}
        self._writing: asyncio.Task[None] | None = None

    async def record(self, pool_name: str, heartbeat: WorkerHeartbeat) -> LiveWorker:
        """The worker, once it is written that it lives and that it keeps the runs it holds.

        Raises `NotFound` without the pool.
        """
        key = (pool_name, heartbeat.name)
        if key in self._arrived:  # of two at once each is written, since they may differ
            live = (await self._write({key: heartbeat})).get(key)
        else:
            written: asyncio.Future[LiveWorker | None] = asyncio.get_running_loop().create_future()
            self._arrived[key] = (heartbeat, written)
            if self._writing is None:
                self._writing = asyncio.create_task(self._write_all())
            live = await written
        if live is None:
            raise NotFound(f'Work pool "{pool_name}" not found.')
        return live

    async def _write_all(self) -> None:
        """Write what has arrived, and what arrives meanwhile, until nothing is left."""
        try:
            while self._arrived:
                chosen = [*self._arrived][:MOST_AT_ONCE]
                batch = {key: self._arrived.pop(key) for key in chosen}
                try:
                    live = await self._write({key: told for key, (told, _) in batch.items()})
                except Exception as error:  # noqa: BLE001 - each of those who wait raises it
                    if is_passing(error):  # those who came meanwhile have waited long enough
                        batch |= self._arrived
                        self._arrived = {}
                    for _, written in batch.values():
                        if not written.done():
                            written.set_exception(error)
                    continue
                for key, (_, written) in batch.items():
                    if not written.done():
                        written.set_result(live.get(key))
        finally:
            self._writing = None

    async def _write(self, heartbeats: queries.Heartbeats) -> dict[Key, LiveWorker]:
        async def write(db: Transaction) -> dict[Key, LiveWorker]:
            live = await queries.record_heartbeats(db, heartbeats)
            for key, worker in sorted(live.items()):
                if worker.has_claims:
                    runs = heartbeats[key].flow_run_ids
                    holder = (worker.work_pool_id, worker.name)
                    await claims.renew(db, holder, worker.lease_seconds, worker.heard_at, runs)
            return live

        return await retries.write(self._database, write)
