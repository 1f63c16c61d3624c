"""HTTP of tokens: parse, call, return."""

from uuid import UUID

from fastapi import Request

from forebay.wire.tokens import NewToken, Token, TokenCreate, TokenUpdate
from forebay_server.access import queries
from forebay_server.access.authentication import Authenticator, hash_token, new_token
from forebay_server.protocol import Read, Write, api_router

router = api_router("Tokens", "/tokens")


@router.post("", status_code=201)
async def create_token(body: TokenCreate, db: Write) -> NewToken:
    """Make a token. Only this answer holds its secret, of which the server keeps a hash.

    There is no idempotency key: an answer that is kept would keep the secret.
    """
    secret = new_token()
    row = await queries.read(db, await queries.create(db, body, hash_token(secret)))
    return NewToken(**Token.model_validate(row).model_dump(), token=secret)


@router.get("")
async def list_tokens(db: Read) -> list[Token]:
    """Every token by name, without the secrets."""
    return [Token.model_validate(row) for row in await queries.list_all(db)]


@router.get("/{id:uuid}")
async def read_token(id: UUID, db: Read) -> Token:
    """Read a token by id, without its secret."""
    return Token.model_validate(await queries.read(db, id))


@router.patch("/{id:uuid}")
async def update_token(id: UUID, body: TokenUpdate, request: Request, db: Write) -> Token:
    """Let a token live longer or shorter, counted from now on."""
    if "lifetime_seconds" in body.model_fields_set:
        await queries.set_lifetime(db, id, body.lifetime_seconds)
        authenticator: Authenticator = request.app.state.authenticator
        db.after_commit(authenticator.forget)
    return Token.model_validate(await queries.read(db, id))


@router.delete("/{id:uuid}", status_code=204)
async def revoke_token(id: UUID, request: Request, db: Write) -> None:
    """Delete a token: this process refuses it at once, every other within 5 seconds."""
    await queries.delete(db, id)
    authenticator: Authenticator = request.app.state.authenticator
    db.after_commit(authenticator.forget)
