"""API tokens on the wire: a Forebay extension, Prefect has none."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field, model_validator

from forebay.wire.base import Action, Name, Object, Timestamp

MAX_LIFETIME_SECONDS = 100 * 365 * 24 * 3600

Lifetime = Annotated[int, Field(ge=1, le=MAX_LIFETIME_SECONDS)]


class Role(StrEnum):
    """What the holder of a token may do."""

    ADMIN = "admin"  # everything
    OPERATOR = "operator"  # whatever is no secret, no token and no worker's work
    WORKER = "worker"  # a worker's work in one pool
    READ = "read"  # look


class TokenCreate(Action):
    """What a caller sets on a new token."""

    name: Name = Field(description="Name, unique in the server.")
    role: Role = Field(description="What its holder may do.")
    work_pool_name: Name | None = Field(
        default=None,
        description="The work pool that a `worker` token works for; with it the token goes. Other "
        "roles have none.",
    )
    lifetime_seconds: Lifetime | None = Field(
        default=None, description="How long it is taken, from now on; for ever if unset."
    )

    @model_validator(mode="after")
    def _is_bound(self) -> "TokenCreate":
        if (self.role is Role.WORKER) != (self.work_pool_name is not None):
            raise ValueError("a token of the role worker, and no other, names a work_pool_name")
        return self


class TokenUpdate(Action):
    """A longer or shorter life for a token."""

    lifetime_seconds: Lifetime | None = Field(
        default=None, description="How long it is taken, from now on; null: for ever."
    )


class Token(Object):
    """A token without its secret, which only its maker is told, once."""

    name: str
    role: Role
    work_pool_id: UUID | None = None
    work_pool_name: str | None = None
    expires_at: Timestamp | None = None
    last_used_at: Timestamp | None = Field(
        default=None, description="When it was last used, to about a minute."
    )


class NewToken(Token):
    """A token just made."""

    token: str = Field(description="The secret. It is never told again.")
