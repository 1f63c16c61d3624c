"""Sends calls to the API, blocking or async, with retries. Knows no endpoint."""

import asyncio
import base64
import json
import random
import time
from collections.abc import Iterator
from typing import Any, Self, TypeVar

import httpx2 as httpx
from pydantic import ValidationError

from forebay import __version__
from forebay.calls import Call
from forebay.errors import (
    BY_STATUS,
    ApiError,
    FieldProblem,
    ForebayError,
    NotFound,
    Unreachable,
)
from forebay.settings import ClientSettings

T = TypeVar("T")

RETRIED_STATUSES = frozenset({408, 429, 502, 503, 504})
MAX_WAIT_SECONDS = 10.0
# What the framework of both servers says when an address leads nowhere. It tells nothing about
# the object that was asked for, and neither does a 404 that is not JSON: a proxy's page, say.
NO_SUCH_ROUTE = "Not Found"


class _Transport:
    """What both clients share: headers, the retry schedule, reading answers and errors."""

    def __init__(self, settings: ClientSettings, user_agent: str) -> None:
        self.settings = settings
        # Reading the system's certificates costs a short-lived process more than its requests,
        # and redirects are not followed, so a plain address never leads to TLS.
        self.uses_tls = settings.api_url.startswith("https://")
        self.headers = {"accept": "application/json", "user-agent": user_agent}
        if settings.api_key:
            self.headers["authorization"] = f"Bearer {settings.api_key}"
        elif settings.basic_auth:
            encoded = base64.b64encode(settings.basic_auth.encode()).decode()
            self.headers["authorization"] = f"Basic {encoded}"

    def request(self, call: Call[Any]) -> dict[str, Any]:
        headers = dict(call.headers)
        content = None
        if call.body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(call.body, separators=(",", ":")).encode()
        return {
            "method": call.method,
            "url": self.settings.api_url + call.path,
            # Names of objects may stand in headers, and they are not always ASCII.
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "content": content,
        }

    def waits(self, call: Call[Any]) -> Iterator[float]:
        """Seconds to wait before each further try: full jitter, doubling."""
        for attempt in range(self.settings.max_tries - 1):
            yield random.uniform(0, min(MAX_WAIT_SECONDS, 0.5 * 2**attempt))

    def is_retried(self, call: Call[Any], response: httpx.Response | None) -> bool:
        # Without an answer nobody knows whether the request was carried out, so only calls
        # that may be repeated are; with one of these statuses the server says that it was not.
        if response is None:
            return call.is_repeatable
        return response.status_code in RETRIED_STATUSES

    def read(self, call: Call[T], response: httpx.Response) -> T:
        if response.status_code >= 400:
            raise api_error(response.status_code, response.content, self.settings.api_url)
        if response.is_redirect:
            raise ForebayError(
                f"{self.settings.api_url} answered with a redirect to "
                f"{response.headers.get('location')}; set the API address to where the API is."
            )
        try:
            answer = call.parse(response.content)
        except ValidationError as error:
            raise ForebayError(
                f"{self.settings.api_url}{call.path} answered with something unexpected; is this "
                f"the address of a Forebay or Prefect 3 API? ({error.error_count()} problems, "
                f"the first: {error.errors()[0]['msg']})"
            ) from None
        return call.parse_headers(answer, response.headers) if call.parse_headers else answer

    def unreachable(self, error: Exception) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(
            f"No answer from {self.settings.api_url} ({reason}). Start a server with "
            "`forebay server start`, or set FOREBAY_API_URL to the address of one."
        )


class Client(_Transport):
    """Blocking client; one per thread of use is not needed, it may be shared."""

    def __init__(self, settings: ClientSettings, user_agent: str = f"forebay/{__version__}"):
        super().__init__(settings, user_agent)
        self._http = httpx.Client(
            headers=self.headers, timeout=settings.timeout_seconds, verify=self.uses_tls
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def send(self, call: Call[T]) -> T:
        """The call's answer. Raises `ApiError` by status, or `Unreachable`."""
        waits = self.waits(call)
        while True:
            response, failure = None, None
            try:
                response = self._http.request(**self.request(call))
            except httpx.TransportError as error:
                failure = error
            if self.is_retried(call, response) and (wait := next(waits, None)) is not None:
                time.sleep(_wait_seconds(response, wait))
                continue
            if response is None:
                assert failure is not None
                raise self.unreachable(failure) from failure
            return self.read(call, response)


class AsyncClient(_Transport):
    """The same for asyncio."""

    def __init__(self, settings: ClientSettings, user_agent: str = f"forebay/{__version__}"):
        super().__init__(settings, user_agent)
        self._http = httpx.AsyncClient(
            headers=self.headers, timeout=settings.timeout_seconds, verify=self.uses_tls
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """The call's answer. Raises `ApiError` by status, or `Unreachable`."""
        waits = self.waits(call)
        while True:
            response, failure = None, None
            try:
                response = await self._http.request(**self.request(call))
            except httpx.TransportError as error:
                failure = error
            if self.is_retried(call, response) and (wait := next(waits, None)) is not None:
                await asyncio.sleep(_wait_seconds(response, wait))
                continue
            if response is None:
                assert failure is not None
                raise self.unreachable(failure) from failure
            return self.read(call, response)


def api_error(status: int, content: bytes, api_url: str) -> ApiError:
    """The exception for an error answer; its text is what the API said and the next step."""
    try:
        body = json.loads(content)
    except ValueError:
        body = None
    kind = BY_STATUS.get(status, ApiError)
    if not isinstance(body, dict):
        body = {"detail": f"{api_url} answered with HTTP status {status}; is the API there?"}
        kind = ApiError if kind is NotFound else kind
    elif kind is NotFound and body.get("detail") == NO_SUCH_ROUTE:
        body = {"detail": f"{api_url} has no such endpoint; is that the address of the API?"}
        kind = ApiError
    problems = _problems(body.get("exception_detail"))
    message = body.get("detail") or body.get("exception_message") or f"HTTP status {status}"
    if problems:
        told = [".".join(map(str, p.path)) + ": " + p.message for p in problems]
        message = "; ".join(text.removeprefix(": ") for text in told)
    if status == 401:
        message = (
            f"{api_url} refused the credentials ({message}). Set FOREBAY_API_KEY to a valid "
            "token; the first `forebay server start` writes one to its profiles file."
        )
    return kind(str(message), status=status, problems=problems)


def _problems(detail: object) -> tuple[FieldProblem, ...]:
    found = []
    for item in detail if isinstance(detail, list) else ():
        if isinstance(item, dict):
            place = item.get("loc")
            # The first part says where in the request: the body, its path or its query.
            path = tuple(place)[1:] if isinstance(place, list) else ()
            found.append(FieldProblem(path, str(item.get("msg", ""))))
    return tuple(found)


def _wait_seconds(response: httpx.Response | None, wait: float) -> float:
    try:
        asked = float(response.headers["retry-after"]) if response is not None else 0.0
    except (KeyError, ValueError):
        asked = 0.0
    return min(MAX_WAIT_SECONDS, max(wait, asked))
