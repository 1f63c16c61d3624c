"""HTTP of work pools: parse, call, return. Creating one is in `work_queues`."""

from typing import Any

from fastapi import Depends, Request

from forebay.wire.base import Lenient
from forebay.wire.work_pools import WorkPool, WorkPoolUpdate
from forebay_server.blocks import documents as blocks
from forebay_server.db.engine import Transaction
from forebay_server.errors import Forbidden
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset
from forebay_server.versions import STALE, Guards, Tells
from forebay_server.work_pools import parting, queries, rules
from forebay_server.work_pools.filters import WorkPoolFilter

router = api_router("Work pools", "/work_pools")


async def _part(name: PathName, request: Request, version: Guards) -> None:
    """Before a pool is deleted: take the runs that ended off its queues."""

    async def check(db: Transaction) -> None:
        rules.refuse_reserved(name)
        await version.check(queries.lock, _shown, db, name)

    await parting.part(
        request.app.state.database, parting.OF_QUEUE, queries.queue_ids(name), check
    )


class PoolCriteria(Lenient):
    """Which pools."""

    work_pools: WorkPoolFilter | None = None


class PoolQuery(PoolCriteria):
    """Which pools; by name."""

    limit: int | None = None
    offset: int | None = None


@router.post("/filter")
async def filter_work_pools(db: Read, body: PoolQuery | None = None) -> list[WorkPool]:
    """List the work pools that fulfil the criteria, by name."""
    query = body or PoolQuery()
    criteria = query.work_pools or WorkPoolFilter()
    limit, offset = page_limit(query.limit), page_offset(query.offset)
    rows = await queries.filter(db, criteria, limit, offset)
    return [WorkPool.model_validate(row) for row in rows]


@router.post("/count")
async def count_work_pools(db: Read, body: PoolCriteria | None = None) -> int:
    """Count the work pools that fulfil the criteria."""
    criteria = body.work_pools if body else None
    return await queries.count(db, criteria or WorkPoolFilter())


@router.get("/{name}")
async def read_work_pool(name: PathName, db: Read, tell: Tells) -> WorkPool:
    """Read a work pool by name."""
    return tell(await _shown(db, name))


@router.patch("/{name}", status_code=204, responses=STALE)
async def update_work_pool(
    name: PathName, body: WorkPoolUpdate, db: Write, version: Guards
) -> None:
    """Change the fields that are present; null clears those that may be empty."""
    await version.check(queries.lock, _shown, db, name)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True)
    if rules.is_reserved(name) and changes.keys() - rules.OPEN_FIELDS:
        raise Forbidden(
            f'Work pools whose name begins with "{rules.RESERVED}" are reserved: only '
            f"{' and '.join(sorted(rules.OPEN_FIELDS))} may be changed."
        )
    template = body.base_job_template or {}
    known = await blocks.existing(db, rules.referred_blocks(template))
    rules.check_template(template, known)
    if body.storage_configuration is not None:
        storage = body.storage_configuration.model_dump(mode="json")
        changes["storage_configuration"] = storage
    await queries.update(db, name, changes)
    version(await _shown(db, name))


@router.delete("/{name}", status_code=204, responses=STALE, dependencies=[Depends(_part)])
async def delete_work_pool(name: PathName, db: Write, version: Guards) -> None:
    """Delete a work pool with its queues and workers; its runs and deployments stay."""
    rules.refuse_reserved(name)
    await version.check(queries.lock, _shown, db, name)
    await queries.delete_by_name(db, name)


async def _shown(db: Transaction, name: str) -> WorkPool:
    return WorkPool.model_validate(await queries.read(db, name))
