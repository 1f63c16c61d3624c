"""API tokens: a Forebay extension."""

from uuid import UUID

from forebay.calls import Call, call
from forebay.wire.tokens import NewToken, Token, TokenCreate, TokenUpdate


def create(body: TokenCreate) -> Call[NewToken]:
    """Make a token and learn its secret, which is told this once. 409 when the name is taken."""
    return call("POST", "/tokens", NewToken, body)


def list_all() -> Call[list[Token]]:
    """Every token by name."""
    return call("GET", "/tokens", list[Token])


def read(id: UUID) -> Call[Token]:
    """One token by id."""
    return call("GET", f"/tokens/{id}", Token)


def update(id: UUID, body: TokenUpdate) -> Call[Token]:
    """Change how long a token lives from now on."""
    return call("PATCH", f"/tokens/{id}", Token, body, is_repeatable=True)


def revoke(id: UUID) -> Call[None]:
    """Delete a token; nobody gets in with it any more."""
    return call("DELETE", f"/tokens/{id}")
