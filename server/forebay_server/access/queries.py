"""Every statement about tokens."""

from datetime import datetime

from sqlalchemy import insert, or_, select

from forebay_server.access.tables import TokenRow, tokens
from forebay_server.db.engine import Transaction


async def create(db: Transaction, name: str, role: str, token_hash: str) -> None:
    """Store a token's hash."""
    row = TokenRow(name=name, role=role, hash=token_hash)
    await db.execute(insert(tokens).values(row.model_dump()))


async def has_any(db: Transaction) -> bool:
    """Whether a token was ever made."""
    return await db.scalar(select(tokens.c.id).limit(1)) is not None


async def live_hashes(db: Transaction, at: datetime) -> dict[str, str]:
    """Role by hash of the tokens that may be used at `at`."""
    is_live = or_(tokens.c.expires_at.is_(None), tokens.c.expires_at > at)
    statement = select(tokens.c.hash, tokens.c.role).where(tokens.c.revoked_at.is_(None), is_live)
    return {row.hash: row.role for row in await db.rows(statement)}
