"""Who is calling and whether the route is open to them: one check for every route."""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import secrets
import time
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import HTTPConnection

from forebay.wire.tokens import Role
from forebay_server.access import objects, queries
from forebay_server.access.failed_logins import FailedLogins
from forebay_server.access.roles import KINDS_OF_RUNS, Grant, Kind, Pool, Principal, Run
from forebay_server.access.run_tokens import PREFIX, RunTokens
from forebay_server.db.engine import Database
from forebay_server.errors import (
    Forbidden,
    NotFound,
    ServerError,
    TooManyFailures,
    Unauthorized,
)

logger = logging.getLogger(__name__)

TOKEN_BYTES = 32
CACHE_SECONDS = 5.0  # within which a revoked token stops working in every process
MOST_CACHED = 4096
USE_NOTED_EVERY = timedelta(seconds=60)

ANYBODY = Principal("anonymous", Role.ADMIN)  # with --no-auth, on loopback
BY_AUTH_STRING = Principal("basic", Role.ADMIN)

Grants = Mapping[Callable[..., Any], Grant]  # by the function that a route calls


def new_token() -> str:
    """A fresh random token."""
    return "fb_" + secrets.token_urlsafe(TOKEN_BYTES)


def hash_token(token: str) -> str:
    """What is stored of a token: 256 random bits need no slow hash."""
    return hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True)
class _Known:
    """A token that was found in the database, by this process's monotonic clock."""

    principal: Principal
    read_at: float


