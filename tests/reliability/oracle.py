"""What the server should answer about pools, queues, runs and claims, told in dicts and loops.

Knows neither HTTP nor SQL nor the server's code: it is written after the guarantees, so that a
difference shows a mistake in one of the two. One thing happens at a time.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

HOLDING = ("PENDING", "RUNNING", "CANCELLING")
TERMINAL = ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")
TICK = timedelta(microseconds=1)


@dataclass(eq=False)
class Queue:
    """A queue; compared by identity, since a name can be used again."""

    name: str
    priority: int
    limit: int | None = None
    is_paused: bool = False


@dataclass(eq=False)
class Pool:
    """A pool with its queues and the workers that were heard of, by name."""

    name: str
    limit: int | None
    on_lost: str
    is_paused: bool = False
    queues: dict[str, Queue] = field(default_factory=dict)
    intervals: dict[str, int | None] = field(default_factory=dict)
    heard: dict[str, datetime] = field(default_factory=dict)

    def lease(self, worker: str | None) -> float:
        """How many seconds a claim of the worker lives without a heartbeat."""
        return max(20.0, 3.0 * (self.intervals.get(worker or "") or 30))

    def is_silent(self, worker: str | None, now: datetime) -> bool:
        """Whether the worker was heard of once, but not for three intervals."""
        if worker is None or worker not in self.heard:
            return False
        allowed = 3 * (self.intervals[worker] or 30)
        return (now - self.heard[worker]).total_seconds() > allowed

    def place(self, wanted: int | None, moved: Queue | None = None) -> int:
        """The priority that a queue gets; who is in its way moves down, up to the next gap."""
        others = [queue for queue in self.queues.values() if queue is not moved]
        taken = {queue.priority for queue in others}
        if wanted is None:
            return min(set(range(1, len(taken) + 2)) - taken)
        end = wanted
        while end in taken:
            end += 1
        for queue in others:
            queue.priority += wanted <= queue.priority < end
        return wanted


@dataclass(eq=False)
class Claim:
    """Who holds a run; the slots are those of the pool and queue that it was claimed on."""

    pool: Pool
    queue: Queue
    holder: str
    worker: str | None
    epoch: int
    lease: float
    expires: datetime
    started: int | None = None
    extensions: int = 0


@dataclass(eq=False)
class Run:
    """A run in its state. `scheduled` is the state's own time, `expected` that of the first."""

    name: str
    number: int
    pool: Pool | None
    queue: Queue | None
    stamp: datetime
    type: str = "SCHEDULED"
    state: str = "Scheduled"
    scheduled: datetime | None = None
    expected: datetime | None = None
    transition: str | None = None
    epoch: int = 0
    claim: Claim | None = None
    infrastructure: str | None = None
    rescues: int = 0

    def enter(
        self,
        type: str,
        now: datetime,
        *,
        name: str | None = None,
        scheduled: datetime | None = None,
        transition: str | None = None,
    ) -> None:
        """Have a new state; the times of states always grow."""
        self.stamp = now if now > self.stamp else self.stamp + TICK
        if type == "SCHEDULED" and scheduled is None:
            scheduled = self.stamp
        self.type, self.state = type, name or type.capitalize()
        self.scheduled, self.transition = scheduled, transition
        if type not in HOLDING:
            self.claim = None

    def take(self, now: datetime, holder: str, worker: str | None) -> None:
        """Be claimed, where the run is on a queue and nobody holds it."""
        if self.pool is None or self.queue is None or self.claim is not None:
            return
        self.epoch += 1
        lease = self.pool.lease(worker)
        expires = now + timedelta(seconds=lease)
        self.claim = Claim(self.pool, self.queue, holder, worker, self.epoch, lease, expires)
        if self.type == "PENDING":
            self.infrastructure = None


