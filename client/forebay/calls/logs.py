"""Log lines of runs. Source: Prefect 3.8.4 `/logs`."""

from collections.abc import Sequence
from uuid import UUID

from forebay.calls import Call, call
from forebay.wire.logs import Log, LogCreate

MAX_PAGE = 200


def create(lines: Sequence[LogCreate], *, idempotency_key: str | None = None) -> Call[None]:
    """Store lines; the runs that they name need not exist."""
    headers = {"Idempotency-Key": idempotency_key} if idempotency_key else None
    body = [line.model_dump(mode="json", exclude_none=True) for line in lines]
    return call("POST", "/logs/", None, body, headers=headers)


def filter(
    *,
    flow_run_id: UUID | None = None,
    min_level: int | None = None,
    newest_first: bool = False,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[Log]]:
    """Lines by time; at most 200 a page."""
    criteria: dict[str, object] = {}
    if flow_run_id is not None:
        criteria["flow_run_id"] = {"any_": [str(flow_run_id)]}
    if min_level is not None:
        criteria["level"] = {"ge_": min_level}
    body = {
        "logs": criteria or None,
        "sort": "TIMESTAMP_DESC" if newest_first else "TIMESTAMP_ASC",
        "limit": limit,
        "offset": offset,
    }
    return call("POST", "/logs/filter", list[Log], body, is_repeatable=True)
