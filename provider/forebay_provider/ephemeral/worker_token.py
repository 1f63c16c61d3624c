"""`forebay_worker_token`: a token for the workers of one pool, for the time of one command."""

import json
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

from forebay.errors import ForebayError, NoSuchEndpoint, NotFound
from forebay_provider import logs
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import custom, matches
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.ephemeral import Ephemeral, Opened
from forebay_provider.names import NAME, POOL_NAME, UUID_TEXT
from forebay_provider.provider_block import DURATION, seconds

DEFAULT_TTL = "1h"
LEAST_SECONDS, MOST_SECONDS = 60, 30 * 24 * 3600
MAX_STEM = 200  # of a token's name, which has random characters after it


def _ttl_complaint(text: str) -> str | None:
    if LEAST_SECONDS <= seconds(text) <= MOST_SECONDS:
        return None
    return f'must be from "1m" to "720h", not {text!r}'


@model
class WorkerToken:
    """A token with which workers of one pool work, and nothing else. It is made when a command
    opens it, lives on while the command needs it, and is revoked when the command ends. It is in
    no state and in no plan: give it to write-only arguments and to providers."""

    work_pool_id: str | None = attribute(
        "ID (UUID) of the pool; of one that the same plan makes it is not known yet, so that the "
        "token is made after it. Either this or `work_pool_name` is set.",
        default=None,
        checks=(UUID_TEXT,),
    )
    work_pool_name: str = attribute(
        "Name of the pool, which must be there while planning.",
        default=None,
        computed=True,
        checks=POOL_NAME,
    )
    worker_name: str | None = attribute(
        "Whom it is for: its name in the list of tokens begins so.", default=None, checks=(NAME,)
    )
    ttl: str = attribute(
        f'How long it lives should the command never end it, as a duration: `"{DEFAULT_TTL}"` by '
        "default, at least a minute. It is renewed in time.",
        default=None,
        computed=True,
        checks=(matches(DURATION, 'be a duration such as "30m"'), custom(_ttl_complaint)),
    )
    id: str = attribute("ID (UUID) of the token.", computed=True)
    token: str = attribute("The token.", computed=True, sensitive=True)
    expires_at: str = attribute("When it expires unless renewed (RFC 3339).", computed=True)


class WorkerTokenResource(Ephemeral[WorkerToken, Connection]):
    """Minted, renewed and revoked by the server."""

    name, model = "worker_token", WorkerToken

    @staticmethod
    def check(config: WorkerToken) -> Iterable[Diagnostic]:
        if (config.work_pool_id is None) == (config.work_pool_name is None):
            yield Diagnostic(
                "One pool is needed", "Set exactly one of work_pool_id and work_pool_name."
            )

    def open(self, config: WorkerToken) -> Opened[WorkerToken]:
        ttl = config.ttl or DEFAULT_TTL
        lifetime = int(seconds(ttl))
        pool = config.work_pool_name or self._pool_name(UUID(config.work_pool_id))
        stem = (config.worker_name or pool)[:MAX_STEM]
        body = wire.tokens.TokenCreate(
            name=f"{stem}-{secrets.token_hex(6)}",
            role=wire.tokens.Role.WORKER,
            work_pool_name=pool,
            lifetime_seconds=lifetime,
        )
        try:
            made = self.client.send(calls.tokens.create(body))
        except NoSuchEndpoint:
            raise ForebayError(
                "The server makes no tokens: it is none of Forebay's, or an old one."
            ) from None
        logs.hide(made.token)
        values = {
            "work_pool_id": config.work_pool_id,
            "work_pool_name": pool,
            "worker_name": config.worker_name,
            "ttl": ttl,
            "id": str(made.id),
            "token": made.token,
            "expires_at": made.expires_at and made.expires_at.isoformat().replace("+00:00", "Z"),
        }
        private = json.dumps({"id": str(made.id), "lifetime_seconds": lifetime}).encode()
        return Opened(from_values(WorkerToken, values), private, _half(lifetime))

    def renew(self, private: bytes) -> datetime | None:
        known = json.loads(private)
        body = wire.tokens.TokenUpdate(lifetime_seconds=known["lifetime_seconds"])
        self.client.send(calls.tokens.update(UUID(known["id"]), body))
        return _half(known["lifetime_seconds"])

    def close(self, private: bytes) -> None:
        with suppress(NotFound):
            self.client.send(calls.tokens.revoke(UUID(json.loads(private)["id"])))

    def _pool_name(self, id: UUID) -> str:
        found = self.client.send(calls.work_pools.filter(ids=[id], limit=1))
        if not found:
            raise NotFound(f"There is no work pool with the ID {id}.")
        return found[0].name


def _half(lifetime_seconds: int) -> datetime:
    """When half of a life that begins now is over, by this machine's clock, as Terraform asks."""
    return datetime.now(UTC) + timedelta(seconds=lifetime_seconds / 2)
