"""Which objects a token with a pool may reach: those of its pool. Knows no HTTP."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ColumnElement, Select, String, cast, exists, or_, select

from forebay_server.access.roles import Kind, Pool, Run
from forebay_server.artifacts.tables import artifacts
from forebay_server.blocks.tables import block_documents, block_types
from forebay_server.db.engine import Transaction
from forebay_server.deployments.tables import deployments
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flows.tables import flows
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues

Condition = ColumnElement[bool]


async def is_of_pool(
    db: Transaction, kind: Kind, path: dict[str, object], pool: Pool, run: Run | None = None
) -> bool:
    """Whether the object that `path` leads to is of `pool`; false when there is none.

    An artifact must also be of `run`, where the caller is one.
    """
    match kind:
        case Kind.ARTIFACT if run is not None:
            is_own = (artifacts.c.id == path["id"], artifacts.c.flow_run_id == run.id)
            return await db.row(select(artifacts.c.id).where(*is_own)) is not None
        case Kind.POOL:
            return path.get("name" if "pool" not in path else "pool") == pool.name
        case Kind.BLOCK_BY_NAME:
            found = (
                block_types.c.slug == path["slug"],
                block_documents.c.name == path["block_document_name"],
            )
            return await _is_referred_block(db, found, pool)
        case Kind.BLOCK:
            return await _is_referred_block(db, (block_documents.c.id == path["id"],), pool)
    return await db.row(_OBJECTS[kind](path["id"], pool.id)) is not None


async def runs_of_caller(db: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Those of the runs `ids` that the caller may write about."""
    if db.run_id is not None:
        return {db.run_id}.intersection(ids)
    return set(ids) if db.pool_id is None else await runs_of_pool(db, ids, db.pool_id)


async def runs_of_pool(db: Transaction, ids: Collection[UUID], pool_id: UUID) -> set[UUID]:
    """Those of the runs `ids` that are on a queue of the pool."""
    if not ids:
        return set()
    statement = select(flow_runs.c.id).where(
        flow_runs.c.id.in_(ids), flow_runs.c.work_queue_id.in_(_queues(pool_id))
    )
    return {row.id for row in await db.rows(statement)}


def is_left_by_pool(pool_id: UUID) -> Condition:
    """What an artifact must fulfil to be of a run on a queue of the pool."""
    return exists().where(
        flow_runs.c.id == artifacts.c.flow_run_id, flow_runs.c.work_queue_id.in_(_queues(pool_id))
    )


def _queues(pool_id: UUID) -> Select[tuple[UUID]]:
    return select(work_queues.c.id).where(work_queues.c.work_pool_id == pool_id)


def _queue(id: object, pool_id: UUID) -> Select[tuple[UUID]]:
    return _queues(pool_id).where(work_queues.c.id == id)


def _run(id: object, pool_id: UUID) -> Select[tuple[UUID]]:
    is_placed = flow_runs.c.work_queue_id.in_(_queues(pool_id))
    return select(flow_runs.c.id).where(flow_runs.c.id == id, is_placed)


def _deployment(id: object, pool_id: UUID) -> Select[tuple[UUID]]:
    is_placed = deployments.c.work_queue_id.in_(_queues(pool_id))
    return select(deployments.c.id).where(deployments.c.id == id, is_placed)


def _flow(id: object, pool_id: UUID) -> Select[tuple[UUID]]:
    """A flow of which a deployment or a run is on a queue of the pool."""
    queues = _queues(pool_id)
    of_deployment = exists().where(
        deployments.c.flow_id == flows.c.id, deployments.c.work_queue_id.in_(queues)
    )
    of_run = exists().where(
        flow_runs.c.flow_id == flows.c.id, flow_runs.c.work_queue_id.in_(queues)
    )
    return select(flows.c.id).where(flows.c.id == id, or_(of_deployment, of_run))


def _artifact(id: object, pool_id: UUID) -> Select[tuple[UUID]]:
    return select(artifacts.c.id).where(artifacts.c.id == id, is_left_by_pool(pool_id))


_OBJECTS = {
    Kind.QUEUE: _queue,
    Kind.RUN: _run,
    Kind.DEPLOYMENT: _deployment,
    Kind.FLOW: _flow,
    Kind.ARTIFACT: _artifact,
}


async def _is_referred_block(db: Transaction, is_it: tuple[Condition, ...], pool: Pool) -> bool:
    """Whether the pool's template, or a deployment of the pool, refers to the block.

    References are searched in the text of what is stored: `prefect.blocks.<type>.<name>` in a
    placeholder, or the block's id.
    """
    block = await db.row(
        select(block_documents.c.id, block_documents.c.name, block_types.c.slug)
        .join(block_types, block_types.c.id == block_documents.c.block_type_id)
        .where(*is_it)
    )
    if block is None:
        return False
    words = (str(block.id), f"prefect.blocks.{block.slug}.{block.name}")
    in_template = select(work_pools.c.id).where(
        work_pools.c.id == pool.id, _names(work_pools.c.base_job_template, words)
    )
    if await db.row(in_template.limit(1)) is not None:
        return True
    in_deployment = select(deployments.c.id).where(
        deployments.c.work_queue_id.in_(_queues(pool.id)),
        or_(
            _names(deployments.c.job_variables, words),
            _names(deployments.c.pull_steps, words),
            deployments.c.storage_document_id == block.id,
        ),
    )
    return await db.row(in_deployment.limit(1)) is not None


def _names(column: ColumnElement[object], words: tuple[str, ...]) -> Condition:
    text = cast(column, String)
    return or_(*(text.contains(word, autoescape=True) for word in words))
