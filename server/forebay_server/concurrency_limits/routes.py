"""HTTP of global concurrency limits: parse, call, return."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import true

from forebay.wire.base import Lenient, Text
from forebay.wire.concurrency_limits import (
    DEFAULT_LEASE_SECONDS,
    ConcurrencyLease,
    ConcurrencyLeaseHolder,
    GlobalConcurrencyLimit,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    LeaseSeconds,
    MinimalConcurrencyLimit,
    NewGlobalConcurrencyLimit,
    Slots,
)
from forebay_server.concurrency_limits import queries, slots
from forebay_server.concurrency_limits.tables import concurrency_leases
from forebay_server.db.engine import Transaction
from forebay_server.errors import Gone
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset
from forebay_server.versions import STALE, Guards, Tells

router = api_router("Concurrency limits", "/v2/concurrency_limits")

Names = Annotated[list[Text], Field(min_length=1, max_length=1000)]


class LimitQuery(Lenient):
    """Which page of the limits."""

    limit: int | None = None
    offset: int | None = None


class SlotRequest(Lenient):
    """Slots of several limits at once; in mode `rate_limit` they leave by decay only."""

    names: Names
    slots: Slots
    mode: Literal["concurrency", "rate_limit"] | None = None


class LeaseRequest(SlotRequest):
    """The same until a time, in seconds from now."""

    lease_duration: LeaseSeconds | None = None
    holder: ConcurrencyLeaseHolder | None = None


class SlotReturn(Lenient):
    """Slots that were taken without a lease."""

    names: Names
    slots: Slots
    occupancy_seconds: Annotated[float, Field(gt=0, le=10**9)] | None = None


class LeaseReturn(Lenient):
    """A lease to end."""

    lease_id: UUID


class Renewal(Lenient):
    """How long a lease holds from now on."""

    lease_duration: LeaseSeconds | None = None


@router.post("/", status_code=201, dependencies=[CREATES])
async def create_limit(
    body: GlobalConcurrencyLimitCreate, db: Write, tell: Tells
) -> NewGlobalConcurrencyLimit:
    """Create a concurrency limit."""
    row = await queries.create(db, body)
    if body.active_slots:
        (limit,) = await slots.measure(db, [row])
        await slots.set_taken(db, limit, body.active_slots)
    tell(await _shown(db, str(row.id)))
    return NewGlobalConcurrencyLimit.model_validate(
        {**row._mapping, "active_slots": body.active_slots}
    )


@router.post("/filter")
async def filter_limits(db: Read, body: LimitQuery | None = None) -> list[GlobalConcurrencyLimit]:
    """Concurrency limits by name, at most 200 a page."""
    query = body or LimitQuery()
    at = await db.now()
    limit, offset = page_limit(query.limit), page_offset(query.offset)
    rows = await queries.filter(db, true(), limit, offset)
    return [queries.to_wire(row, at) for row in rows]


@router.post("/increment", dependencies=[CREATES], responses={423: {}})
async def take_slots(body: SlotRequest, db: Write) -> list[MinimalConcurrencyLimit]:
    """Take slots of every limit named, or of none, until they are given back.

    Names without a limit are left out. 423 with `Retry-After` when one has too few free slots.
    """
    is_rate = body.mode == "rate_limit"
    taken = await slots.take(db, body.names, body.slots, slots.Hold(), is_rate=is_rate)
    return queries.to_minimal(taken.limits)


@router.post("/increment-with-lease", dependencies=[CREATES], responses={423: {}})
async def take_slots_with_lease(body: LeaseRequest, db: Write) -> ConcurrencyLease:
    """The same with a lease: when it is not renewed in time, its slots are free again."""
    hold = slots.Hold(body.lease_duration or DEFAULT_LEASE_SECONDS, body.holder)
    is_rate = body.mode == "rate_limit"
    taken = await slots.take(db, body.names, body.slots, hold, is_rate=is_rate)
    return ConcurrencyLease.model_validate(
        {"lease_id": taken.lease_id, "limits": queries.to_minimal(taken.limits)}
    )


@router.post("/decrement")
async def give_slots_back(body: SlotReturn, db: Write) -> list[MinimalConcurrencyLimit]:
    """Give back slots that were taken without a lease."""
    rows = await slots.give_back(db, body.names, body.slots, body.occupancy_seconds)
    return queries.to_minimal(rows)


@router.post("/decrement-with-lease", status_code=204)
async def end_lease(body: LeaseReturn, db: Write) -> None:
    """End a lease and free its slots; one that has ended already is no error."""
    await slots.end_lease(db, body.lease_id)


@router.post("/leases/{lease_id:uuid}/renew", status_code=204, responses={410: {}})
async def renew_lease(lease_id: UUID, db: Write, body: Renewal | None = None) -> None:
    """Keep a lease from running out; 410 when it has, or was ended."""
    seconds = body.lease_duration if body else None
    is_meant = concurrency_leases.c.id == lease_id
    if not await slots.renew(db, is_meant, seconds or DEFAULT_LEASE_SECONDS):
        raise Gone("Lease not found: it has run out or was ended.")


@router.get("/{id_or_name}")
async def read_limit(id_or_name: PathName, db: Read, tell: Tells) -> GlobalConcurrencyLimit:
    """Read a concurrency limit by id or name."""
    return tell(await _shown(db, id_or_name))


async def _shown(db: Transaction, id_or_name: str) -> GlobalConcurrencyLimit:
    row = await queries.read(db, id_or_name)
    return queries.to_wire(row, await db.now())


@router.patch("/{id_or_name}", status_code=204, responses=STALE)
async def update_limit(
    id_or_name: PathName, body: GlobalConcurrencyLimitUpdate, db: Write, version: Guards
) -> None:
    """Change the fields that are present. Lowering the limit takes no slot from anybody."""
    await version.check(queries.lock_named, _shown, db, id_or_name)
    changes: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"denied_slots"})
    row = await queries.lock_named(db, id_or_name)
    await slots.update(db, row, changes)
    version(await _shown(db, str(row.id)))


@router.delete("/{id_or_name}", status_code=204, responses=STALE)
async def delete_limit(id_or_name: PathName, db: Write, version: Guards) -> None:
    """Delete a concurrency limit; whoever holds a slot of it goes on."""
    await version.check(queries.lock_named, _shown, db, id_or_name)
    await queries.delete(db, queries.is_meant(id_or_name), id_or_name)
