"""Tells subscribers in this process what was committed. Knows no table.

`Transaction.publish` is the one way in, so that a further way between processes has one place.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

CAPACITY = 5_000  # notices that may wait for one subscriber when more come
MAX_TAKEN = 200  # of them at once


SLOW = "reads too slowly"


class Lost(Exception):
    """Notices were dropped; the text says why."""


@dataclass(frozen=True)
class Topic(Generic[T]):
    """What notices of one kind are about."""

    name: str


class Subscription(Generic[T]):
    """Notices that wait for one subscriber, in order of their commits."""

    def __init__(
        self, wants: Callable[[T], bool], capacity: int, *, is_spared: bool = False
    ) -> None:
        self._wants = wants
        self._capacity = capacity
        self.is_spared = is_spared
        self._waiting: deque[T] = deque()
        self._changed = asyncio.Event()
        self.lost = asyncio.Event()  # set once and for all
        self.reason = ""  # why it is lost

    def offer(self, notices: Sequence[T]) -> None:
        """Keep those that are wanted; when too many wait already, drop all and be `lost`.

        What one commit tells is kept whole, so that a large one drops nobody who is quick.
        """
        wanted = [notice for notice in notices if self._wants(notice)]
        if not wanted or self.lost.is_set():
            return
        if len(self._waiting) >= self._capacity:
            self.lose(SLOW)
            return
        self._waiting.extend(wanted)
        self._changed.set()

    def lose(self, reason: str) -> None:
        """Drop what waits and whatever comes."""
        self._waiting.clear()
        self.reason = self.reason or reason
        self.lost.set()
        self._changed.set()

    async def take(self) -> list[T]:
        """The notices that wait, at least one, at most `MAX_TAKEN`. Raises `Lost`."""
        await self._changed.wait()
        if self.lost.is_set():
            raise Lost(self.reason)
        taken = [self._waiting.popleft() for _ in range(min(MAX_TAKEN, len(self._waiting)))]
        if not self._waiting:
            self._changed.clear()
        return taken


class Broker:
    """The subscriptions of this process."""

    def __init__(self) -> None:
        self._subscriptions: dict[Topic[Any], list[Subscription[Any]]] = {}

    def publish(self, topic: Topic[T], notices: Sequence[T]) -> None:
        """Offer `notices` to every subscriber of `topic`; never waits for one."""
        for subscription in self._subscriptions.get(topic, ()):
            subscription.offer(notices)

    def drop(self, topic: Topic[Any], reason: str) -> None:
        """Have all who follow `topic` be `lost`, but those that are spared."""
        for subscription in self._subscriptions.get(topic, ()):
            if not subscription.is_spared:
                subscription.lose(reason)

    @contextmanager
    def subscribe(
        self,
        topic: Topic[T],
        wants: Callable[[T], bool],
        capacity: int = CAPACITY,
        *,
        is_spared: bool = False,
    ) -> Iterator[Subscription[T]]:
        """A subscription to what is published on `topic` from now until the end of the block.

        One that `is_spared` does not care what other processes publish, and is never dropped.
        """
        subscription: Subscription[T] = Subscription(wants, capacity, is_spared=is_spared)
        subscriptions = self._subscriptions.setdefault(topic, [])
        subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            subscriptions.remove(subscription)
