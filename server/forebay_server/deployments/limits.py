"""The concurrency limit of a deployment: one of its own, or one that it shares with others.

Its own is an ordinary limit named `deployment:<id>`, which lives as long as the deployment.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, select

from forebay.wire.concurrency_limits import GlobalConcurrencyLimit, GlobalConcurrencyLimitCreate
from forebay.wire.deployments import DeploymentCreate, DeploymentUpdate
from forebay_server.concurrency_limits import queries, slots
from forebay_server.concurrency_limits.tables import concurrency_limits
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.errors import Conflict

FIELDS = frozenset({"concurrency_limit", "global_concurrency_limit_id"})


def _is_own(deployment_id: UUID) -> Condition:
    return concurrency_limits.c.name == _name(deployment_id)


def _name(deployment_id: UUID) -> str:
    return f"deployment:{deployment_id}"


async def settle(
    db: Transaction, deployment_id: UUID, body: DeploymentCreate | DeploymentUpdate
) -> UUID | None:
    """The id of the limit that `body` asks for, made or changed; its own is deleted otherwise.

    Raises `Conflict` for a shared limit that does not exist.
    """
    shared_id = body.global_concurrency_limit_id
    if body.concurrency_limit is not None:
        return await _own(db, deployment_id, body.concurrency_limit)
    if shared_id is not None:
        statement = select(concurrency_limits.c.id).where(concurrency_limits.c.id == shared_id)
        if await db.scalar(statement) is None:
            raise Conflict(
                f"There is no global concurrency limit {shared_id}; create it first, or set "
                "concurrency_limit instead."
            )
    await delete_own(db, deployment_id, but=shared_id)
    return shared_id


async def _own(db: Transaction, deployment_id: UUID, limit: int) -> UUID:
    """The deployment's own limit. The deployment is locked or new, so nobody else makes it."""
    found = await slots.lock(db, _is_own(deployment_id))
    for row in found:
        await queries.update(db, row, {"limit": limit})
        return UUID(str(row.id))
    body = GlobalConcurrencyLimitCreate(name=_name(deployment_id), limit=limit)
    return UUID(str((await queries.create(db, body)).id))


async def delete_own(db: Transaction, deployment_id: UUID, *, but: UUID | None = None) -> None:
    """Delete the deployment's own limit, where there is one, unless it is `but`."""
    statement = delete(concurrency_limits).where(_is_own(deployment_id))
    if but is not None:
        statement = statement.where(concurrency_limits.c.id != but)
    await db.execute(statement)


async def read_all(
    db: Transaction, deployments: Iterable[Row[Any]]
) -> dict[UUID, GlobalConcurrencyLimit]:
    """The limits of deployments by the limits' ids, with the slots taken of each."""
    ids = {row.global_concurrency_limit_id for row in deployments} - {None}
    if not ids:
        return {}
    at = await db.now()
    rows = await db.rows(queries.with_slots(at).where(concurrency_limits.c.id.in_(ids)))
    return {row.id: queries.to_wire(row, at) for row in rows}
