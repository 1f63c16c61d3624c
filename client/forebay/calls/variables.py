"""Variables. Source: Prefect 3.8.4 `/variables`."""

from collections.abc import Sequence
from uuid import UUID

from forebay.calls import KEY_HEADER, Call, call, segment
from forebay.wire.variables import Variable, VariableCreate, VariableUpdate


def create(body: VariableCreate, *, idempotency_key: str | None = None) -> Call[Variable]:
    """Create a variable. 409 when the name is taken."""
    headers = {KEY_HEADER: idempotency_key} if idempotency_key else None
    return call("POST", "/variables/", Variable, body, headers=headers)


def read(id: UUID) -> Call[Variable]:
    """One variable by id."""
    return call("GET", f"/variables/{id}", Variable)


def read_by_name(name: str) -> Call[Variable]:
    """One variable by name."""
    return call("GET", f"/variables/name/{segment(name)}", Variable)


def update(id: UUID, body: VariableUpdate) -> Call[None]:
    """Change the fields that are set on `body`."""
    return call("PATCH", f"/variables/{id}", None, body, is_repeatable=True)


def update_by_name(name: str, body: VariableUpdate) -> Call[None]:
    """Change the fields that are set on `body`."""
    return call("PATCH", f"/variables/name/{segment(name)}", None, body)


def delete(id: UUID) -> Call[None]:
    """Delete a variable."""
    return call("DELETE", f"/variables/{id}")


def delete_by_name(name: str) -> Call[None]:
    """Delete a variable."""
    return call("DELETE", f"/variables/name/{segment(name)}")


def filter(
    *, ids: Sequence[UUID] | None = None, limit: int | None = None, offset: int = 0
) -> Call[list[Variable]]:
    """Variables by name; at most 200 a page."""
    criteria = {"id": {"any_": [str(i) for i in ids]}} if ids is not None else None
    body = {"variables": criteria, "sort": "NAME_ASC", "limit": limit, "offset": offset}
    return call("POST", "/variables/filter", list[Variable], body, is_repeatable=True)
