"""Websocket conventions that hold for every stream: handshake, frames, closing.

Source: Prefect 3.8.4 `server/utilities/subscriptions.py`.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal, TypeVar

from fastapi import Response, WebSocket
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.websockets import WebSocketDisconnect

from forebay.wire.base import Lenient, Text
from forebay_server.access.authentication import CACHE_SECONDS, Authenticator, address_of
from forebay_server.access.roles import Principal
from forebay_server.db.broker import Lost, Subscription
from forebay_server.errors import Forbidden, Unauthorized

logger = logging.getLogger(__name__)

SUBPROTOCOL = "prefect"
HANDSHAKE_SECONDS = 10.0  # for each frame that must come first
CLOSE_SECONDS = 1.0  # for a client that reads nothing any more

PROTOCOL_ERROR = 1002
POLICY_VIOLATION = 1008
INTERNAL_ERROR = 1011
TRY_AGAIN_LATER = 1013

Frame = TypeVar("Frame", bound=Lenient)
Check = Callable[[Authenticator, str | None], Awaitable[Principal]]  # with an address


class _Credentials(Lenient):
    type: Literal["auth"]
    token: Text | None = None


async def open_socket(socket: WebSocket) -> bool:
    """Accept `socket` when its client may call; else refuse it and answer False.

    With the subprotocol the first frame holds the credentials, else the HTTP header does.
    """
    if SUBPROTOCOL not in socket.scope["subprotocols"]:
        header = socket.headers.get("authorization")
        try:
            await _admit(socket, lambda checks, address: checks.principal(header, address))
        except (Unauthorized, Forbidden) as error:
            await socket.send_denial_response(Response(status_code=error.status))
            return False
        await socket.accept()
        return True
    await socket.accept(subprotocol=SUBPROTOCOL)
    try:
        token = (await read_frame(socket, _Credentials)).token
        await _admit(socket, lambda checks, address: checks.principal_of_secret(token, address))
    except (BadFrame, Unauthorized, Forbidden) as error:
        await close(socket, POLICY_VIOLATION, f"authentication failed: {error}")
        return False
    await socket.send_json({"type": "auth_success"})
    return True


async def _admit(socket: WebSocket, check: Check) -> None:
    """Keep the caller as `socket.state.principal`. Raises `Unauthorized` and `Forbidden`."""
    authenticator: Authenticator = socket.app.state.authenticator
    principal = await check(authenticator, address_of(socket))
    authenticator.check_role(principal, socket.scope["endpoint"])
    socket.state.principal = principal
    socket.state.check = check


async def _until_refused(socket: WebSocket) -> None:
    """Return when the credentials with which `socket` was opened are taken no longer."""
    authenticator: Authenticator = socket.app.state.authenticator
    while True:
        await asyncio.sleep(CACHE_SECONDS)
        with suppress(SQLAlchemyError, OSError):  # the database is away: that tells nothing
            try:
                await socket.state.check(authenticator, None)
            except Unauthorized:
                return


@asynccontextmanager
async def closed_when_refused(socket: WebSocket) -> AsyncIterator[None]:
    """Close `socket`, within seconds, when its credentials end before the block does."""

    async def watch() -> None:
        await _until_refused(socket)
        await close(socket, POLICY_VIOLATION, "the credentials are taken no longer")

    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()


class BadFrame(Exception):
    """A frame that must come is missing or not what it should be."""


async def read_frame(socket: WebSocket, shape: type[Frame]) -> Frame:
    """The next frame. Raises `BadFrame`, also when none comes in time."""
    try:
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            text = await _receive(socket)
        if text is None:
            raise WebSocketDisconnect
        return shape.model_validate_json(text)
    except TimeoutError:
        raise BadFrame("no frame in time") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise BadFrame(f"{place}: {problem['msg']}") from None


async def texts(socket: WebSocket) -> AsyncIterator[str | bytes]:
    """What the client sends, until it leaves."""
    while (text := await _receive(socket)) is not None:
        yield text


async def _receive(socket: WebSocket) -> str | bytes | None:
    """The next frame; None when the client has left."""
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        return None
    text: str | None = message.get("text")
    return message["bytes"] if text is None else text


async def send_all(
    socket: WebSocket, messages: AsyncIterator[str], subscription: Subscription[Any]
) -> None:
    """Send `messages` until the client leaves; drop it when its subscription is lost.

    Stock clients then come again and have replayed what they missed. What a client sends itself
    means nothing and is not kept.
    """
    sending = asyncio.create_task(_send(socket, messages))
    leaving = asyncio.create_task(_until_left(socket))
    losing = asyncio.create_task(subscription.lost.wait())
    tasks = (sending, leaving, losing)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if subscription.lost.is_set():
        await close(socket, TRY_AGAIN_LATER, subscription.reason)
        return
    failure = None if sending.cancelled() else sending.exception()
    if failure is not None and not isinstance(failure, WebSocketDisconnect | Lost):
        logger.error("a stream ended", exc_info=failure, extra={"path": socket.url.path})
        await close(socket, INTERNAL_ERROR, "internal error")


async def _send(socket: WebSocket, messages: AsyncIterator[str]) -> None:
    async for message in messages:
        await socket.send_text(message)


async def _until_left(socket: WebSocket) -> None:
    async for _ in texts(socket):
        pass


async def close(socket: WebSocket, code: int, reason: str) -> None:
    """Close `socket`, without waiting for a client that reads nothing."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code, reason.encode("ascii", "replace").decode()[:100])
    except (TimeoutError, RuntimeError, WebSocketDisconnect):
        return  # gone already, or soon
