"""ASGI middleware before everything: what is refused unread, and headers of every answer.

Knows no route; what it refuses never reaches one.
"""

import asyncio
import ipaddress
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forebay_server.db.columns import new_id

MIN_API_VERSION = (0, 8, 0)
MAX_BODY_BYTES = 1 << 20
# Stock clients send lines in batches of up to 4 MB, and lose one that is refused; flows fail when
# a table that they leave is.
LARGER_BODIES = {"/api/logs/": 5 << 20, "/api/artifacts/": 5 << 20}
MAX_HEADER_BYTES = 16 << 10
BODY_SECONDS = 30.0  # within which a body must be there
ANY_HOST = "*"

WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
PAGE_HEADERS = [(b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
API_HEADERS = [
    *PAGE_HEADERS,
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]

Headers = dict[bytes, bytes]


@dataclass(frozen=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    code: str
    detail: str


class Gate:
    """Request ids, hosts and origins, the API version, sizes and types of bodies.

    `hosts` are names under which the server may be addressed, beside addresses and `localhost`.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str] = frozenset()) -> None:
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        refusal = self._bad_host(headers) or _foreign_origin(scope, headers)
        if scope["type"] == "websocket":
            if refusal:
                await send({"type": "websocket.close"})  # before it is accepted: HTTP 403
                return
            await self.app(scope, receive, send)
            return
        request_id = scope["request_id"] = str(new_id())
        added = API_HEADERS if scope["path"].startswith("/api") else PAGE_HEADERS
        added = [*added, (b"x-request-id", request_id.encode())]

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *added]
            await send(message)

        refusal = refusal or _bad_framing(scope, headers) or _bad_media(scope, headers)
        if refusal:
            await _send_refusal(send_with_headers, refusal, request_id)
        elif has_body(headers):
            await self.app(scope, _bounded(receive, body_limit(scope)), send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)

    def _bad_host(self, headers: Headers) -> Refusal | None:
        """A name that is not the server's own may have been made to lead here (rebinding)."""
        host = headers.get(b"host")
        if host is None or is_own_host(host, self.hosts):
            return None
        return Refusal(
            400,
            "unknown_host",
            "The Host header is none of this server's names; add the name to "
            "FOREBAY_ALLOWED_HOSTS where the server starts.",
        )


@lru_cache(maxsize=1024)
def is_own_host(header: bytes, names: frozenset[str]) -> bool:
    """Whether a Host header may lead here: an IP address, `localhost` or one of `names`."""
    if ANY_HOST in names:
        return True
    host = re.sub(r":\d*$", "", header.decode("latin-1").lower())
    if host in names or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _foreign_origin(scope: Scope, headers: Headers) -> Refusal | None:
    """Another site's page may not change anything here, nor listen; reading, browsers prevent."""
    origin = headers.get(b"origin")
    if origin is None or scope.get("method") in ("GET", "HEAD", "OPTIONS"):
        return None
    try:
        site = urlsplit(origin.decode("latin-1")).netloc
    except ValueError:
        site = ""
    if site and site.lower() == headers.get(b"host", b"").decode("latin-1").lower():
        return None
    return Refusal(403, "foreign_origin", "Requests from pages of another site are refused.")


def _bad_framing(scope: Scope, headers: Headers) -> Refusal | None:
    problem = _refuse_version(headers.get(b"x-prefect-api-version"))
    if problem:
        return Refusal(400, "bad_api_version", problem)
    if sum(len(name) + len(value) for name, value in scope["headers"]) > MAX_HEADER_BYTES:
        detail = f"The headers are larger than {MAX_HEADER_BYTES} bytes."
        return Refusal(431, "headers_too_large", detail)
    raw_path: bytes = scope.get("raw_path") or b""
    if b"%" in raw_path and not _is_encoded_text(raw_path):
        return Refusal(400, "bad_path", "The path is not percent-encoded UTF-8.")
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        return Refusal(400, "bad_length", "The Content-Length header is not a number.")
    most = body_limit(scope)
    if int(length) > most:
        return Refusal(413, "body_too_large", _too_large(most))
    return None


def body_limit(scope: Scope) -> int:
    """The most bytes that the body of this request may have."""
    return LARGER_BODIES.get(scope["path"], MAX_BODY_BYTES)


def _too_large(most: int) -> str:
    return f"The body is larger than {most} bytes."


def _is_encoded_text(path: bytes) -> bool:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return re.search(rb"%(?![0-9a-fA-F]{2})", path) is None


def _bad_media(scope: Scope, headers: Headers) -> Refusal | None:
    """Anything but JSON, which no form of a page can send, and no page unasked."""
    if scope["method"] not in WRITING:
        return None
    encoding = headers.get(b"content-encoding", b"identity").strip().lower()
    if encoding not in (b"identity", b""):
        detail = "Bodies are taken as they are: send no Content-Encoding."
        return Refusal(415, "unsupported_encoding", detail)
    media = headers.get(b"content-type")
    if media is None and not has_body(headers):
        return None
    if media is None or media.partition(b";")[0].strip().lower() != b"application/json":
        detail = "Bodies are JSON: send Content-Type: application/json."
        return Refusal(415, "unsupported_media_type", detail)
    return None


def has_body(headers: Headers) -> bool:
    """Whether the request announces a body."""
    return headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers


def _bounded(receive: Receive, most: int) -> Receive:
    """`receive`, which raises when the body is too large or takes too long."""
    received = 0
    is_complete = False
    deadline = asyncio.get_running_loop().time() + BODY_SECONDS
    closing = {"Connection": "close"}  # what is left of the body is not read

    async def receive_bounded() -> Message:
        nonlocal received, is_complete
        if is_complete:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, "The body did not arrive in time.", closing) from None
        received += len(message.get("body", b""))
        if received > most:
            raise HTTPException(413, _too_large(most), closing)
        is_complete = not message.get("more_body", False)
        return message

    return receive_bounded


def _refuse_version(header: bytes | None) -> str | None:
    """Why the version of the API that a client asks for cannot be served, if so."""
    if header is None:
        return None
    text = header.decode("latin-1")
    if not re.fullmatch(r"\d{1,9}\.\d{1,9}\.\d{1,9}", text, re.ASCII):
        return f"Invalid X-PREFECT-API-VERSION header format; expected x.y.z, received {text!r}"
    if tuple(map(int, text.split("."))) < MIN_API_VERSION:
        least = ".".join(map(str, MIN_API_VERSION))
        return (
            f"The request specified API version {text} but this server requires version "
            f"{least} or higher."
        )
    return None


async def _send_refusal(send: Send, refusal: Refusal, request_id: str) -> None:
    answer = {"detail": refusal.detail, "code": refusal.code, "request_id": request_id}
    body = json.dumps(answer).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),  # the body, if any, is not read
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
