"""Pools, queues, runs and proposals to test with."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx2 as httpx
from sqlalchemy import insert, select

from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay_server.claims.tables import claims
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Database
from forebay_server.deployments.tables import DeploymentRow, deployments
from forebay_server.flow_runs import queries
from forebay_server.flow_runs.tables import FlowRunRow
from forebay_server.flows.tables import FlowRow, flows
from forebay_server.work_pools.tables import WorkPoolRow, work_pools
from forebay_server.work_queues.tables import WorkQueueRow, work_queues


@dataclass(frozen=True)
class Place:
    """A pool and one of its queues."""

    pool_id: UUID
    queue_id: UUID


async def a_place(
    database: Database, name: str = "p", *, queue_limit: int | None = None, **pool: Any
) -> Place:
    """A pool with its default queue."""
    row = WorkPoolRow(name=name, type="process", **pool)
    queue = WorkQueueRow(work_pool_id=row.id, name="default", concurrency_limit=queue_limit)
    row.default_queue_id = queue.id
    async with database.write() as db:
        await db.execute(insert(work_pools).values(row.model_dump()))
        await db.execute(insert(work_queues).values(queue.model_dump()))
    return Place(row.id, queue.id)


async def a_queue(database: Database, pool_id: UUID, name: str, **fields: Any) -> UUID:
    """One more queue of a pool."""
    queue = WorkQueueRow(work_pool_id=pool_id, name=name, **fields)
    async with database.write() as db:
        await db.execute(insert(work_queues).values(queue.model_dump()))
    return queue.id


async def a_flow(database: Database) -> UUID:
    """A flow with a name of its own."""
    row = FlowRow(name=str(new_id()))
    async with database.write() as db:
        await db.execute(insert(flows).values(row.model_dump()))
    return row.id


async def a_deployment(database: Database, flow_id: UUID, **fields: Any) -> UUID:
    """A deployment of a flow."""
    row = DeploymentRow(flow_id=flow_id, name=str(new_id()), **fields)
    async with database.write() as db:
        await db.execute(insert(deployments).values(row.model_dump()))
    return row.id


async def a_run(
    database: Database,
    queue_id: UUID | None = None,
    *,
    due: datetime | None = None,
    state: StateCreate | None = None,
    flow_id: UUID | None = None,
    **fields: Any,
) -> UUID:
    """A run that is scheduled for `due`, or now, unless it begins in another state."""
    if due is not None:
        details = StateDetails(scheduled_time=due)
        state = StateCreate(type=StateType.SCHEDULED, state_details=details)
    run = FlowRunRow(
        flow_id=flow_id or await a_flow(database),
        work_queue_id=queue_id,
        **{"name": "", **fields},
    )
    async with database.write() as db:
        return (await queries.create(db, run, state)).id


async def a_running_run(api: httpx.AsyncClient, database: Database, place: Place) -> UUID:
    """A run that worker w1 has claimed and started."""
    run = await a_run(database, place.queue_id)
    for type in ("PENDING", "RUNNING"):
        answer = await propose(api, run, type, worker="w1")
        assert answer.json()["status"] == "ACCEPT", answer.text
    return run


async def propose(
    api: httpx.AsyncClient,
    run: UUID | str,
    type: str,
    *,
    worker: str | None = None,
    claim: str | None = None,
    force: bool | None = None,
    details: dict[str, Any] | None = None,
    **state: Any,
) -> httpx.Response:
    """Propose a state; the answer as it came."""
    headers = {}
    if worker is not None:
        headers["x-prefect-worker-name"] = worker
    if claim is not None:
        headers["x-forebay-claim"] = claim
    proposed = {"type": type, **state, **({"state_details": details} if details else {})}
    body = {"state": proposed, "force": force}
    return await api.post(f"/flow_runs/{run}/set_state", json=body, headers=headers)


def verdict(answer: httpx.Response) -> tuple[str, str, str]:
    """Status, and type and name of the state, of an answer to a proposal."""
    body = answer.json()
    return body["status"], body["state"]["type"], body["state"]["name"]


async def live_claims(database: Database) -> list[tuple[UUID, int]]:
    """Run and epoch of every live claim."""
    statement = select(claims.c.flow_run_id, claims.c.epoch).where(claims.c.ended_at.is_(None))
    async with database.read() as db:
        return [(row.flow_run_id, row.epoch) for row in await db.rows(statement)]
