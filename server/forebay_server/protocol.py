"""HTTP conventions that hold for every route: errors, versions, pages, transactions."""

import asyncio
import logging
import unicodedata
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import AfterValidator
from pydantic.warnings import UnsupportedFieldAttributeWarning
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import compile_path

from forebay.wire.base import Page
from forebay_server.access.authentication import authenticated
from forebay_server.access.roles import Principal
from forebay_server.db.engine import Transaction
from forebay_server.db.failures import is_lost_race, is_passing, is_unwritable, sqlstate, words
from forebay_server.db.retries import MAX_TRIES, pause_seconds
from forebay_server.errors import Invalid, ServerError, StorageFull
from forebay_server.idempotency.keys import Handler, answer_once, idempotency_key
from forebay_server.json_body import decode

T = TypeVar("T")

logger = logging.getLogger(__name__)

# FastAPI makes adapters that Pydantic warns about, and silences it while it makes them; those of
# shapes that are built when first used would warn then.
warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)

MAX_PAGE = 200


async def writing(request: Request) -> AsyncIterator[Transaction]:
    """The request's transaction; committed before the answer is sent."""
    joined: Transaction | None = request.scope.get("transaction")
    if joined is not None:  # `answer_once` commits it, with the answer
        yield _narrowed(request, joined)
        return
    async with request.app.state.database.write() as transaction:
        yield _narrowed(request, transaction)


async def reading(request: Request) -> AsyncIterator[Transaction]:
    """A transaction for a request that changes nothing."""
    async with request.app.state.database.read() as transaction:
        yield _narrowed(request, transaction)


def _narrowed(request: Request, transaction: Transaction) -> Transaction:
    """`transaction`, which knows the pool and the run that its caller's token is for."""
    principal: Principal | None = getattr(request.state, "principal", None)
    if principal is not None and principal.pool is not None:
        transaction.pool_id = principal.pool.id
        transaction.run_id = principal.run.id if principal.run else None
    return transaction


# scope="function": with the default the client got its answer before a commit that then failed.
Write = Annotated[Transaction, Depends(writing, scope="function")]
Read = Annotated[Transaction, Depends(reading, scope="function")]


def _name_in_path(name: str) -> str:
    """`name` as names are stored; NUL is refused here because PostgreSQL knows no such text."""
    if "\x00" in name:
        raise ValueError("a name must not contain control characters")
    return unicodedata.normalize("NFC", name)


PathName = Annotated[str, AfterValidator(_name_in_path)]


class JsonRequest(Request):
    """A request whose body is decoded once, by our rules."""

    value: Any = None

    async def decode(self) -> Any:
        """The body's value, kept for `json`; None without a body. Raises as `decode` does."""
        body = await self.body()
        self.value = decode(body) if body else None
        return self.value

    async def json(self) -> Any:
        """The value that was decoded before."""
        return self.value


class Route(APIRoute):
    """A route that decodes JSON strictly, answers a known idempotency key as before, and runs
    again when its transaction lost against a concurrent one.

    It knows its path from the beginning, and becomes whole when something else is asked of it: by
    the first request for it, or by the description of the API. Making all of them whole costs a
    third of a second and tens of MiB, and most servers answer few of them.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        methods: set[str] | list[str] | None = None,
        **options: Any,
    ) -> None:
        self._unbuilt = {"path": path, "endpoint": endpoint, "methods": methods, **options}
        self.path, self.endpoint = path, endpoint
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.methods = {method.upper() for method in methods or ("GET",)}

    def __getattr__(self, name: str) -> Any:
        if (options := self.__dict__.get("_unbuilt")) is None:
            raise AttributeError(name)
        del self._unbuilt
        super().__init__(**options)
        return getattr(self, name)

    def get_route_handler(self) -> Handler:
        handle = _ended(super().get_route_handler())
        has_body = self.body_field is not None
        is_creating = any(part.call is idempotency_key for part in self.dependant.dependencies)

        async def answer(plain: Request) -> Response:
            request = JsonRequest(plain.scope, plain.receive)
            value = await request.decode() if has_body else None
            for attempt in range(1, MAX_TRIES + 1):
                try:
                    if is_creating:
                        return await answer_once(request, value, handle)
                    return await handle(request)
                except DBAPIError as error:
                    if attempt == MAX_TRIES or not is_lost_race(error):
                        raise
                await asyncio.sleep(pause_seconds(attempt))
            raise AssertionError("the last try returns or raises")

        return answer


def _ended(handle: Handler) -> Handler:
    """`handle`, whose function-scoped dependencies have ended when it returns or raises.

    FastAPI ends them after the route's handler: too late to try a lost transaction again, which
    would then wait for itself.
    """

    async def handle_and_end(request: Request) -> Response:
        async with AsyncExitStack() as stack:
            request.scope["fastapi_function_astack"] = stack
            return await handle(request)

    return handle_and_end


API = "/api"


def api_router(tag: str, prefix: str = "", *, is_public: bool = False) -> APIRouter:
    """A router of routes below `/api`; unless it is public, its callers must be known.

    Routers are not nested in each other: each level would be searched for every request.
    """
    guards = [] if is_public else [Depends(authenticated)]
    return APIRouter(prefix=f"{API}{prefix}", tags=[tag], route_class=Route, dependencies=guards)


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


TOO_COMPLEX = "54"  # a class of PostgreSQL's codes
TOO_COMPLEX_WORDS = (  # of SQLite twice, and of asyncpg
    "expression tree is too large",
    "too many sql variables",
    "number of query arguments cannot exceed",
)


async def _database_error(request: Request, error: Exception) -> Response:
    code, said = sqlstate(error), words(error)
    if is_unwritable(error):
        full = StorageFull("The database cannot be written: its disk is full or read-only.")
        return await _server_error(request, full)
    if code[:2] == "22":
        body = {"detail": "A value cannot be stored: it is out of range.", "code": "invalid"}
        return _answer(request, 422, body)
    if code[:2] == TOO_COMPLEX or any(part in said.lower() for part in TOO_COMPLEX_WORDS):
        body = {"detail": "The request has more criteria than can be searched.", "code": "invalid"}
        return _answer(request, 422, body)
    if is_passing(error):
        logger.warning("database unavailable: %s", said or type(error).__name__)
        body = {"exception_message": "Service Unavailable", "code": "unavailable"}
        return _answer(request, 503, body, {"Retry-After": "1"})
    return await _unexpected(request, error)


async def _gone(request: Request, error: Exception) -> Response:
    """Whoever sent half of a request and is gone reads no answer; nothing was done."""
    return Response(status_code=400)


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
    app.add_exception_handler(ClientDisconnect, _gone)
    app.add_exception_handler(Exception, _unexpected)
