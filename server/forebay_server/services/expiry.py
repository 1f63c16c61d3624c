"""Deletes what is kept for a time only: answers by idempotency key, tokens that expired."""

from forebay_server.access import queries as tokens
from forebay_server.db.engine import Database
from forebay_server.idempotency import queries
from forebay_server.services.loops import Service


async def tick(database: Database) -> None:
    """Delete what has expired, a transaction at a time."""
    deleted = queries.DELETED_AT_ONCE
    while deleted == queries.DELETED_AT_ONCE:
        async with database.write() as db:
            deleted = await queries.delete_expired(db)
    async with database.write() as db:
        await tokens.delete_long_expired(db)


EXPIRY = Service("expiry", every_seconds=600, tick=tick)
