"""The floor on SQLite: the same claim by hand over the same tables, without any server.

One process writes, as with our server, from a thread: what HTTP and rules cost is left out.
"""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime, timedelta

from uuid_utils.compat import uuid7

from bench.meter import Cost, Meter
from bench.stage import Stage

BUSY_SECONDS = 10.0
QUEUES = """
SELECT q.id, q.concurrency_limit - (
  SELECT count(*) FROM claim c WHERE c.work_queue_id = q.id AND c.ended_at IS NULL)
FROM work_queue q WHERE q.work_pool_id = ? AND NOT q.is_paused ORDER BY q.priority
"""
DUE = """
SELECT id, work_queue_id FROM flow_run
WHERE work_queue_id = ? AND state_type = 'SCHEDULED' AND next_scheduled_start_time <= ?
ORDER BY next_scheduled_start_time, id LIMIT ?
"""
LIMITS = """
SELECT p.id, p.concurrency_limit, count(c.id) FROM work_pool p
LEFT JOIN claim c ON c.work_pool_id = p.id AND c.ended_at IS NULL AND p.concurrency_limit NOT NULL
WHERE p.name = ? AND NOT p.is_paused GROUP BY p.id
"""
CLAIM = """
INSERT INTO claim (id, created, updated, flow_run_id, work_pool_id, work_queue_id, epoch, holder,
                   lease_seconds, expires_at) VALUES (?, ?, ?, ?, ?, ?, 1, 'floor', 20, ?)
"""
STATE = """
INSERT INTO flow_run_state (id, created, updated, flow_run_id, timestamp, type, name, state_details)
VALUES (?, ?, ?, ?, ?, 'PENDING', 'Pending', '{}')
"""
MOVE = """
UPDATE flow_run SET state_id = ?, state_type = 'PENDING', state_name = 'Pending',
       state_timestamp = ?, updated = ?, next_scheduled_start_time = NULL WHERE id = ?
"""


async def claims(stage: Stage, pool: str, batch: int) -> Cost:
    """What it costs to claim runs of a pool, `batch` at a time, in transactions by hand."""
    path = stage.ground.database_url.partition("///")[2]
    return await asyncio.to_thread(_claims, path, pool, batch, stage.seconds)


def _claims(path: str, pool: str, batch: int, seconds: float) -> Cost:
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        (synchronous,) = database.execute("PRAGMA synchronous").fetchone()
        assert synchronous  # it waits for the disk as ours does
        meter = Meter([])
        done = 0
        until = time.monotonic() + seconds
        began = time.thread_time()
        meter.start()
        while time.monotonic() < until:
            done += _claim(database, pool, batch)
        spent = (time.thread_time() - began) * 1000
        cost = meter.stop(done)
        return Cost(done, cost.seconds, spent, 0.0)
    finally:
        database.close()


def _claim(database: sqlite3.Connection, pool: str, batch: int) -> int:
    """Claim so many runs in one transaction; how many there were."""
    database.execute("BEGIN IMMEDIATE")
    moment = datetime.now(UTC)
    now, expires = _text(moment), _text(moment + timedelta(seconds=20))
    pool_id, limit, held = database.execute(LIMITS, [pool]).fetchone()
    free = batch if limit is None else min(batch, limit - held)
    runs: list[tuple[str, str]] = []
    for queue, slots in database.execute(QUEUES, [pool_id]).fetchall():
        left = free - len(runs)
        few = left if slots is None else min(left, slots)
        runs += database.execute(DUE, [queue, now, few]).fetchall()
    states = [(uuid7().hex, run) for run, _ in runs]
    database.executemany(
        CLAIM,
        [(uuid7().hex, now, now, run, pool_id, queue, expires) for run, queue in runs],
    )
    database.executemany(STATE, [(state, now, now, run, now) for state, run in states])
    database.executemany(MOVE, [(state, now, now, run) for state, run in states])
    database.execute("COMMIT")
    return len(runs)


def _text(moment: datetime) -> str:
    """A time as it is stored."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
