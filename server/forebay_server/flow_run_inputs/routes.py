"""HTTP of inputs of runs, and of resuming, which takes one: parse, call, return."""

from typing import Annotated
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import Field

from forebay.wire.base import JsonObject, Lenient, Text
from forebay.wire.flow_run_inputs import FlowRunInput, FlowRunInputCreate
from forebay.wire.states import Verdict
from forebay_server.db.criteria import MAX_VALUES
from forebay_server.errors import NotFound
from forebay_server.flow_run_inputs import queries, resuming
from forebay_server.flow_runs.callers import caller
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit

router = api_router("Flow runs", "/flow_runs")


class InputQuery(Lenient):
    """Which inputs of a run."""

    prefix: Text
    exclude_keys: Annotated[list[Text], Field(max_length=MAX_VALUES)] | None = None
    limit: int | None = None


class Resumption(Lenient):
    """What a paused run goes on with."""

    run_input: JsonObject | None = None


@router.post("/{id:uuid}/input", status_code=201, dependencies=[CREATES])
async def create_flow_run_input(id: UUID, body: FlowRunInputCreate, db: Write) -> None:
    """Hand a text to a run under a key that is new to it."""
    await queries.create(db, id, body)


@router.post("/{id:uuid}/input/filter")
async def filter_flow_run_inputs(id: UUID, body: InputQuery, db: Read) -> list[FlowRunInput]:
    """List the inputs of a run whose keys begin with a prefix, the oldest first; one unless
    more are asked for."""
    limit = 1 if body.limit is None else page_limit(body.limit)
    rows = await queries.filter(db, id, body.prefix, body.exclude_keys or [], limit)
    return [FlowRunInput.model_validate(row) for row in rows]


@router.get("/{id:uuid}/input/{key}", response_class=PlainTextResponse)
async def read_flow_run_input(id: UUID, key: PathName, db: Read) -> Response:
    """Read the text that a run was handed under a key, as it is."""
    value = await queries.read(db, id, key)
    if value is None:
        raise NotFound("Flow run input not found")
    return PlainTextResponse(value)


@router.delete("/{id:uuid}/input/{key}", status_code=204)
async def delete_flow_run_input(id: UUID, key: PathName, db: Write) -> None:
    """Delete an input of a run."""
    await queries.delete(db, id, key)


@router.post("/{id:uuid}/resume", status_code=201, responses={200: {"model": Verdict}})
async def resume_flow_run(
    id: UUID, request: Request, response: Response, db: Write, body: Resumption | None = None
) -> Verdict:
    """Let a paused run go on: it runs again, or is scheduled when its process has ended.

    201 when the run has a new state, else 200.
    """
    given = body.run_input if body else None
    outcome = await resuming.resume(db, id, given, caller(request, id).proposer)
    response.status_code = 201 if outcome.is_written else 200
    return outcome.verdict
