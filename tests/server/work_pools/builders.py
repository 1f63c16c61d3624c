"""Pools, templates and claims to test with."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
from sqlalchemy import insert

from forebay_server.claims.tables import claims
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Database, Transaction
from forebay_server.flow_runs.tables import FlowRunRow, flow_runs
from forebay_server.flows.tables import FlowRow, flows


async def a_pool(
    api: httpx.AsyncClient, name: str, *, type: str | None = "process", **fields: Any
) -> dict[str, Any]:
    """Make a pool."""
    body = {"name": name, **({"type": type} if type else {}), **fields}
    answer = await api.post("/work_pools/", json=body)
    assert answer.status_code == 201, answer.text
    pool: dict[str, Any] = answer.json()
    return pool


def a_template(properties: dict[str, Any], **variables: Any) -> dict[str, Any]:
    """A template that uses each of its variables once."""
    return {
        "job_configuration": {name: f"{{{{ {name} }}}}" for name in properties} or {"a": 1},
        "variables": {"type": "object", "properties": properties, **variables},
    }


async def a_run(
    database: Database,
    queue_id: UUID,
    *,
    state_type: str = "SCHEDULED",
    state_name: str = "Scheduled",
) -> UUID:
    """Store a run of a flow of its own, and nothing else about it."""
    async with database.write() as db:
        at = await db.now()
        flow = FlowRow(name=f"flow of {queue_id} at {at}")
        run = FlowRunRow(
            name="run",
            flow_id=flow.id,
            work_queue_id=queue_id,
            state_type=state_type,
            state_name=state_name,
            state_timestamp=at,
            next_scheduled_start_time=at,
        )
        await db.execute(insert(flows).values(flow.model_dump()))
        await db.execute(insert(flow_runs).values(run.model_dump()))
        return run.id


async def a_claim(
    database: Database,
    pool_id: UUID,
    queue_id: UUID,
    *,
    is_live: bool = True,
    worker: str | None = None,
) -> UUID:
    """Store a claim, of 90 seconds, of a running run; return the run's id."""
    run_id = await a_run(database, queue_id, state_type="RUNNING", state_name="Running")
    async with database.write() as db:
        at = await db.now()
        claim = {
            "id": new_id(),
            "created": at,
            "updated": at,
            "flow_run_id": run_id,
            "work_pool_id": pool_id,
            "work_queue_id": queue_id,
            "epoch": 1,
            "holder": "h",
            "worker_name": worker,
            "lease_seconds": 90,
            "expires_at": at + timedelta(seconds=90),
            "ended_at": None if is_live else at,
        }
        await db.execute(insert(claims).values(claim))
    return run_id


class Counted:
    """A transaction that counts the statements that run through it."""

    def __init__(self, db: Transaction) -> None:
        self.db, self.count = db, 0

    def __getattr__(self, name: str) -> Any:
        self.count += name in ("execute", "row", "rows", "run", "scalar")
        return getattr(self.db, name)
