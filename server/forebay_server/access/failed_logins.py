"""How often wrong credentials came from an address lately. Knows no HTTP and no database."""

import ipaddress
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

MOST_FAILURES = 10
WINDOW_SECONDS = 60.0
MOST_ADDRESSES = 4096  # that are remembered; the oldest are forgotten first
MOST_CHARACTERS = 45  # of an address
IPV6_HOST_BITS = 64  # which one client has at least


@dataclass
class _Window:
    """The failures of an address since its first one."""

    begun: float  # of the monotonic clock
    failures: int = 0


class FailedLogins:
    """Counts by client address, in memory, for one process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}  # in order of their beginning

    def add(self, address: str) -> None:
        """Count a failure."""
        network = _network(address)
        window = self._current(network)
        if window is None:
            self._windows.pop(network, None)
            if len(self._windows) >= MOST_ADDRESSES:
                del self._windows[next(iter(self._windows))]
            window = self._windows[network] = _Window(self._clock())
        window.failures += 1

    def seconds_locked(self, address: str) -> int:
        """For how many seconds more no guess counts from there; 0 when the next one does."""
        window = self._current(_network(address)) if self._windows else None
        if window is None or window.failures < MOST_FAILURES:
            return 0
        return math.ceil(window.begun + WINDOW_SECONDS - self._clock())

    def forget(self, address: str) -> None:
        """Count from zero: who is there knows what is right."""
        self._windows.pop(_network(address), None)

    def _current(self, network: str) -> _Window | None:
        window = self._windows.get(network)
        if window is None or self._clock() - window.begun >= WINDOW_SECONDS:
            return None
        return window


def _network(address: str) -> str:
    """What counts as one address: of IPv6 the network, as its clients choose the rest.

    A proxy may tell something else than an address.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:MOST_CHARACTERS]
    if isinstance(parsed, ipaddress.IPv4Address):
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> IPV6_HOST_BITS:x}::"
