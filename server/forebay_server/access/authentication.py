"""Who is calling: one check for every route, over tokens and the Basic auth string."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from dataclasses import dataclass

from fastapi import Request

from forebay_server.access import queries
from forebay_server.db.engine import Database
from forebay_server.errors import Unauthorized

TOKEN_BYTES = 32
CACHE_SECONDS = 5.0  # within which a revoked token stops working in every process


@dataclass(frozen=True)
class Principal:
    """The caller. `name` tells tokens apart without revealing them."""

    name: str
    role: str


ANYBODY = Principal("anonymous", "admin")  # with --no-auth, on loopback


def new_token() -> str:
    """A fresh random token."""
    return "fb_" + secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> str:
    """What is stored of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


class Authenticator:
    """Checks credentials against the stored hashes, which it re-reads every few seconds."""

    def __init__(self, database: Database, auth_string: str | None, *, is_open: bool) -> None:
        self._database = database
        self._auth_string = auth_string
        self._is_open = is_open
        self._roles: dict[str, str] = {}
        self._read_at = float("-inf")

    async def principal(self, authorization: str | None) -> Principal:
        """The caller behind an `Authorization` header. Raises `Unauthorized`."""
        if self._is_open:
            return ANYBODY
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._by_token(value.strip())
        if scheme.lower() == "basic":
            return await self._by_password(value.strip())
        raise Unauthorized("no credentials")

    async def principal_of_secret(self, secret: str | None) -> Principal:
        """The caller behind a bare token or auth string, as websockets send it.

        Raises `Unauthorized`.
        """
        if self._is_open:
            return ANYBODY
        if secret is None:
            raise Unauthorized("no credentials")
        if self._auth_string and hmac.compare_digest(secret.encode(), self._auth_string.encode()):
            return Principal("basic", "admin")
        # An auth string may hold a token as its password, as with Basic.
        return await self._by_token(secret.rpartition(":")[2])

    async def _by_token(self, token: str) -> Principal:
        digest = hash_token(token)
        role = (await self._read_roles()).get(digest)
        if role is None:
            raise Unauthorized("unknown token")
        return Principal(f"token:{digest[:12]}", role)

    async def _by_password(self, encoded: str) -> Principal:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthorized("malformed Basic credentials") from None
        if self._auth_string and hmac.compare_digest(decoded.encode(), self._auth_string.encode()):
            return Principal("basic", "admin")
        # Stock clients that only know Basic may send a token as the password.
        return await self._by_token(decoded.partition(":")[2])

    async def _read_roles(self) -> dict[str, str]:
        if time.monotonic() - self._read_at > CACHE_SECONDS:
            async with self._database.read() as db:
                self._roles = await queries.live_hashes(db, await db.now())
            self._read_at = time.monotonic()
        return self._roles


async def authenticated(request: Request) -> Principal:
    """The caller of this request, also kept as `request.state.principal`."""
    authenticator: Authenticator = request.app.state.authenticator
    principal = await authenticator.principal(request.headers.get("authorization"))
    request.state.principal = principal
    return principal
