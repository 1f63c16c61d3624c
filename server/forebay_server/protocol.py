"""HTTP conventions that hold for every route: errors, versions, pages, transactions."""

import asyncio
import json
import logging
import random
import re
import unicodedata
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AfterValidator
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forebay.wire.base import Page
from forebay_server.db.columns import new_id
from forebay_server.db.engine import Transaction
from forebay_server.errors import Invalid, ServerError, StorageFull

T = TypeVar("T")

logger = logging.getLogger(__name__)

MIN_API_VERSION = (0, 8, 0)
MAX_PAGE = 200
MAX_BODY_BYTES = 1 << 20
MAX_TRIES = 5  # of a request whose transaction lost against another
RETRIED_SQLSTATES = frozenset({"40001", "40P01", "55P03"})  # serialisation, deadlock, lock timeout

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


async def writing(request: Request) -> AsyncIterator[Transaction]:
    """The request's transaction; committed before the answer is sent."""
    async with request.app.state.database.write() as transaction:
        yield transaction


async def reading(request: Request) -> AsyncIterator[Transaction]:
    """A transaction for a request that changes nothing."""
    async with request.app.state.database.read() as transaction:
        yield transaction


# scope="function": with the default the client got its answer before a commit that then failed.
Write = Annotated[Transaction, Depends(writing, scope="function")]
Read = Annotated[Transaction, Depends(reading, scope="function")]


def _name_in_path(name: str) -> str:
    """`name` as names are stored; NUL is refused here because PostgreSQL knows no such text."""
    if "\x00" in name:
        raise ValueError("a name must not contain control characters")
    return unicodedata.normalize("NFC", name)


PathName = Annotated[str, AfterValidator(_name_in_path)]


class Route(APIRoute):
    """A route that runs again when its transaction lost against a concurrent one."""

    def get_route_handler(self) -> Handler:
        handle = super().get_route_handler()

        async def handle_again(request: Request) -> Response:
            for attempt in range(1, MAX_TRIES):
                try:
                    return await handle(request)
                except DBAPIError as error:
                    if sqlstate(error) not in RETRIED_SQLSTATES:
                        raise
                await asyncio.sleep(random.uniform(0, 0.02 * 2**attempt))
            return await handle(request)

        return handle_again


def sqlstate(error: DBAPIError) -> str | None:
    """PostgreSQL's five-character code, where the driver tells it."""
    return getattr(error.orig, "sqlstate", None)


def page_limit(limit: int | None) -> int:
    """The page size asked for; null is the default, which is also the most."""
    if limit is None:
        return MAX_PAGE
    if limit > MAX_PAGE:
        raise Invalid(f"Invalid limit: must be less than or equal to {MAX_PAGE}.")
    if limit < 0:
        raise Invalid("Invalid limit: must be greater than or equal to 0.")
    return limit


def page_offset(offset: int | None) -> int:
    """Rows to leave out; null is 0."""
    if offset is not None and not 0 <= offset < 2**63:
        raise Invalid("Invalid offset: must be greater than or equal to 0.")
    return offset or 0


def page_number(page: int | None, limit: int) -> tuple[int, int]:
    """The page asked for, counted from 1, and the rows before it; null is the first."""
    if page is not None and not 1 <= page < 2**31:
        raise Invalid("Invalid page: must be greater than or equal to 1.")
    return page or 1, ((page or 1) - 1) * limit


