"""Concurrency limits. Source: Prefect 3.8.4 `/v2/concurrency_limits`, `/concurrency_limits`."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from forebay.calls import KEY_HEADER, Call, call, segment
from forebay.wire.concurrency_limits import (
    DEFAULT_LEASE_SECONDS,
    ConcurrencyLease,
    ConcurrencyLeaseHolder,
    GlobalConcurrencyLimit,
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    NewGlobalConcurrencyLimit,
    TagConcurrencyLimit,
    TagConcurrencyLimitCreate,
)


def create(
    body: GlobalConcurrencyLimitCreate, *, idempotency_key: str | None = None
) -> Call[NewGlobalConcurrencyLimit]:
    """Create a limit. 409 when the name is taken."""
    headers = {KEY_HEADER: idempotency_key} if idempotency_key else None
    path = "/v2/concurrency_limits/"
    return call("POST", path, NewGlobalConcurrencyLimit, body, headers=headers)


def read(id_or_name: UUID | str) -> Call[GlobalConcurrencyLimit]:
    """One limit by id or name."""
    path = f"/v2/concurrency_limits/{segment(id_or_name)}"
    return call("GET", path, GlobalConcurrencyLimit)


def update(id_or_name: UUID | str, body: GlobalConcurrencyLimitUpdate) -> Call[None]:
    """Change the fields that are set on `body`."""
    path = f"/v2/concurrency_limits/{segment(id_or_name)}"
    return call("PATCH", path, None, body, is_repeatable=True)


def delete(id_or_name: UUID | str) -> Call[None]:
    """Delete a limit; whoever holds a slot of it goes on."""
    return call("DELETE", f"/v2/concurrency_limits/{segment(id_or_name)}")


def filter(*, limit: int | None = None, offset: int = 0) -> Call[list[GlobalConcurrencyLimit]]:
    """Limits by name; at most 200 a page."""
    body = {"limit": limit, "offset": offset}
    path = "/v2/concurrency_limits/filter"
    return call("POST", path, list[GlobalConcurrencyLimit], body, is_repeatable=True)


def take(
    names: Sequence[str],
    slots: int = 1,
    *,
    lease_seconds: float = DEFAULT_LEASE_SECONDS,
    holder: ConcurrencyLeaseHolder | None = None,
    idempotency_key: str | None = None,
) -> Call[ConcurrencyLease]:
    """Take slots of every limit named, or of none: 423 when one has too few."""
    body: dict[str, Any] = {
        "names": list(names),
        "slots": slots,
        "lease_duration": lease_seconds,
        "holder": holder.model_dump(mode="json") if holder else None,
    }
    headers = {KEY_HEADER: idempotency_key} if idempotency_key else None
    path = "/v2/concurrency_limits/increment-with-lease"
    return call("POST", path, ConcurrencyLease, body, headers=headers)


def renew(lease_id: UUID, lease_seconds: float = DEFAULT_LEASE_SECONDS) -> Call[None]:
    """Keep a lease from running out. 410 when it has."""
    path = f"/v2/concurrency_limits/leases/{lease_id}/renew"
    return call("POST", path, None, {"lease_duration": lease_seconds}, is_repeatable=True)


def give_back(lease_id: UUID) -> Call[None]:
    """End a lease; one that has ended already is no error."""
    path = "/v2/concurrency_limits/decrement-with-lease"
    return call("POST", path, None, {"lease_id": str(lease_id)}, is_repeatable=True)


def set_tag_limit(body: TagConcurrencyLimitCreate) -> Call[TagConcurrencyLimit]:
    """Limit the task runs of a tag, anew or to another number."""
    return call("POST", "/concurrency_limits/", TagConcurrencyLimit, body, is_repeatable=True)


def read_tag_limit(tag: str) -> Call[TagConcurrencyLimit]:
    """The limit of a tag, with the task runs that hold its slots."""
    return call("GET", f"/concurrency_limits/tag/{segment(tag)}", TagConcurrencyLimit)


def delete_tag_limit(tag: str) -> Call[None]:
    """Delete the limit of a tag."""
    return call("DELETE", f"/concurrency_limits/tag/{segment(tag)}")


def filter_tag_limits(
    *, limit: int | None = None, offset: int = 0
) -> Call[list[TagConcurrencyLimit]]:
    """Limits of tags by tag; at most 200 a page."""
    body = {"limit": limit, "offset": offset}
    path = "/concurrency_limits/filter"
    return call("POST", path, list[TagConcurrencyLimit], body, is_repeatable=True)


def reset_tag_limit(tag: str, task_run_ids: Sequence[UUID] | None = None) -> Call[None]:
    """Free every slot of a tag, but for those of the task runs given."""
    override = [str(id) for id in task_run_ids] if task_run_ids is not None else None
    path = f"/concurrency_limits/tag/{segment(tag)}/reset"
    return call("POST", path, None, {"slot_override": override}, is_repeatable=True)
