"""The floor: a server written by hand for one purpose, over the same tables.

    FLOOR_DATABASE=postgresql://… uvicorn bench.floor_app:app

It claims runs exactly, within the limits of pool and queue and by priority, and moves them on; it
knows no rule, no token, no history of proposals, and answers little. FastAPI serves what is empty.
"""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import asyncpg
from fastapi import FastAPI, Request, Response
from uuid_utils.compat import uuid7

LOCK = """
SELECT p.id, p.concurrency_limit,
       (SELECT count(*) FROM claim c WHERE c.work_pool_id = p.id AND c.ended_at IS NULL) AS held
FROM work_pool p WHERE p.name = $1 AND NOT p.is_paused FOR NO KEY UPDATE
"""
DUE = """
SELECT r.id, r.work_queue_id, r.epoch, r.name, r.parameters
FROM work_queue q
JOIN LATERAL (
  SELECT * FROM flow_run f
  WHERE f.work_queue_id = q.id AND f.state_type = 'SCHEDULED'
    AND f.next_scheduled_start_time <= now()
  ORDER BY f.next_scheduled_start_time, f.id
  LIMIT least($2, coalesce(q.concurrency_limit - (
    SELECT count(*) FROM claim c WHERE c.work_queue_id = q.id AND c.ended_at IS NULL), $2))
) r ON true
WHERE q.work_pool_id = $1 AND NOT q.is_paused
ORDER BY q.priority, r.next_scheduled_start_time, r.id LIMIT $2
"""
CLAIM = """
INSERT INTO claim (id, created, updated, flow_run_id, work_pool_id, work_queue_id, epoch, holder,
                   lease_seconds, expires_at)
SELECT c.id, now(), now(), c.run, $3, c.queue, 1, 'floor', 20, now() + interval '20 seconds'
FROM unnest($1::uuid[], $2::uuid[], $4::uuid[]) AS c(id, run, queue)
"""
MOVE = """
WITH moved AS (
  UPDATE flow_run SET state_id = s.state, state_type = $3::text, state_name = initcap($3::text),
         state_timestamp = clock_timestamp(), updated = clock_timestamp(),
         next_scheduled_start_time = NULL
  FROM unnest($1::uuid[], $2::uuid[]) AS s(run, state) WHERE flow_run.id = s.run
)
INSERT INTO flow_run_state (id, created, updated, flow_run_id, timestamp, type, name, state_details)
SELECT s.state, now(), now(), s.run, clock_timestamp(), $3::text, initcap($3::text), '{}'
FROM unnest($1::uuid[], $2::uuid[]) AS s(run, state)
"""
END = "UPDATE claim SET ended_at = now() WHERE flow_run_id = ANY($1) AND ended_at IS NULL"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """The connections."""
    url = os.environ["FLOOR_DATABASE"]
    async with asyncpg.create_pool(url, min_size=10, max_size=10) as pool:
        app.state.pool = pool
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/empty")
async def empty() -> Response:
    """Nothing."""
    return Response(status_code=204)


@app.post("/claim/{name}/{number}")
async def claim(name: str, number: int, request: Request) -> Response:
    """Claim so many runs."""
    async with request.app.state.pool.acquire() as db, db.transaction():
        rows = await _claim(db, name, number)
    found = [{"id": str(row["id"]), "name": row["name"]} for row in rows]
    return Response(json.dumps(found), media_type="application/json")


@app.post("/deliver/{name}/{number}")
async def deliver(name: str, number: int, request: Request) -> Response:
    """Claim so many runs, then move them to RUNNING, then to COMPLETED: three transactions."""
    async with request.app.state.pool.acquire() as db:
        async with db.transaction():
            rows = await _claim(db, name, number)
        ids = [row["id"] for row in rows]
        await db.execute(MOVE, ids, _ids(ids), "RUNNING")
        async with db.transaction():
            await db.execute(MOVE, ids, _ids(ids), "COMPLETED")
            await db.execute(END, ids)
    return Response(str(len(ids)), media_type="application/json")


async def _claim(db: asyncpg.Connection, name: str, number: int) -> list[Any]:
    pool = await db.fetchrow(LOCK, name)
    free = number
    if pool["concurrency_limit"] is not None:
        free = min(number, pool["concurrency_limit"] - pool["held"])
    rows = await db.fetch(DUE, pool["id"], free)
    ids = [row["id"] for row in rows]
    await db.execute(CLAIM, _ids(ids), ids, pool["id"], [row["work_queue_id"] for row in rows])
    await db.execute(MOVE, ids, _ids(ids), "PENDING")
    return list(rows)


def _ids(like: list[UUID]) -> list[UUID]:
    return [uuid7() for _ in like]
