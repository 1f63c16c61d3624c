"""How long a worker may go on without an answer of the server. By the monotonic clock."""

import asyncio
import time

HEARTBEAT_SECONDS = 5
HEARTBEATS_PER_LEASE = 4  # what the server gives a worker that beats every 1 to 5 seconds


class Leases:
    """The leases of a worker's claims, which its heartbeats renew all at once."""

    def __init__(self, heartbeat_seconds: int = HEARTBEAT_SECONDS) -> None:
        self.heartbeat_seconds = heartbeat_seconds
        self._length = float(HEARTBEATS_PER_LEASE * heartbeat_seconds)
        self._renewed_at = time.monotonic()  # before it, there is nothing to lose
        self._renewed = asyncio.Event()

    @property
    def is_fenced(self) -> bool:
        """Whether nothing may be started: the leases may run out meanwhile."""
        return time.monotonic() - self._renewed_at > self._length * 2 / 3

    def renew(self, at: float) -> None:
        """Take note of a heartbeat that was sent then, by `time.monotonic`, and has arrived."""
        self._renewed_at = at
        self._renewed.set()

    async def until_renewed(self) -> None:
        """Return after the next renewal."""
        self._renewed.clear()
        await self._renewed.wait()

    async def until_over(self) -> None:
        """Return when the leases have run out; a process that stood still finds out at once."""
        while (left := self._renewed_at + self._length - time.monotonic()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(left)
