"""HTTP of logs: parse, call, return."""

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Response, WebSocket
from starlette.websockets import WebSocketDisconnect

from forebay.wire.base import Lenient
from forebay.wire.logs import Log, LogCreate
from forebay_server import sockets
from forebay_server.access.objects import runs_of_caller
from forebay_server.db.engine import Transaction
from forebay_server.idempotency.keys import CREATES
from forebay_server.logs import queries, streaming
from forebay_server.logs.filters import LogFilter, LogSort
from forebay_server.protocol import API, Read, Write, api_router, page_limit, page_offset

router = api_router("Logs", "/logs")
streams = APIRouter(prefix=f"{API}/logs")  # websockets see to their authentication themselves

MAX_LINES = 25_000  # in one request; a batch of a stock client has 4 MB, 200 bytes a line
Lines = Annotated[list[LogCreate], Body(max_length=MAX_LINES)]


class LogQuery(Lenient):
    """Which lines, in which order."""

    logs: LogFilter | None = None
    sort: LogSort | None = None
    limit: int | None = None
    offset: int | None = None


class FilterFrame(Lenient):
    """What a client of `/logs/out` sends after the handshake."""

    type: Literal["filter"]
    filter: LogFilter


@router.post("/", status_code=201, dependencies=[CREATES], response_class=Response)
async def create_logs(lines: Lines, db: Write) -> Response:
    """Store lines; the runs that they name need not exist.

    Of what a worker's token sends, lines of runs that are not of its pool are left out; of what
    the token of a run sends, those of other runs.
    """
    await queries.create(db, await _allowed(db, lines))
    return Response(status_code=201)


async def _allowed(db: Transaction, lines: list[LogCreate]) -> list[LogCreate]:
    if db.pool_id is None:
        return lines
    named = {line.flow_run_id for line in lines if line.flow_run_id is not None}
    known = await runs_of_caller(db, named)
    return [line for line in lines if line.flow_run_id is None or line.flow_run_id in known]


@router.post("/filter")
async def filter_logs(db: Read, body: LogQuery | None = None) -> list[Log]:
    """Lines that fulfil all criteria, at most 200 a page."""
    query = body or LogQuery()
    rows = await queries.filter(
        db,
        query.logs or LogFilter(),
        query.sort or LogSort.TIMESTAMP_ASC,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return [Log.model_validate(row) for row in rows]


@streams.websocket("/out")
async def send_logs(socket: WebSocket) -> None:
    """Send stored lines that fulfil the client's filter, then those that come."""
    try:
        if not await sockets.open_socket(socket):
            return
        frame = await sockets.read_frame(socket, FilterFrame)
        with streaming.followed(socket.app.state.database, frame.filter) as (subscription, lines):
            async with sockets.closed_when_refused(socket):
                await sockets.send_all(socket, _messages(lines), subscription)
    except sockets.BadFrame as error:
        await sockets.close(socket, sockets.PROTOCOL_ERROR, f"expected a filter: {error}")
    except WebSocketDisconnect:
        return


async def _messages(lines: AsyncIterator[Log]) -> AsyncIterator[str]:
    async for line in lines:
        yield f'{{"type":"log","log":{line.model_dump_json()}}}'
