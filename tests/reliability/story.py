"""What workers and users do with runs, in any order, and what the oracle says to each step."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.reliability.oracle import Pool, Queue, Run
from tests.reliability.sides import Sides
from tests.reliability.story_ground import INDEXES, StoryGround, Tally, shown

WORKERS = st.sampled_from(["w1", "w2"])
STATES = ("PENDING", "RUNNING", "CANCELLING", "SCHEDULED", "COMPLETED", "CRASHED", "CANCELLED")
MOST_RUNS = 8


@dataclass
class Proposed:
    """A proposal that may be repeated, because its answer was lost."""

    run: str
    type: str
    worker: str | None
    epoch: int | None
    transition: str | None


class Story(StoryGround):
    """What two workers and their users do."""

    def __init__(self, runner: asyncio.Runner, sides: Sides, tally: Tally) -> None:
        super().__init__(runner, sides, tally)
        self._last: Proposed | None = None
        self._last_claim: tuple[Pool, str, int, str] | None = None

    # --------------------------------------------------------------------------------- runs

    @precondition(lambda self: self.oracle.pools and len(self.oracle.runs) < MOST_RUNS)
    @rule(
        pool=INDEXES,
        queue=INDEXES,
        type=st.sampled_from(["SCHEDULED"] * 6 + ["PENDING", "RUNNING"]),
        due=st.sampled_from([-20, -1, -1, 0, 5, 30]),
    )
    def create_run(self, pool: int, queue: int, type: str, due: int) -> None:
        at = self._pool(pool)
        self._create_run(at, self._queue(at, queue), type, due)

    def _populate(self, pool: Pool) -> None:
        for due in (-1, 0, -1, 5):
            self._create_run(pool, self._queue(pool, 0), "SCHEDULED", due)

    def _create_run(self, pool: Pool, queue: Queue, type: str, due: int) -> None:
        self._made += 1
        name = f"r{self._made}"
        state: dict[str, Any] = {"type": type}
        scheduled = None
        if type == "SCHEDULED":
            scheduled = self.oracle.now + timedelta(seconds=due)
            state["state_details"] = {"scheduled_time": scheduled.isoformat()}
        place = {"work_pool_name": pool.name, "work_queue_name": queue.name}
        body = {"flow_id": "<flow>", "name": name, "state": state, **place}
        answer = self._send("POST", "/flow_runs/", body, new=name)
        run = self.oracle.create_run(name, pool, queue, type, scheduled)
        told = answer.body["state"]
        assert (answer.status, told["type"], told["name"]) == (201, run.type, run.state)

    @precondition(lambda self: self.oracle.runs)
    @rule(run=INDEXES, type=st.sampled_from(["PENDING", "RUNNING"]), worker=WORKERS)
    def start(self, run: int, type: str, worker: str) -> None:
        self._last = Proposed(self._run(run).name, type, worker, None, str(self._new_id()))
        self._propose(self._last)

    @precondition(lambda self: self._held())
    @rule(run=INDEXES, type=st.sampled_from(["RUNNING", "COMPLETED", "FAILED", "CANCELLING"]))
    def go_on(self, run: int, type: str) -> None:
        held = self._held()
        about = held[run % len(held)]
        assert about.claim is not None
        self._last = Proposed(about.name, type, about.claim.worker, about.epoch, None)
        self._propose(self._last)

    @precondition(lambda self: self.oracle.runs)
    @rule(
        run=INDEXES,
        type=st.sampled_from(STATES),
        worker=st.sampled_from([None, "w1", "w1", "w2"]),
        claim=st.sampled_from(["", "", "own", "old"]),
        has_transition=st.booleans(),
    )
    def propose(
        self, run: int, type: str, worker: str | None, claim: str, has_transition: bool
    ) -> None:
        about = self._run(run)
        epochs = {"": None, "own": about.epoch, "old": max(0, about.epoch - 1)}
        transition = str(self._new_id()) if has_transition else None
        self._last = Proposed(about.name, type, worker, epochs[claim], transition)
        self._propose(self._last)

    @precondition(lambda self: self._last is not None and self._last.run in self.oracle.runs)
    @rule()
    def propose_again(self) -> None:
        assert self._last is not None
        self._propose(self._last)

    def _propose(self, proposed: Proposed) -> None:
        run = self.oracle.runs[proposed.run]
        details = {"transition_id": proposed.transition} if proposed.transition else {}
        headers = {"x_forebay_worker": proposed.worker} if proposed.worker else {}
        if proposed.epoch is not None:
            headers["x_forebay_claim"] = f"<{run.name}>:{proposed.epoch}"
        body = {"state": {"type": proposed.type, "state_details": details}}
        before = run.stamp
        answer = self._send("POST", f"/flow_runs/<{run.name}>/set_state", body, **headers)
        status = self.oracle.propose(
            run,
            proposed.type,
            holder=proposed.worker or "-",
            worker=proposed.worker,
            epoch=proposed.epoch,
            transition=proposed.transition,
        )
        code = 201 if run.stamp != before else 200
        self._tally.answers[status] += 1
        assert (answer.status, answer.body["status"]) == (code, status), shown(answer)
        if status in ("ACCEPT", "REJECT") and run.stamp != before:
            told = answer.body["state"]
            assert (told["type"], told["name"]) == (run.type, run.state), shown(answer)
        epoch = str(run.claim.epoch) if run.claim and status == "ACCEPT" else None
        seen = answer.claim.split(":")[1] if answer.claim else None
        assert seen == epoch, f"claim {answer.claim}, expected epoch {epoch}"

    @precondition(lambda self: self.oracle.runs)
    @rule(run=INDEXES, infrastructure=st.sampled_from(["i1", "i2"]))
    def record_infrastructure(self, run: int, infrastructure: str) -> None:
        self._record_infrastructure(self._run(run), infrastructure)

    def _record_infrastructure(self, run: Run, infrastructure: str) -> None:
        run.infrastructure = infrastructure
        body = {"infrastructure_pid": infrastructure}
        self._agrees("PATCH", f"/flow_runs/<{run.name}>", body, 204)

    @precondition(lambda self: len(self.oracle.runs) > 1)
    @rule(run=INDEXES)
    def delete_run(self, run: int) -> None:
        about = self._run(run)
        del self.oracle.runs[about.name]
        self._agrees("DELETE", f"/flow_runs/<{about.name}>", None, 204)
        self._agrees("DELETE", f"/flow_runs/<{about.name}>", None, 404)

    # ------------------------------------------------------------------------------ workers

    @precondition(lambda self: self.oracle.pools)
    @rule(pool=INDEXES, limit=st.integers(0, 5), ahead=st.sampled_from([0, 10]))
    def poll(self, pool: int, limit: int, ahead: int) -> None:
        at = self._pool(pool)
        before = self.oracle.now + timedelta(seconds=ahead)
        body = {"limit": limit, "scheduled_before": before.isoformat()}
        answer = self._send("POST", f"/work_pools/{at.name}/get_scheduled_flow_runs", body)
        told = [offer["flow_run"]["name"] for offer in answer.body]
        assert told == [run.name for run in self.oracle.due(at, before, limit)]

    @precondition(lambda self: self.oracle.pools)
    @rule(pool=INDEXES, worker=WORKERS, limit=st.integers(1, 5))
    def claim(self, pool: int, worker: str, limit: int) -> None:
        self._last_claim = (self._pool(pool), worker, limit, str(self._new_id()))
        self._claim(*self._last_claim)

    @precondition(lambda self: self._last_claim and self._last_claim[0] in self._pools())
    @rule()
    def claim_again(self) -> None:
        assert self._last_claim is not None
        self._claim(*self._last_claim)

    def _claim(self, pool: Pool, worker: str, limit: int, attempt: str) -> None:
        body = {"worker_name": worker, "limit": limit, "attempt": attempt}
        answer = self._send("POST", f"/work_pools/{pool.name}/claim", body)
        claimed = self.oracle.claim(pool, worker, limit, attempt)
        told = [
            (run["flow_run"]["name"], run["claim"].split(":")[1]) for run in answer.body["runs"]
        ]
        self._tally.answers["claimed" if told else "nothing claimed"] += 1
        assert told == [(run.name, str(run.epoch)) for run in claimed]

    @precondition(lambda self: self.oracle.pools)
    @rule(
        pool=INDEXES,
        worker=WORKERS,
        limit=st.integers(1, 2),
        steps=st.sampled_from(
            [(), ("RUNNING",), ("RUNNING", "COMPLETED"), ("RUNNING", "CANCELLING"), ("CRASHED",)]
        ),
        has_infrastructure=st.booleans(),
    )
    def carry_out(
        self,
        pool: int,
        worker: str,
        limit: int,
        steps: tuple[str, ...],
        has_infrastructure: bool,
    ) -> None:
        """What a worker does with what it gets, as far as it comes."""
        at = self._pool(pool)
        self._claim(at, worker, limit, str(self._new_id()))
        for run in self._held():
            if has_infrastructure:
                self._record_infrastructure(run, "i1")
            for type in steps:
                self._propose(Proposed(run.name, type, worker, run.epoch, None))

    @precondition(lambda self: self.oracle.pools)
    @rule(pool=INDEXES, worker=WORKERS)
    def fall_silent(self, pool: int, worker: str) -> None:
        """One more heartbeat, and then none for longer than the lease that it announces."""
        at = self._pool(pool)
        expected = self.oracle.heartbeat(at, worker, 5, None)
        body = {"name": worker, "heartbeat_interval_seconds": 5}
        self._agrees("POST", f"/work_pools/{at.name}/workers/heartbeat", body, expected)
        for _ in range(3):
            self._advance(9.7)

    @precondition(lambda self: self.oracle.pools)
    @rule(
        pool=INDEXES,
        worker=WORKERS,
        interval=st.sampled_from([None, 0, 5, 5, 30]),
        run=st.sampled_from([None, None, 0, 1]),
    )
    def heartbeat(self, pool: int, worker: str, interval: int | None, run: int | None) -> None:
        at = self._pool(pool)
        only = None if run is None or not self.oracle.runs else [self._run(run).name]
        body: dict[str, Any] = {"name": worker, "heartbeat_interval_seconds": interval}
        if only is not None:
            body["flow_run_ids"] = [f"<{name}>" for name in only]
        expected = self.oracle.heartbeat(at, worker, interval, only)
        self._agrees("POST", f"/work_pools/{at.name}/workers/heartbeat", body, expected)

    @precondition(lambda self: self.oracle.pools)
    @rule(pool=INDEXES, worker=WORKERS)
    def read_adoptable(self, pool: int, worker: str) -> None:
        at = self._pool(pool)
        body = {"worker_name": worker, "is_restarted": True}
        answer = self._send("POST", f"/work_pools/{at.name}/adoptable_runs", body)
        told = [run["name"] for run in answer.body]
        assert told == [run.name for run in self.oracle.adoptable(at, worker)]

    @precondition(lambda self: self.oracle.pools and self.oracle.runs)
    @rule(pool=INDEXES, run=INDEXES, worker=WORKERS, is_meant=st.booleans())
    def adopt(self, pool: int, run: int, worker: str, is_meant: bool) -> None:
        at = self._pool(pool)
        found = [about for about in self.oracle.adoptable(at, worker) if is_meant]
        about = found[run % len(found)] if found else self._run(run)
        infrastructure = about.infrastructure or "i1"
        body = {
            "worker_name": worker,
            "flow_run_id": f"<{about.name}>",
            "infrastructure_id": infrastructure,
        }
        expected = self.oracle.adopt(at, about, worker, infrastructure)
        self._tally.answers[f"adopt {expected}"] += 1
        answer = self._agrees("POST", f"/work_pools/{at.name}/adopt", body, expected)
        if expected == 200:
            assert answer.body["claim"].split(":")[1] == str(about.epoch)
