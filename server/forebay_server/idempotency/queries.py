"""Every statement about kept answers."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Row, delete, select, update

from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.idempotency.tables import KeptAnswerRow, kept_answers

KEPT = timedelta(hours=24)
DELETED_AT_ONCE = 1000  # in one transaction, so that others get their turn


async def reserve(db: Transaction, digest: str, body_digest: str) -> Row[Any] | None:
    """None when `digest` is new and now this transaction's; else the row that has it.

    While another transaction holds the same digest PostgreSQL waits for its end, as long as the
    lock timeout allows; on SQLite writers follow one another anyway.
    """
    at = await db.now()
    row = KeptAnswerRow(digest=digest, body_digest=body_digest, created=at, updated=at)
    if await insert_new(db, kept_answers, row.model_dump()):
        return None
    return await db.row(select(kept_answers).where(kept_answers.c.digest == digest))


async def keep(db: Transaction, digest: str, status: int, answer: str) -> None:
    """Store the answer to the request that reserved `digest`."""
    statement = update(kept_answers).where(kept_answers.c.digest == digest)
    await db.execute(statement.values(status=status, answer=answer))


async def delete_expired(db: Transaction) -> int:
    """Delete answers that have been kept long enough, at most `DELETED_AT_ONCE`; how many."""
    oldest = (
        select(kept_answers.c.id)
        .where(kept_answers.c.created < await db.now() - KEPT)
        .order_by(kept_answers.c.created)
        .limit(DELETED_AT_ONCE)
    )
    statement = delete(kept_answers).where(kept_answers.c.id.in_(oldest))
    return (await db.execute(statement)).rowcount
