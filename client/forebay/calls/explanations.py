"""Why runs wait. A Forebay extension."""

from uuid import UUID

from forebay.calls import Call, call, segment
from forebay.wire.explanations import Explanation


def of_run(id: UUID) -> Call[Explanation]:
    """Why a run has not begun."""
    return call("GET", f"/flow_runs/{id}/explain", Explanation)


def of_pool(name: str) -> Call[Explanation]:
    """Why a pool gives no run now."""
    return call("GET", f"/work_pools/{segment(name)}/explain", Explanation)


def of_queue(id: UUID) -> Call[Explanation]:
    """Why a queue gives no run now."""
    return call("GET", f"/work_queues/{id}/explain", Explanation)
