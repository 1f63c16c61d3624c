"""`Idempotency-Key` on requests that create: one answer for a key. Knows no domain."""

import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

import orjson
from fastapi import Depends, Header, Request, Response
from sqlalchemy.exc import DBAPIError

from forebay_server.access.authentication import authenticated
from forebay_server.db.engine import Database
from forebay_server.errors import InFlight, KeyReused
from forebay_server.idempotency import queries

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

HEADER = "Idempotency-Key"
REPLAY_HEADER = "Idempotent-Replay"
KEY = r"^[!-~](?:[ -~]{0,253}[!-~])?$"  # printable ASCII; a header's outer spaces are not its own
LOCK_TIMEOUT = "55P03"  # PostgreSQL: another transaction held the key too long


async def idempotency_key(
    key: Annotated[
        str | None,
        Header(
            alias=HEADER,
            pattern=KEY,
            description="The caller's name for this very request (Forebay extension). Repeated "
            "within 24 hours with the same body, it creates nothing and gets the first answer "
            f"again, with the header `{REPLAY_HEADER}: true`; with another body it is refused.",
        ),
    ] = None,
) -> None:
    """Declares the header; a route that depends on this answers a known key as before."""


CREATES = Depends(idempotency_key)  # declares that a route creates something


async def answer_once(request: Request, value: Any, handle: Handler) -> Response:
    """The kept answer to this request, or that of `handle`, kept in its own transaction.

    `value` is the decoded body. Only answers are kept: a request that is refused with an
    exception is undone whole, and may be repeated when its reason is gone. Raises `KeyReused`
    and `InFlight`.
    """
    key = request.headers.get(HEADER)
    if key is None or not re.fullmatch(KEY, key):
        return await handle(request)  # which refuses a key that is none
    principal = await authenticated(request)
    digest = _digest(principal.name, request.method, request.url.path, key)
    body_digest = _digest(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
    database: Database = request.app.state.database
    async with database.write() as db:
        try:
            known = await queries.reserve(db, digest, body_digest)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_TIMEOUT:
                raise
            raise InFlight(
                f"A request with this {HEADER} is still being answered; try again shortly."
            ) from None
        if known is not None:
            if known.body_digest != body_digest:
                raise KeyReused(f"This {HEADER} was used with another body; use a new one.")
            return _replay(known.status, known.answer)
        request.scope["transaction"] = db  # which the handler's own dependencies join
        response = await handle(request)
        await queries.keep(db, digest, response.status_code, bytes(response.body).decode())
    return response


def _replay(status: int, answer: str) -> Response:
    media_type = "application/json" if answer else None
    return Response(answer, status, {REPLAY_HEADER: "true"}, media_type)


def _digest(*parts: str | bytes) -> str:
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.sha256(b"\0".join(raw)).hexdigest()
