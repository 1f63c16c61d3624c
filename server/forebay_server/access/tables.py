"""The table of API tokens."""

from datetime import datetime

from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, table


class TokenRow(Row, table=True):
    """A token by its hash; the token itself is shown once and never stored."""

    __tablename__ = "token"

    name: str = Field(max_length=255, unique=True)
    role: str = Field(default="admin", max_length=16)
    hash: str = Field(max_length=64, unique=True)  # SHA-256, hexadecimal
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


tokens = table(TokenRow)
