"""Answers of the API: what a call makes of them, and the error for each refusal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from forebay.calls import Call
from forebay.errors import (
    BY_STATUS,
    ApiError,
    Conflict,
    FieldProblem,
    ForebayError,
    NoSuchEndpoint,
    NotFound,
)

T = TypeVar("T")

# What the framework of both servers says when an address leads nowhere. It tells nothing about
# the object that was asked for, and neither does a 404 that is not JSON: a proxy's page, say.
NO_SUCH_ROUTE = "Not Found"
REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Answer:
    """A server's answer, read whole."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    content: bytes


class NoAnswer(Exception):
    """The connection failed before the answer was whole; its text is the reason."""

    def __init__(self, reason: str, *, was_sent: bool) -> None:
        super().__init__(reason)
        self.was_sent = was_sent  # whether the server may have got the request


def read(call: Call[T], response: Answer, api_url: str) -> T:
    """What the call makes of the answer. Raises `ForebayError`."""
    if response.status >= 400:
        raise api_error(response.status, response.content, api_url)
    if response.status in REDIRECTS:
        raise ForebayError(
            f"{api_url} answered with a redirect to {response.headers.get('location')}; set the "
            "API address to where the API is."
        )
    try:
        answer = call.parse(response.content)
    except ValueError as error:
        raise ForebayError(
            f"{api_url}{call.path} answered with something unexpected; is this the address of a "
            f"Forebay or Prefect 3 API? ({_told(error)})"
        ) from None
    return call.parse_headers(answer, response.headers) if call.parse_headers else answer


def _told(error: Any) -> str:
    """What was wrong with an answer; Pydantic, which is not imported for this, finds several."""
    if not hasattr(error, "error_count"):
        return str(error)
    return f"{error.error_count()} problems, the first: {error.errors()[0]['msg']}"


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
        kind = NoSuchEndpoint
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
    refusal = kind(str(message), status=status, problems=problems)
    if isinstance(refusal, Conflict) and isinstance(body.get("existing_id"), str):
        refusal.existing_id = body["existing_id"]
    return refusal


def _problems(detail: object) -> tuple[FieldProblem, ...]:
    found = []
    for item in detail if isinstance(detail, list) else ():
        if isinstance(item, dict):
            place = item.get("loc")
            # The first part says where in the request: the body, its path or its query.
            path = tuple(place)[1:] if isinstance(place, list) else ()
            found.append(FieldProblem(path, str(item.get("msg", ""))))
    return tuple(found)
