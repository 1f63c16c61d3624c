"""Every statement about tokens."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, Select, or_, select

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access.tables import TokenRow, tokens
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, NotFound
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools.tables import work_pools

KEPT_AFTER_EXPIRY = timedelta(days=30)  # so that one can see what a token was
LAST_WORDS = timedelta(seconds=60)  # of a run's process, after its claim has ended


def _tokens() -> Select[Any]:
    """Tokens with the names of their pools."""
    return select(tokens, work_pools.c.name.label("work_pool_name")).outerjoin(
        work_pools, work_pools.c.id == tokens.c.work_pool_id
    )


async def create(db: Transaction, body: TokenCreate, token_hash: str) -> UUID:
    """Store a token's hash; its id. Raises `NotFound` without its pool, `Conflict` on a name."""
    at = await db.now()
    row = TokenRow(
        name=body.name,
        role=body.role.value,
        hash=token_hash,
        work_pool_id=await _pool_id(db, body.work_pool_name) if body.work_pool_name else None,
        expires_at=_end(at, body.lifetime_seconds),
        created=at,
        updated=at,
    )
    if not await insert_new(db, tokens, row.model_dump()):
        existing = await db.scalar(select(tokens.c.id).where(tokens.c.name == body.name))
        raise Conflict(
            f'A token named "{body.name}" exists already; choose another name, or revoke it first.',
            existing_id=str(existing),
        )
    return row.id


async def _pool_id(db: Transaction, name: str) -> UUID:
    id = await db.scalar(select(work_pools.c.id).where(work_pools.c.name == name))
    if id is None:
        raise NotFound(f'Work pool "{name}" not found.')
    return UUID(str(id))


def _end(at: datetime, lifetime_seconds: int | None) -> datetime | None:
    return None if lifetime_seconds is None else at + timedelta(seconds=lifetime_seconds)


async def has_any(db: Transaction) -> bool:
    """Whether there is a token."""
    return await db.scalar(select(tokens.c.id).limit(1)) is not None


async def read_live(db: Transaction, token_hash: str) -> Row[Any] | None:
    """The token of that hash, unless it has expired; with its pool's name."""
    is_live = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > await db.now())
    return await db.row(_tokens().where(tokens.c.hash == token_hash, is_live))


async def read_claimed_run(db: Transaction, run_id: UUID, epoch: int) -> Row[Any] | None:
    """The run and its pool while a claim of that epoch lives, and for `LAST_WORDS` after.

    A claim that was taken over since goes on for what was started under it.
    """
    oldest = await db.now() - LAST_WORDS
    statement = (
        select(
            flow_runs.c.id,
            flow_runs.c.flow_id,
            flow_runs.c.deployment_id,
            claims.c.work_pool_id,
            work_pools.c.name.label("work_pool_name"),
        )
        .join(claims, claims.c.flow_run_id == flow_runs.c.id)
        .join(work_pools, work_pools.c.id == claims.c.work_pool_id)
        .where(claims.c.flow_run_id == run_id)
        .where(or_(claims.c.epoch == epoch, claims.c.started_epoch == epoch))
        .where(or_(claims.c.ended_at.is_(None), claims.c.ended_at > oldest))
    )
    return await db.row(statement.limit(1))


async def mark_used(db: Transaction, id: UUID, not_after: datetime) -> None:
    """Note that a token is in use, unless another process noted it after `not_after`."""
    is_due = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= not_after)
    statement = sa.update(tokens).where(tokens.c.id == id, is_due)
    await db.execute(statement.values(last_used_at=await db.now()))


async def list_all(db: Transaction) -> Sequence[Row[Any]]:
    """Every token by name, the expired ones of the last time included."""
    return await db.rows(_tokens().order_by(tokens.c.name))


async def read(db: Transaction, id: UUID) -> Row[Any]:
    """One token. Raises `NotFound`."""
    row = await db.row(_tokens().where(tokens.c.id == id))
    if row is None:
        raise NotFound("Token not found.")
    return row


async def set_lifetime(db: Transaction, id: UUID, lifetime_seconds: int | None) -> None:
    """Let a token live that long from now on. Raises `NotFound`."""
    at = await db.now()
    values = {"expires_at": _end(at, lifetime_seconds), "updated": at}
    result = await db.execute(sa.update(tokens).where(tokens.c.id == id).values(**values))
    if not result.rowcount:
        raise NotFound("Token not found.")


async def delete(db: Transaction, id: UUID) -> None:
    """Delete a token. Raises `NotFound`, and `Conflict` when nobody could make tokens any more."""
    lasting = (tokens.c.role == Role.ADMIN.value, tokens.c.expires_at.is_(None))
    statement = select(tokens.c.id).where(*lasting).order_by(tokens.c.id).with_for_update()
    if [row.id for row in await db.rows(statement)] == [id]:
        raise Conflict(
            "This is the only token of the role admin that does not expire; make another first."
        )
    if not (await db.execute(sa.delete(tokens).where(tokens.c.id == id))).rowcount:
        raise NotFound("Token not found.")


async def delete_long_expired(db: Transaction) -> None:
    """Forget tokens that nobody could use for a long time."""
    oldest = await db.now() - KEPT_AFTER_EXPIRY
    await db.execute(sa.delete(tokens).where(tokens.c.expires_at < oldest))
