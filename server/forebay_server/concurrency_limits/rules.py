"""Whether slots can be taken, and how long to wait for them. Knows neither HTTP nor SQL."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from forebay_server.errors import Invalid

MAX_DRAIN_SECONDS = 10**9  # of a full limit, about 31 years; beyond it nothing decays in effect
MAX_WAIT_SECONDS = 30.0  # what a caller is asked to wait; leases may run out before their time
MIN_WAIT_SECONDS = 0.1
OCCUPANCY_WEIGHT = 0.1  # of the slot given back last, in the average

_TOLERANCE = 1e-3  # slots; times are kept in microseconds, so levels are not exact


@dataclass(frozen=True)
class Limit:
    """A limit that is locked, with what was taken when the lock was got."""

    id: UUID
    name: str
    limit: int
    taken: float
    slot_decay_per_second: float = 0.0
    avg_slot_occupancy_seconds: float = 2.0

    @property
    def decays(self) -> bool:
        """Whether its slots become free by time alone."""
        return self.slot_decay_per_second > 0

    @property
    def free(self) -> int:
        """Slots that can be taken now."""
        return max(0, math.floor(self.limit - self.taken + _TOLERANCE))


def level(drained_at: datetime | None, decay: float, at: datetime) -> float:
    """Slots still taken of a limit that decays."""
    if drained_at is None:
        return 0.0
    return max(0.0, (drained_at - at).total_seconds()) * decay


def drained_at(taken: float, decay: float, at: datetime) -> datetime:
    """When `taken` slots will have decayed."""
    return at + timedelta(seconds=min(taken / decay, MAX_DRAIN_SECONDS))


def shown(taken: float) -> int:
    """Slots taken as a whole number: one that has not wholly decayed counts."""
    return math.ceil(taken - _TOLERANCE)


def check_decay(limit: int, decay: float) -> None:
    """Raise `Invalid` for a decay so slow that it frees nothing in a lifetime."""
    if decay > 0 and max(limit, 1) / decay > MAX_DRAIN_SECONDS:
        raise Invalid(
            f"slot_decay_per_second is too small: {limit} slots would take more than "
            f"{MAX_DRAIN_SECONDS} seconds to decay. Use 0 for slots that are only given back."
        )


def check_request(limits: Iterable[Limit], slots: int, *, is_rate: bool) -> None:
    """Raise `Invalid` for a request that could never be granted."""
    found = list(limits)
    if too_small := [limit.name for limit in found if slots > limit.limit]:
        raise Invalid(
            f"Slots requested is greater than the limit: {slots} of {_quoted(too_small)}."
        )
    undecayed = [limit.name for limit in found if not limit.decays]
    if is_rate and undecayed:
        raise Invalid(
            "Only limits with slot_decay_per_second can be used for rate limiting. "
            f"These have none: {_quoted(undecayed)}."
        )


def blocking(limits: Iterable[Limit], slots: int) -> list[Limit]:
    """The limits that have too few free slots."""
    return [limit for limit in limits if slots > limit.free]


def wait_seconds(limits: Iterable[Limit], slots: int, jitter: float) -> float:
    """When to ask again for `slots` of limits that have too few; `jitter` is 0 to 1.

    Exact where slots decay; else how long slots are usually held, spread out so that those who
    wait do not come back all at once.
    """
    waits = [_wait_seconds(limit, slots, jitter) for limit in limits]
    return max(MIN_WAIT_SECONDS, min(MAX_WAIT_SECONDS, max(waits)))


def _wait_seconds(limit: Limit, slots: int, jitter: float) -> float:
    if limit.decays:
        missing = limit.taken + slots - limit.limit
        return missing / limit.slot_decay_per_second * (1 + jitter / 10)
    return limit.avg_slot_occupancy_seconds * (0.5 + jitter)


def _quoted(names: list[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
