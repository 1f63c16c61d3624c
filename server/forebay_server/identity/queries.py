"""Every statement about the server's own id."""

from uuid import UUID, uuid4

from sqlalchemy import insert, select

from forebay_server.db.engine import Transaction
from forebay_server.errors import NotFound
from forebay_server.identity.tables import ServerRow, servers


async def ensure(db: Transaction) -> None:
    """Give the server an id, once and for all; the caller keeps other processes out."""
    if await db.scalar(select(servers.c.id).limit(1)) is None:
        # Random, not by time: two databases must not have ids that look alike.
        await db.execute(insert(servers).values(ServerRow(id=uuid4()).model_dump()))


async def read(db: Transaction) -> UUID:
    """The server's id. Raises `NotFound` before the first start has made it."""
    id = await db.scalar(select(servers.c.id).limit(1))
    if id is None:
        raise NotFound("The server has no id yet.")
    return UUID(str(id))
