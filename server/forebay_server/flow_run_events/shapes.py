"""The shape of a state's event, from a row of `queries.selected`. Pure; knows no SQL.

Source: Prefect 3.8.4 `flow_run_state_change_event`.
"""

from collections.abc import Iterator
from datetime import UTC, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from forebay.wire.events import (
    MAX_RELATED,
    RESOURCE_ID,
    RESOURCE_NAME,
    RESOURCE_ROLE,
    ReceivedEvent,
)
from forebay.wire.states import StateType
from forebay_server.events.emit import FLOW_RUN

MAX_MESSAGE = 100_000
CLOSE = timedelta(minutes=5)  # within which an event tells the one that it follows

Labels = dict[str, str]


def event(row: Row[Any]) -> ReceivedEvent:
    """The event of one state."""
    follows = None
    if row.previous_id is not None and row.timestamp - row.previous_timestamp < CLOSE:
        follows = row.previous_id
    initial = None
    if row.previous_id is not None:
        initial = _state(
            row.previous_type, row.previous_name, row.previous_message, row.previous_details
        )
    return ReceivedEvent.model_construct(
        occurred=row.timestamp,
        event=f"{FLOW_RUN}{row.name}",
        resource={
            RESOURCE_ID: f"{FLOW_RUN}{row.flow_run_id}",
            RESOURCE_NAME: row.run_name,
            "prefect.run-count": str(row.run_count),
            "prefect.state-message": (row.message or "")[:MAX_MESSAGE],
            "prefect.state-name": row.name,
            "prefect.state-timestamp": row.timestamp.astimezone(UTC).isoformat(),
            "prefect.state-type": row.type,
        },
        related=[*_related(row)][:MAX_RELATED],
        payload={
            "intended": {"from": row.previous_type, "to": row.type},
            "initial_state": initial,
            "validated_state": _state(row.type, row.name, row.message, row.state_details),
        },
        id=row.id,
        follows=follows,
        received=row.created,
    )


def _state(type: str, name: str, message: str | None, details: dict[str, Any]) -> Labels:
    state = {"type": type, "name": name}
    if message:
        state["message"] = message[:MAX_MESSAGE]
    if type == StateType.PAUSED:
        state["pause_reschedule"] = str(bool(details.get("pause_reschedule"))).lower()
    return state


def _related(row: Row[Any]) -> Iterator[Labels]:
    yield _resource("flow", row.flow_id, row.flow_name)
    if row.deployment_id is not None:
        yield _resource("deployment", row.deployment_id, row.deployment_name)
    if row.queue_id is not None:
        yield _resource("work-queue", row.queue_id, row.queue_name)
    if row.pool_id is not None:
        pool = _resource("work-pool", row.pool_id, row.pool_name)
        yield pool | {"prefect.work-pool.type": row.pool_type}
    creator = (row.created_by or {}).get("type", "").lower()
    if creator in ("deployment", "automation"):
        resource = {
            RESOURCE_ID: f"prefect.{creator}.{row.created_by['id']}",
            RESOURCE_ROLE: "creator",
        }
        name = row.created_by.get("display_value")
        yield resource | ({RESOURCE_NAME: name} if name else {})
    # Last, so that many tags cost no other resource its place.
    for tag in sorted({*row.run_tags, *row.flow_tags, *(row.deployment_tags or ())}):
        yield {RESOURCE_ID: f"prefect.tag.{tag}", RESOURCE_ROLE: "tag"}


def _resource(kind: str, id: UUID, name: str) -> Labels:
    return {RESOURCE_ID: f"prefect.{kind}.{id}", RESOURCE_ROLE: kind, RESOURCE_NAME: name}
