"""Claims of many runs at once. A Forebay extension: other servers answer 404 or 405."""

from forebay.calls import Call, call, segment
from forebay.wire.claims import ClaimRequest, Claims


def take(pool_name: str, request: ClaimRequest) -> Call[Claims]:
    """Claim the next runs of a pool, by queue priority and time; may wait for them.

    Under the name of an attempt it may be sent again: the claims stay the same.
    """
    path = f"/work_pools/{segment(pool_name)}/claim"
    is_named = request.attempt is not None
    return call("POST", path, Claims, request, is_repeatable=is_named)
