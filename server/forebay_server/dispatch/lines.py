"""Who waits for runs of a pool, and who is called by what. Knows no statement and no HTTP.

A notice calls one of a line, who looks for work; whoever finds less than there may be lets the
next one look. So runs that come call as many as can get some, and while nothing comes nobody
looks at all: the next time at which a run will be due is known from the last look.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from uuid import UUID

from forebay_server.work_pools.notices import WorkNotice

CLOCK_MARGIN_SECONDS = 0.001  # a timer that rings too early makes somebody look in vain

Queues = set[UUID]
NextDue = Mapping[UUID, datetime | None]  # by queue: when its first run yet to come is due


class Waiter:
    """A request in a line; `sees_all` when it asks for every queue of the pool."""

    def __init__(self, *, sees_all: bool) -> None:
        self._sees_all = sees_all
        self._queue_ids: frozenset[UUID] = frozenset()
        self.called = asyncio.Event()

    def see(self, queue_ids: frozenset[UUID]) -> None:
        """Note which queues it looks at."""
        self._queue_ids = queue_ids

    def wants(self, queue_ids: Queues) -> bool:
        """Whether it may get runs of one of these queues."""
        return self._sees_all or not self._queue_ids.isdisjoint(queue_ids)

    def not_seen(self, queue_ids: Queues) -> Queues:
        """Those of the queues that it does not look at."""
        return set() if self._sees_all else queue_ids - self._queue_ids


class Line:
    """Those who wait for runs of one pool and may claim them equally long before their time."""

    def __init__(self, prefetch_seconds: float) -> None:
        self._prefetch_seconds = prefetch_seconds
        self._loop = asyncio.get_running_loop()
        self._waiters: dict[Waiter, None] = {}
        self._looking: Waiter | None = None
        self._fresh: Queues = set()  # may have work that nobody has looked for
        self._due: dict[UUID, float] = {}  # when a queue's next run is claimable, by the loop
        self._clock_offset = 0.0  # from the loop's time to the database's
        self._timer: asyncio.TimerHandle | None = None
        self.queue_ids: Queues = set()  # that anybody here has seen

    def __len__(self) -> int:
        return len(self._waiters)

    def join(self, waiter: Waiter) -> None:
        """Let it wait, behind the others."""
        self._waiters[waiter] = None

    def leave(self, waiter: Waiter) -> None:
        """Let it go; if it was its turn, it is another's."""
        del self._waiters[waiter]
        if self._looking is waiter:
            self._looking = None
        self._call_next()
        if not self._waiters:
            self._due.clear()
            self._set_timer()

    @contextmanager
    def looking(self) -> Iterator[Queues]:
        """The queues for which the waiter that was called looks; if it fails, another must."""
        looked_for, self._fresh = self._fresh, set()
        try:
            yield looked_for
        except BaseException:
            self._fresh |= looked_for
            raise

    def learn(
        self, waiter: Waiter, looked_for: Queues, next_due: NextDue, now: datetime, *, is_cut: bool
    ) -> None:
        """Take over what a waiter found at `now` of the database.

        The queues that it saw hold no more work, unless its look was cut short.
        """
        waiter.see(frozenset(next_due))
        self.queue_ids.update(next_due)
        self._clock_offset = now.timestamp() - self._loop.time()
        for queue_id, due in next_due.items():
            self._due.pop(queue_id, None)
            if due is not None:
                self._due[queue_id] = self._claimable_at(due)
        self._set_timer()
        self._fresh |= looked_for if is_cut else waiter.not_seen(looked_for)

    def end_turn(self, waiter: Waiter) -> None:
        """Let the next one be called; this one goes on waiting."""
        if self._looking is waiter:
            self._looking = None
        self._call_next()

    def tell(self, notice: WorkNotice) -> None:
        """Take over what was committed, and call who may get something now."""
        queue_id = notice.queue_id
        if queue_id is None:
            self._fresh |= self.queue_ids
        else:
            self.queue_ids.add(queue_id)
            now = self._loop.time()
            at = now if notice.due is None else self._claimable_at(notice.due)
            if at <= now:
                self._fresh.add(queue_id)
            elif at < self._due.get(queue_id, float("inf")):
                self._due[queue_id] = at
                self._set_timer()
        self._call_next()

    def call_all(self) -> None:
        """Call everybody, because the waiting is over."""
        for waiter in self._waiters:
            waiter.called.set()

    def _call_next(self) -> None:
        if self._looking is not None or not self._fresh:
            return
        for waiter in self._waiters:
            if waiter.wants(self._fresh):
                self._looking = waiter
                waiter.called.set()
                return
        self._fresh.clear()

    def _claimable_at(self, due: datetime) -> float:
        at = due.timestamp() - self._clock_offset - self._prefetch_seconds
        return at + CLOCK_MARGIN_SECONDS

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._due:
            self._timer = self._loop.call_at(min(self._due.values()), self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        ready = {queue_id for queue_id, at in self._due.items() if at <= now}
        for queue_id in ready:
            del self._due[queue_id]
        self._set_timer()
        self._fresh |= ready
        self._call_next()
