"""HTTP of logs: parse, call, return."""

from typing import Annotated

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel

from forebay.wire.logs import Log, LogCreate
from forebay_server.logs import queries
from forebay_server.logs.filters import LogFilter, LogSort
from forebay_server.protocol import Read, Route, Write, page_limit, page_offset

router = APIRouter(prefix="/logs", tags=["Logs"], route_class=Route)

MAX_LINES = 10_000  # in one request
Lines = Annotated[list[LogCreate], Body(max_length=MAX_LINES)]


class LogQuery(BaseModel):
    """Which lines, in which order."""

    logs: LogFilter | None = None
    sort: LogSort | None = None
    limit: int | None = None
    offset: int | None = None


@router.post("/", status_code=201)
async def create_logs(lines: Lines, db: Write) -> Response:
    """Store lines; the runs that they name need not exist."""
    await queries.create(db, lines)
    return Response(status_code=201)


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
