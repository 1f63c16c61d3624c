"""HTTP and websockets of events: parse, call, return."""

import logging
from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Request, Response, WebSocket
from pydantic import ValidationError
from starlette.websockets import WebSocketDisconnect

from forebay.wire.base import Lenient
from forebay.wire.events import Event, ReceivedEvent
from forebay_server import sockets
from forebay_server.access.roles import Principal
from forebay_server.claims import heartbeats
from forebay_server.db.engine import Database
from forebay_server.events import belonging, queries
from forebay_server.events.filters import EventFilter
from forebay_server.events.recorder import Recorder
from forebay_server.events.streaming import Stream
from forebay_server.protocol import API, Write, api_router

logger = logging.getLogger(__name__)

router = api_router("Events", "/events")
streams = APIRouter(prefix=f"{API}/events")  # websockets see to their authentication themselves

MAX_EVENTS = 1_000  # in one request
MAX_FRAME_BYTES = 1_500_000  # source: Prefect 3.8.4 `PREFECT_EVENTS_MAXIMUM_SIZE_BYTES`


class FilterFrame(Lenient):
    """What a client of `/events/out` sends after the handshake."""

    type: Literal["filter"]
    filter: EventFilter
    backfill: bool = True


@router.post("", status_code=204)
async def create_events(
    events: Annotated[list[Event], Body(max_length=MAX_EVENTS)], request: Request, db: Write
) -> Response:
    """Store events; one whose id is known already is left out.

    So is, of what a worker's token sends, one about a run of another pool.
    """
    database: Database = request.app.state.database
    principal: Principal = request.state.principal
    told = [each for each in events if await belonging.may_tell(database, principal, each)]
    await queries.create(db, told)
    await heartbeats.renew(db, told)
    return Response(status_code=204)


@streams.websocket("/in")
async def receive_events(socket: WebSocket) -> None:
    """Store the event in each frame; a frame without one is counted, logged and ignored."""
    recorder: Recorder = socket.app.state.recorder
    database: Database = socket.app.state.database
    refused = 0
    try:
        if not await sockets.open_socket(socket):
            return
        async with sockets.closed_when_refused(socket):
            async for text in sockets.texts(socket):
                try:
                    event = _event(text)
                    if not await belonging.may_tell(database, socket.state.principal, event):
                        raise ValueError("about a run of another pool")
                    await recorder.add(event, len(text))
                except ValueError as error:
                    refused += 1
                    logger.warning("not an event: %s", error, extra={"refused": refused})
    except WebSocketDisconnect:
        return


def _event(text: str | bytes) -> Event:
    """The event in a frame. Raises `ValueError`, whose text repeats nothing of the frame."""
    if len(text) > MAX_FRAME_BYTES:
        raise ValueError(f"larger than {MAX_FRAME_BYTES} bytes")
    try:
        return Event.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ValueError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None


@streams.websocket("/out")
async def send_events(socket: WebSocket) -> None:
    """Send stored events that fulfil the client's filter, then those that come."""
    stream: Stream = socket.app.state.event_stream
    try:
        if not await sockets.open_socket(socket):
            return
        frame = await sockets.read_frame(socket, FilterFrame)
        with stream.followed(frame.filter, replays=frame.backfill) as (subscription, events):
            principal: Principal = socket.state.principal
            messages = _messages(belonging.seen(socket.app.state.database, principal, events))
            async with sockets.closed_when_refused(socket):
                await sockets.send_all(socket, messages, subscription)
    except sockets.BadFrame as error:
        await sockets.close(socket, sockets.PROTOCOL_ERROR, f"expected a filter: {error}")
    except WebSocketDisconnect:
        return


async def _messages(events: AsyncIterator[ReceivedEvent]) -> AsyncIterator[str]:
    async for event in events:
        yield f'{{"type":"event","event":{event.model_dump_json()}}}'
