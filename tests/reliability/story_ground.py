"""The ground of a story: pools and queues that change, time that passes, and the comparison.

A story is a state machine of hypothesis; its steps go to two servers and to the oracle.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.reliability.oracle import Oracle, Pool, Queue, Run
from tests.reliability.sides import Answer, Sides

LIMITS = st.sampled_from([None, 0, 1, 1, 2, 3])
INDEXES = st.integers(0, 7)


@dataclass
class Tally:
    """What all stories together have shown."""

    steps: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    worlds: set[int] = field(default_factory=set)  # states of everything, as numbers
    states: set[str] = field(default_factory=set)  # of runs: type, name, and whether it is held
    answers: Counter[str] = field(default_factory=Counter)


class StoryGround(RuleBasedStateMachine):
    """What two workers, two pools and their users do, in any order."""

    def __init__(self, runner: asyncio.Runner, sides: Sides, tally: Tally) -> None:
        super().__init__()
        self._runner, self._sides, self._tally = runner, sides, tally
        self._made = 0

    @initialize(
        limit=st.sampled_from([None, 2, 1]), on_lost=st.sampled_from(["crash", "reschedule"])
    )
    def begin(self, limit: int | None, on_lost: str) -> None:
        self._runner.run(self._sides.begin())
        self.oracle = Oracle(self._sides.clock.now())
        self._create_pool("p1", limit, on_lost)
        self._populate(self._pool(0))
        self._advance(0.1)  # the services have looked before

    # --------------------------------------------------------------------- pools and queues

    @rule(name=st.sampled_from(["p1", "p2"]), limit=LIMITS)
    def create_pool(self, name: str, limit: int | None) -> None:
        self._create_pool(name, limit, "reschedule")

    def _create_pool(self, name: str, limit: int | None, on_lost: str) -> None:
        body = {"name": name, "type": "process", "concurrency_limit": limit, "on_lost": on_lost}
        self._agrees("POST", "/work_pools/", body, self.oracle.create_pool(name, limit, on_lost))

    @precondition(lambda self: self.oracle.pools)
    @rule(
        pool=INDEXES,
        name=st.sampled_from(["q1", "q2"]),
        limit=LIMITS,
        priority=st.sampled_from([None, 1, 2]),
    )
    def create_queue(self, pool: int, name: str, limit: int | None, priority: int | None) -> None:
        at = self._pool(pool)
        expected = self.oracle.create_queue(at, name, limit, priority)
        body = {"name": name, "concurrency_limit": limit, "priority": priority}
        self._agrees("POST", f"/work_pools/{at.name}/queues", body, expected)

    @precondition(lambda self: self.oracle.pools)
    @rule(
        pool=INDEXES,
        queue=INDEXES,
        of_queue=st.booleans(),
        what=st.sampled_from(["limit", "limit", "pause", "resume", "priority"]),
        limit=LIMITS,
    )
    def change(self, pool: int, queue: int, of_queue: bool, what: str, limit: int | None) -> None:
        at = self._pool(pool)
        of = self._queue(at, queue)
        place = of if of_queue else at
        path = _path(at, of) if of_queue else f"/work_pools/{at.name}"
        body: dict[str, Any]
        if what == "limit":
            place.limit = limit
            body = {"concurrency_limit": limit}
        elif what == "priority":
            of.priority = at.place(limit or 1, moved=of)
            path, body = _path(at, of), {"priority": limit or 1}
        else:
            place.is_paused = what == "pause"
            body = {"is_paused": place.is_paused}
        self._agrees("PATCH", path, body, 204)

    @precondition(lambda self: self.oracle.pools)
    @rule(pool=INDEXES, queue=INDEXES, chance=INDEXES)
    def delete_place(self, pool: int, queue: int, chance: int) -> None:
        if chance > 2:  # not too often, or there is little to see
            return
        at = self._pool(pool)
        if chance == 0:
            self._agrees("DELETE", f"/work_pools/{at.name}", None, self.oracle.delete_pool(at))
            return
        of = self._queue(at, queue)
        self._agrees("DELETE", _path(at, of), None, self.oracle.delete_queue(at, of))

    @precondition(lambda self: self.oracle.pools)
    @rule(pool=INDEXES)
    def read_slots(self, pool: int) -> None:
        at = self._pool(pool)
        answer = self._send("POST", f"/work_pools/{at.name}/concurrency_status", {})
        assert answer.status == 200
        queues = sorted(at.queues.values(), key=lambda queue: queue.priority)
        expected = [(queue.name, queue.limit, self.oracle.held(queue)) for queue in queues]
        told = [
            (queue["queue_name"], queue["concurrency_limit"], queue["active_slots"])
            for queue in answer.body["queues"]
        ]
        assert (answer.body["active_slots"], told) == (self.oracle.held(at), expected)

    # --------------------------------------------------------------------------------- time

    @rule(seconds=st.sampled_from([1.3, 4.9, 9.7]), times=st.sampled_from([1, 1, 3, 10]))
    def pass_time(self, seconds: float, times: int) -> None:
        for _ in range(times):
            self._advance(seconds)

    @rule()
    def be_away(self) -> None:
        self._advance(123.4)

    def _advance(self, seconds: float) -> None:
        self._runner.run(self._sides.advance(seconds))
        self.oracle.now = self._sides.clock.now()
        self.oracle.sweep()

    # --------------------------------------------------------------------------- after each

    @invariant()
    def rows_are_as_expected(self) -> None:
        """Both databases hold what the model holds; so each claim is counted, and none leaks."""
        if not hasattr(self, "oracle"):
            return
        self._tally.steps += 1
        rows = self._runner.run(self._sides.rows())
        expected = [_row(run) for run in self.oracle.runs.values()]
        told = [tuple(row) for row in rows]
        assert told == expected, f"rows     {told}\nexpected {expected}"
        self._tally.states |= {f"{run.type} {run.state}" for run in self.oracle.runs.values()}
        self._tally.worlds.add(hash(tuple(_shape(run) for run in self.oracle.runs.values())))

    # ------------------------------------------------------------------------------ details

    def _populate(self, pool: Pool) -> None:
        """Make the first runs."""
        raise NotImplementedError

    def _send(
        self, method: str, path: str, body: Any, *, new: str | None = None, **headers: str
    ) -> Answer:
        return self._runner.run(self._sides.send(method, path, body, new=new, **headers))

    def _agrees(self, method: str, path: str, body: Any, expected: int) -> Answer:
        answer = self._send(method, path, body)
        assert answer.status == expected, f"{method} {path} {body}: {shown(answer)}"
        return answer

    def _held(self) -> list[Run]:
        return [run for run in self.oracle.runs.values() if run.claim is not None]

    def _pools(self) -> list[Pool]:
        return [*self.oracle.pools.values()]

    def _pool(self, index: int) -> Pool:
        return self._pools()[index % len(self.oracle.pools)]

    def _queue(self, pool: Pool, index: int) -> Queue:
        return [*pool.queues.values()][index % len(pool.queues)]

    def _run(self, index: int) -> Run:
        return [*self.oracle.runs.values()][index % len(self.oracle.runs)]

    def _new_id(self) -> UUID:
        self._made += 1
        return UUID(int=self._made)


def _path(pool: Pool, queue: Queue) -> str:
    return f"/work_pools/{pool.name}/queues/{queue.name}"


def shown(answer: Answer) -> str:
    """An answer, for a message."""
    return f"{answer.status} {answer.body}"


def _row(run: Run) -> tuple[str, ...]:
    claim = run.claim
    held = (claim.epoch, claim.started, claim.worker) if claim else (None, None, None)
    expires = claim.expires if claim else None
    what = (run.name, run.type, run.state, run.stamp, run.epoch, run.rescues, run.infrastructure)
    return tuple(map(str, (*what, *held, expires)))


def _shape(run: Run) -> tuple[Any, ...]:
    claim = (run.claim.worker, run.claim.epoch) if run.claim else None
    return (run.type, run.state, run.queue and run.queue.name, claim, run.rescues)