def page_of(results: list[T], count: int, limit: int, page: int) -> Page[T]:
    """The answer of a `paginate` endpoint; `count` is of all pages."""
    pages = -(-count // limit) if limit else 0
    return Page(results=results, count=count, limit=limit, pages=pages, page=page)


def _answer(
    request: Request, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> JSONResponse:
    body["request_id"] = request.scope.get("request_id", "")
    return JSONResponse(body, status, headers)


async def _server_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ServerError)
    headers = {"Retry-After": error.retry_after} if error.retry_after else None
    if error.status == 401:
        return _answer(request, 401, {"exception_message": "Unauthorized", "code": error.code})
    return _answer(
        request, error.status, {"detail": str(error), "code": error.code, **error.extra}, headers
    )


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    body = {"detail": error.detail, "code": f"http_{error.status_code}"}
    return _answer(request, error.status_code, body, dict(error.headers or {}))


async def _invalid(request: Request, error: Exception) -> Response:
    """Prefect's shape, without the input: an answer must never echo a secret back."""
    assert isinstance(error, RequestValidationError)
    problems = [
        {"type": problem["type"], "loc": problem["loc"], "msg": problem["msg"]}
        for problem in error.errors()
    ]
    body = {
        "exception_message": "Invalid request received.",
        "exception_detail": problems,
        "request_body": None,
        "code": "invalid_request",
    }
    return _answer(request, 422, body)


async def _integrity_error(request: Request, error: Exception) -> Response:
    body = {
        "detail": "The request refers to an object that does not exist, leaves out one that must "
        "be there, or repeats a name that is taken.",
        "code": "conflict",
    }
    return _answer(request, 409, body)


async def _database_error(request: Request, error: Exception) -> Response:
    text = str(error).lower()
    if isinstance(error, OperationalError) and ("full" in text or "readonly" in text):
        full = StorageFull("The database cannot be written: its disk is full or read-only.")
        return await _server_error(request, full)
    if isinstance(error, DBAPIError) and (sqlstate(error) or "")[:2] == "22":
        body = {"detail": "A value cannot be stored: it is out of range.", "code": "invalid"}
        return _answer(request, 422, body)
    is_passing = isinstance(error, PoolTimeout | OSError) or (
        isinstance(error, DBAPIError)
        and (
            error.connection_invalidated
            or sqlstate(error) in RETRIED_SQLSTATES
            or (sqlstate(error) or "")[:2] in ("08", "57")
            or "locked" in text
        )
    )
    if is_passing:
        logger.warning("database unavailable: %s", error)
        body = {"exception_message": "Service Unavailable", "code": "unavailable"}
        return _answer(request, 503, body, {"Retry-After": "1"})
    return await _unexpected(request, error)


async def _unexpected(request: Request, error: Exception) -> Response:
    logger.error("request failed", exc_info=error, extra={"path": request.url.path})
    body = {"exception_message": "Internal Server Error", "code": "internal_error"}
    return _answer(request, 500, body)


def install_error_handlers(app: FastAPI) -> None:
    """Give every exception its answer."""
    app.add_exception_handler(ServerError, _server_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(IntegrityError, _integrity_error)
    for kind in (DBAPIError, PoolTimeout, OSError):
        app.add_exception_handler(kind, _database_error)
    app.add_exception_handler(Exception, _unexpected)


class Gate:
    """ASGI middleware: request ids, the API version header, the size of bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = scope["request_id"] = str(new_id())
        headers = dict(scope["headers"])

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append((b"x-request-id", request_id.encode()))
            await send(message)

        refusal = _refuse_version(headers.get(b"x-prefect-api-version"))
        if refusal:
            await _send_error(send_with_id, 400, refusal, "bad_api_version", request_id)
            return
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or int(length) > MAX_BODY_BYTES:
            detail = f"The body is larger than {MAX_BODY_BYTES} bytes."
            await _send_error(send_with_id, 413, detail, "body_too_large", request_id)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BODY_BYTES:
                raise HTTPException(413, f"The body is larger than {MAX_BODY_BYTES} bytes.")
            return message

        await self.app(scope, receive_counted, send_with_id)


def _refuse_version(header: bytes | None) -> str | None:
    """Why the version of the API that a client asks for cannot be served, if so."""
    if header is None:
        return None
    text = header.decode("latin-1")
    if not re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", text):
        return f"Invalid X-PREFECT-API-VERSION header format; expected x.y.z, received {text!r}"
    if tuple(map(int, text.split("."))) < MIN_API_VERSION:
        least = ".".join(map(str, MIN_API_VERSION))
        return (
            f"The request specified API version {text} but this server requires version "
            f"{least} or higher."
        )
    return None


async def _send_error(send: Send, status: int, detail: str, code: str, request_id: str) -> None:
    body = json.dumps({"detail": detail, "code": code, "request_id": request_id}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
