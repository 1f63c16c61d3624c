"""HTTP of the limits of tags: parse, call, return."""

from typing import Annotated
from uuid import UUID

from fastapi import Response
from pydantic import Field

from forebay.wire.base import Lenient, Text
from forebay.wire.concurrency_limits import (
    MinimalConcurrencyLimit,
    TagConcurrencyLimit,
    TagConcurrencyLimitCreate,
)
from forebay_server.concurrency_limits import queries, tags
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset

router = api_router("Concurrency limits", "/concurrency_limits")


class TagLimitQuery(Lenient):
    """Which page of the limits."""

    limit: int | None = None
    offset: int | None = None


class Reset(Lenient):
    """The task runs that keep a slot."""

    slot_override: Annotated[list[UUID], Field(max_length=10_000)] | None = None


class TagSlots(Lenient):
    """Tags of a task run."""

    names: Annotated[list[Text], Field(max_length=1000)]
    task_run_id: UUID


@router.post(
    "/", status_code=201, dependencies=[CREATES], responses={200: {"model": TagConcurrencyLimit}}
)
async def set_tag_limit(
    body: TagConcurrencyLimitCreate, response: Response, db: Write
) -> TagConcurrencyLimit:
    """Limit the task runs of a tag; 200 when that tag had a limit, which is changed."""
    limit, is_new = await tags.upsert(db, body)
    response.status_code = 201 if is_new else 200
    return limit


@router.post("/filter")
async def filter_tag_limits(
    db: Read, body: TagLimitQuery | None = None
) -> list[TagConcurrencyLimit]:
    """Limits of tags by tag, at most 200 a page."""
    query = body or TagLimitQuery()
    return await tags.filter(db, page_limit(query.limit), page_offset(query.offset))


@router.post("/increment", responses={423: {}})
async def take_tag_slots(body: TagSlots, db: Write) -> list[MinimalConcurrencyLimit]:
    """Take a slot of each tag for a task run, or of none; 423 with `Retry-After` when full."""
    return queries.to_minimal(await tags.take(db, body.names, body.task_run_id))


@router.post("/decrement")
async def give_tag_slots_back(body: TagSlots, db: Write) -> list[MinimalConcurrencyLimit]:
    """Give back the slots that a task run holds of these tags."""
    return queries.to_minimal(await tags.give_back(db, body.names, body.task_run_id))


@router.get("/tag/{tag}")
async def read_tag_limit(tag: PathName, db: Read) -> TagConcurrencyLimit:
    """Read the limit of a tag, with the task runs that hold its slots."""
    return await tags.read(db, tags.is_of_tag(tag))


@router.delete("/tag/{tag}", response_model=None)
async def delete_tag_limit(tag: PathName, db: Write) -> None:
    """Delete the limit of a tag; the answer is 200 and `null`."""
    await tags.delete(db, tags.is_of_tag(tag))


@router.post("/tag/{tag}/reset", response_model=None)
async def reset_tag_limit(tag: PathName, db: Write, body: Reset | None = None) -> None:
    """Free every slot of a tag; the task runs in `slot_override` get one."""
    await tags.reset(db, tag, (body.slot_override if body else None) or [])


@router.get("/{id:uuid}")
async def read_tag_limit_by_id(id: UUID, db: Read) -> TagConcurrencyLimit:
    """Read the limit of a tag by id."""
    return await tags.read(db, tags.by_id(id))


@router.delete("/{id:uuid}", response_model=None)
async def delete_tag_limit_by_id(id: UUID, db: Write) -> None:
    """Delete the limit of a tag by id; the answer is 200 and `null`."""
    await tags.delete(db, tags.by_id(id))
