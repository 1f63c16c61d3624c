"""How long a claim lives without a sign of its worker. Pure."""

MIN_LEASE_SECONDS = 20.0  # of a worker that beats every 5 seconds, or less often
DEFAULT_INTERVAL_SECONDS = 30.0  # of stock workers, and of those who announce none
INTERVALS_PER_LEASE = 3
MOST_INTERVALS_PER_LEASE = 4  # who beats often is missed soon


def lease_seconds(heartbeat_interval_seconds: float | None) -> float:
    """The lease of a claim whose worker announced this interval: it outlasts two lost beats."""
    interval = heartbeat_interval_seconds or DEFAULT_INTERVAL_SECONDS
    least = min(MIN_LEASE_SECONDS, MOST_INTERVALS_PER_LEASE * interval)
    return max(least, INTERVALS_PER_LEASE * interval)
