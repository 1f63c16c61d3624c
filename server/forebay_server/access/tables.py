"""The table of API tokens."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, table


class TokenRow(Row, table=True):
    """A token by its hash; the token itself is shown once and never stored."""

    __tablename__ = "token"

    name: str = Field(max_length=255, unique=True)
    role: str = Field(default="admin", max_length=16)
    hash: str = Field(max_length=64, unique=True)  # SHA-256, hexadecimal
    # The one pool of a worker's token, which goes with it.
    work_pool_id: UUID | None = Field(
        default=None, foreign_key="work_pool.id", ondelete="CASCADE", index=True
    )
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


tokens = table(TokenRow)