@dataclass
class Oracle:
    """Everything that there is, and what comes of each operation."""

    now: datetime
    pools: dict[str, Pool] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    swept: datetime | None = None
    made: int = 0

    # -------------------------------------------------------------------------------- slots

    def held(self, place: Pool | Queue) -> int:
        """How many slots of a pool or a queue are taken."""
        claims = [run.claim for run in self.runs.values() if run.claim is not None]
        return sum(place in (claim.pool, claim.queue) for claim in claims)

    def free(self, place: Pool | Queue) -> int:
        """How many slots are left; very many without a limit."""
        return 10**6 if place.limit is None else max(0, place.limit - self.held(place))

    def due(self, pool: Pool, before: datetime, limit: int, only: str | None = None) -> list[Run]:
        """The runs that may be claimed, in order."""
        if pool.is_paused:
            return []
        found: list[Run] = []
        for queue in sorted(pool.queues.values(), key=lambda queue: queue.priority):
            if queue.is_paused or only not in (None, queue.name):
                continue
            waiting = [
                (run.scheduled, run.number, run)
                for run in self.runs.values()
                if run.queue is queue and run.type == "SCHEDULED" and run.claim is None
                if run.scheduled is not None and run.scheduled <= before
            ]
            found += [run for _, _, run in sorted(waiting)][: self.free(queue)]
        return found[: min(limit, self.free(pool))]

    # ----------------------------------------------------------------------- pools and queues

    def create_pool(self, name: str, limit: int | None, on_lost: str) -> int:
        """The status that the server answers, here and below."""
        if name in self.pools:
            return 409
        self.pools[name] = pool = Pool(name, limit, on_lost)
        pool.queues["default"] = Queue("default", 1)
        return 201

    def create_queue(self, pool: Pool, name: str, limit: int | None, wanted: int | None) -> int:
        """A new queue; others make room before a name turns out to be taken, and go back then."""
        if name in pool.queues:
            return 409
        pool.queues[name] = Queue(name, pool.place(wanted), limit)
        return 201

    def delete_pool(self, pool: Pool) -> int:
        """Runs stay without a queue; claims live on."""
        del self.pools[pool.name]
        for run in self.runs.values():
            if run.pool is pool:
                run.pool = run.queue = None
        return 204

    def delete_queue(self, pool: Pool, queue: Queue) -> int:
        """As a pool; the default queue stays."""
        if queue.name == "default":
            return 409
        del pool.queues[queue.name]
        for run in self.runs.values():
            if run.queue is queue:
                run.pool = run.queue = None
        return 204

    # --------------------------------------------------------------------------------- runs

    def create_run(
        self, name: str, pool: Pool, queue: Queue, type: str, scheduled: datetime | None
    ) -> Run:
        """A run; it is scheduled, and what needs a claim is proposed after that."""
        self.made += 1
        run = self.runs[name] = Run(name, self.made, pool, queue, self.now - TICK)
        is_claimed = type in HOLDING
        run.enter("SCHEDULED", self.now, scheduled=None if is_claimed else scheduled)
        run.expected = run.scheduled
        if is_claimed:
            self.propose(run, type, holder="creator", worker=None)
        return run

    def propose(
        self,
        run: Run,
        type: str,
        *,
        holder: str,
        worker: str | None,
        epoch: int | None = None,
        transition: str | None = None,
        scheduled: datetime | None = None,
    ) -> str:
        """The verdict's status; the run has changed where it says so."""
        claim, current = run.claim, run.type
        is_own = claim is not None and claim.holder == holder
        is_repeat = transition is not None and transition == run.transition
        if transition is None and run.transition is None and worker is not None:
            is_repeat = type == current == "PENDING" and run.state == "Pending" and is_own
        if is_repeat:
            return "ACCEPT" if current == "PENDING" and is_own else "REJECT"
        if epoch is not None and not _is_known(claim, epoch, worker):
            return "ABORT"
        if claim is not None and type == current == "RUNNING":
            return "ABORT"
        if current in TERMINAL and type in ("CANCELLING", "CRASHED", "SCHEDULED"):
            return "ABORT"
        if current == "CANCELLING" and type != "CANCELLED":
            return "REJECT"
        if type == "CANCELLING" and current == "SCHEDULED" and run.infrastructure is None:
            run.enter("CANCELLED", self.now)
            return "REJECT"
        if type == "PENDING":
            is_over = current == "CANCELLED" or (worker is not None and current in TERMINAL)
            if (claim is not None and not is_own) or current in HOLDING or is_over:
                return "ABORT"
        is_waiting = current in ("SCHEDULED", "PENDING")
        if type == "RUNNING" and is_waiting and (run.scheduled or self.now) > self.now:
            return "WAIT"
        if type in HOLDING and claim is None and not self._takes(run, type):
            if current != "SCHEDULED" or type == "CANCELLING":
                return "WAIT"
            later = self.now + timedelta(seconds=10)
            run.enter("SCHEDULED", self.now, name="AwaitingConcurrencySlot", scheduled=later)
            return "REJECT"
        if type == "PENDING" and is_waiting:
            scheduled = run.scheduled
        run.enter(type, self.now, scheduled=scheduled, transition=transition)
        if type in HOLDING:
            run.take(self.now, holder, worker)
        return "ACCEPT"

    def _takes(self, run: Run, type: str) -> bool:
        """Whether pool and queue take the run now; without a queue nothing is asked."""
        if run.pool is None or run.queue is None:
            return True
        is_paused = (run.pool.is_paused or run.queue.is_paused) and type != "CANCELLING"
        return not is_paused and self.free(run.pool) > 0 and self.free(run.queue) > 0

    def claim(self, pool: Pool, worker: str, limit: int, attempt: str) -> list[Run]:
        """Runs that the worker holds from now on, or held already by the same attempt."""
        known = [
            run
            for run in self.runs.values()
            if run.type == "PENDING" and run.transition == attempt and run.claim is not None
            if run.claim.pool is pool and run.claim.worker == worker and run.claim.holder == worker
        ]
        if known:
            # One whose queue was deleted is not on any queue of the pool.
            placed = [run for run in known if run.queue is not None]
            return sorted(placed, key=_place)
        chosen = self.due(pool, self.now, limit)
        for run in chosen:
            run.enter("PENDING", self.now, scheduled=run.scheduled, transition=attempt)
            run.take(self.now, worker, worker)
        return chosen

    # ------------------------------------------------------------------------------- workers

    def heartbeat(
        self, pool: Pool, worker: str, interval: int | None, only: list[str] | None
    ) -> int:
        """The worker's claims live on, or those that it names."""
        pool.intervals[worker] = interval if interval is not None else pool.intervals.get(worker)
        pool.heard[worker] = self.now
        lease = pool.lease(worker)
        for run in self.runs.values():
            claim = run.claim
            if claim is None or claim.pool is not pool or claim.worker != worker:
                continue
            if only is None or run.name in only:
                claim.lease, claim.extensions = lease, 0
                claim.expires = self.now + timedelta(seconds=lease)
        return 204

    def is_left(self, claim: Claim) -> bool:
        """Whether nobody looks after the claim."""
        is_there = self.pools.get(claim.pool.name) is claim.pool
        is_silent = is_there and claim.pool.is_silent(claim.worker, self.now)
        return claim.expires <= self.now or is_silent

    def adopt(self, pool: Pool, run: Run, worker: str, infrastructure: str) -> int:
        """The claim passes on; 409 while its holder is alive or when something else was found."""
        claim = run.claim
        if claim is None or claim.pool is not pool:
            return 409 if run.pool is pool else 404
        is_meant = infrastructure == run.infrastructure
        if not is_meant or not (claim.worker == worker or self.is_left(claim)):
            return 409
        run.epoch += 1
        claim.started = claim.started or claim.epoch
        claim.epoch, claim.holder, claim.worker = run.epoch, worker, worker
        claim.lease = pool.lease(worker)
        claim.expires = self.now + timedelta(seconds=claim.lease)
        return 200

    def adoptable(self, pool: Pool, worker: str) -> list[Run]:
        """Runs that a restarted worker may adopt, the longest dead first."""
        found = [
            (run.claim.expires, run.number, run)
            for run in self.runs.values()
            if run.claim is not None and run.claim.pool is pool and run.infrastructure is not None
            if run.claim.worker == worker or self.is_left(run.claim)
        ]
        return [run for _, _, run in sorted(found)]

    # ---------------------------------------------------------------------------------- time

    def sweep(self) -> None:
        """What services do: lost claims end, unless nobody could have renewed them; runs get late."""
        last, self.swept = self.swept, self.now
        if last is None or self.now - last > timedelta(seconds=10):
            for claim in [run.claim for run in self.runs.values() if run.claim is not None]:
                if claim.extensions < 3:
                    claim.extensions += 1
                    claim.expires = self.now + timedelta(seconds=claim.lease)
        else:
            self._rescue()
        for run in self.runs.values():
            is_late = run.scheduled is not None and run.scheduled <= self.now - timedelta(
                seconds=15
            )
            if run.type == "SCHEDULED" and run.state == "Scheduled" and is_late:
                run.enter("SCHEDULED", self.now, name="Late", scheduled=run.scheduled)

    def _rescue(self) -> None:
        overdue = self.now - timedelta(seconds=300)
        cancelling = [
            run for run in self.runs.values() if run.type == "CANCELLING" and run.stamp <= overdue
        ]
        for run in self.runs.values():
            if run.claim is not None and run.claim.expires <= self.now:
                self._rescue_one(run, run.claim)
        for run in cancelling:
            if run.type == "CANCELLING":
                run.enter("CANCELLED", self.now)

    def _rescue_one(self, run: Run, claim: Claim) -> None:
        if run.type == "CANCELLING":
            if run.infrastructure is None:
                run.enter("CANCELLED", self.now)
            elif self.now - claim.expires >= timedelta(seconds=60):
                run.enter("CRASHED", self.now)
            return
        is_there = self.pools.get(claim.pool.name) is claim.pool
        may_go_on = is_there and claim.pool.on_lost == "reschedule" and run.rescues < 3
        never_began = run.type == "PENDING" and run.infrastructure is None
        if not (may_go_on or never_began):
            run.enter("CRASHED", self.now)
            return
        run.enter("SCHEDULED", self.now)
        run.rescues += 1
        run.infrastructure = None


def _is_known(claim: Claim | None, epoch: int, worker: str | None) -> bool:
    """Whether the epoch is the claim's, or the one that an adopted run was started with."""
    if claim is None:
        return False
    return claim.epoch == epoch or (claim.started == epoch and worker is None)


def _place(run: Run) -> tuple[int, datetime, int]:
    assert run.queue is not None and run.expected is not None
    return run.queue.priority, run.expected, run.number