class Authenticator:
    """Checks credentials against the stored hashes; what it found it believes for seconds.

    A token that is not known here is always looked for, so that a new one works at once, and so
    that right ones work wherever wrong ones come from: nobody guesses 256 bits. An auth string
    people think of, so it is not compared for addresses from which too much was tried.
    """

    def __init__(
        self,
        database: Database,
        auth_string: str | None,
        grants: Grants,
        run_tokens: RunTokens,
        *,
        is_open: bool,
    ) -> None:
        self._database = database
        self._auth_string = auth_string
        self._grants = grants
        self._run_tokens = run_tokens
        self._is_open = is_open
        self._known: dict[str, _Known] = {}
        self._failures = FailedLogins()
        self._notes: set[asyncio.Task[None]] = set()

    async def principal(self, authorization: str | None, address: str | None) -> Principal:
        """The caller behind an `Authorization` header that came from `address`.

        Without an address it is of who was let in before: a failure counts for nobody. Raises
        `Unauthorized`.
        """
        if self._is_open:
            return ANYBODY
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() == "bearer":
            return await self._by_token(value.strip(), address)
        if scheme.lower() == "basic":
            return await self._by_password(value.strip(), address)
        raise Unauthorized("no credentials")

    async def principal_of_secret(self, secret: str | None, address: str | None) -> Principal:
        """The same of a bare token or auth string, as websockets send it."""
        if self._is_open:
            return ANYBODY
        if secret is None:
            raise Unauthorized("no credentials")
        if self._is_auth_string(secret, address):
            return BY_AUTH_STRING
        # An auth string may hold a token as its password, as with Basic.
        return await self._by_token(secret.rpartition(":")[2], address)

    def run_token(self, run_id: UUID, epoch: int) -> str | None:
        """The token for the process of a claimed run; none where nobody needs one."""
        return None if self._is_open else self._run_tokens.make(run_id, epoch)

    def grant(self, endpoint: Callable[..., Any]) -> Grant:
        """Whom the route of `endpoint` is open to."""
        return self._grants[endpoint]

    def check_role(self, principal: Principal, endpoint: Callable[..., Any]) -> None:
        """Raises `Forbidden` when the route is not open to the caller's role."""
        grant = self.grant(endpoint)
        roles = grant.roles
        if principal.run is not None and roles is not None and not grant.is_runs:
            raise Forbidden("The token of a run may not do this.")
        if roles is not None and principal.role not in roles:
            allowed = ", ".join(sorted(roles))
            raise Forbidden(
                f"A token of the role {principal.role} may not do this; these may: {allowed}."
            )

    async def check_object(
        self, principal: Principal, endpoint: Callable[..., Any], path: dict[str, object]
    ) -> None:
        """Raises `NotFound` when the path leads to an object of another pool than the token's.

        With the token of a run also when it leads to another run, or to what is not that run's.
        """
        kind = self.grant(endpoint).kind
        if principal.pool is None or kind is None:
            return
        if principal.run is not None and kind in KINDS_OF_RUNS:
            if path["id"] != principal.run.object_id(kind):
                raise _missing(kind)
            return
        plain = {
            key: unicodedata.normalize("NFC", value) if isinstance(value, str) else value
            for key, value in path.items()
        }
        if any("\x00" in value for value in plain.values() if isinstance(value, str)):
            return  # which the route refuses
        async with self._database.read() as db:
            if not await objects.is_of_pool(db, kind, plain, principal.pool, principal.run):
                raise _missing(kind)

    def forget(self) -> None:
        """Look every token up again: one was revoked, or its life was changed."""
        self._known.clear()

    async def close(self) -> None:
        """Wait for what is being noted."""
        await asyncio.gather(*self._notes, return_exceptions=True)

    async def _by_password(self, encoded: str, address: str | None) -> Principal:
        try:
            decoded = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Unauthorized("malformed Basic credentials") from None
        if self._is_auth_string(decoded, address):
            return BY_AUTH_STRING
        # Stock clients that only know Basic may send a token as the password.
        return await self._by_token(decoded.partition(":")[2], address)

    def _is_auth_string(self, given: str, address: str | None) -> bool:
        """Whether `given` is the auth string. From an address that is locked, nothing is."""
        if not self._auth_string or (address and self._failures.seconds_locked(address)):
            return False
        is_right = hmac.compare_digest(given.encode(), self._auth_string.encode())
        if is_right and address:
            self._failures.forget(address)
        return is_right

    async def _by_token(self, token: str, address: str | None) -> Principal:
        digest = hash_token(token)
        known = self._known.get(digest)
        if known is not None and time.monotonic() - known.read_at < CACHE_SECONDS:
            return known.principal
        self._known.pop(digest, None)
        read_at = time.monotonic()
        look_up = self._look_up_run if token.startswith(PREFIX) else self._look_up
        principal = await look_up(token)
        if principal is None:
            raise self._failed(address)
        if len(self._known) >= MOST_CACHED:
            self._known.clear()
        self._known[digest] = _Known(principal, read_at)
        return principal

    def _failed(self, address: str | None) -> Unauthorized:
        """Count wrong credentials; what to tell about them."""
        seconds = 0
        if address:
            seconds = self._failures.seconds_locked(address)
            self._failures.add(address)
        return TooManyFailures(seconds) if seconds else Unauthorized("unknown token")

    async def _look_up(self, token: str) -> Principal | None:
        digest = hash_token(token)
        async with self._database.read() as db:
            row = await queries.read_live(db, digest)
            at = await db.now()
        if row is None:
            return None
        pool = Pool(row.work_pool_id, row.work_pool_name) if row.work_pool_id else None
        self._note_use(row.id, row.last_used_at, at)
        return Principal(f"token:{digest[:12]}", Role(row.role), pool)

    async def _look_up_run(self, token: str) -> Principal | None:
        claim = self._run_tokens.read(token)
        if claim is None:
            return None
        async with self._database.read() as db:
            row = await queries.read_claimed_run(db, *claim)
        if row is None:
            raise Unauthorized("the claim of this run has ended")
        pool = Pool(row.work_pool_id, row.work_pool_name)
        run = Run(row.id, row.flow_id, row.deployment_id)
        return Principal(f"run:{run.id}", Role.WORKER, pool, run)

    def _note_use(self, id: UUID, noted: datetime | None, at: datetime) -> None:
        """Note that the token is in use, beside the request and not before it."""
        not_after = at - USE_NOTED_EVERY
        if noted is not None and noted.astimezone(UTC) > not_after:
            return
        task = asyncio.create_task(self._write_use(id, not_after))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _write_use(self, id: UUID, not_after: datetime) -> None:
        try:
            async with self._database.write() as db:
                await queries.mark_used(db, id, not_after)
        except (SQLAlchemyError, OSError, ServerError) as error:
            logger.warning("the use of a token was not noted: %s", error)


_WORDS = {
    Kind.POOL: "Work pool",
    Kind.QUEUE: "Work queue",
    Kind.RUN: "Flow run",
    Kind.DEPLOYMENT: "Deployment",
    Kind.FLOW: "Flow",
    Kind.ARTIFACT: "Artifact",
    Kind.BLOCK: "Block document",
    Kind.BLOCK_BY_NAME: "Block document",
}


def _missing(kind: Kind) -> NotFound:
    return NotFound(f"{_WORDS[kind]} not found.")


def address_of(connection: HTTPConnection) -> str:
    """Where a request or a websocket comes from."""
    return connection.client.host if connection.client else ""


async def authenticated(request: Request) -> Principal:
    """The caller of this request, also kept as `request.state.principal`.

    Raises `Unauthorized`; `Forbidden` for a role that the route is not open to; `NotFound` when
    the object in the path is of another pool than the caller's.
    """
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:  # a request is checked once
        return known
    authenticator: Authenticator = request.app.state.authenticator
    header = request.headers.get("authorization")
    principal = await authenticator.principal(header, address_of(request))
    endpoint = request.scope["endpoint"]
    authenticator.check_role(principal, endpoint)
    await authenticator.check_object(principal, endpoint, request.path_params)
    request.state.principal = principal
    return principal
