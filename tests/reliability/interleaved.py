"""A pool with runs, those who claim, report, sweep, limit, pause and delete, and what must hold.

Knows no order: that is the schedule's.
"""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from sqlalchemy import select, text, update

from forebay.wire.claims import Adoption, ClaimedRun
from forebay.wire.states import TERMINAL, StateCreate, StateDetails, StateType, VerdictStatus
from forebay.wire.work_pools import WorkerHeartbeat
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.tables import claims
from forebay_server.db import retries
from forebay_server.db.engine import Database, Transaction
from forebay_server.dispatch import adoption, claiming
from forebay_server.dispatch.adoption import Adopter
from forebay_server.dispatch.queries import Asked
from forebay_server.errors import Conflict, NotFound
from forebay_server.flow_runs import queries as run_queries
from forebay_server.flow_runs import rescues, transitions
from forebay_server.flow_runs.facts import Proposer
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.work_pools import queries as pool_queries
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues import queries as queue_queries
from forebay_server.work_queues.tables import work_queues
from forebay_server.workers import queries as worker_queries
from tests.server.flow_runs.builders import Place, a_flow, a_place, a_queue, a_run

RUNS = 3
LOST_ANSWERS = 0.15
DOUBLED_REQUESTS = 0.1
FINISHING_ROUNDS = 10
_HISTORY = text(
    "SELECT flow_run_id, type, timestamp FROM flow_run_state ORDER BY flow_run_id, timestamp"
)
_AFTER_AN_END = ("SCHEDULED", "PENDING", "RUNNING")  # a run may be begun anew, never half ended


@dataclass
class Ledger:
    """What callers were told; kept outside the database."""

    running: Counter[tuple[UUID, int]] = field(default_factory=Counter)  # by run and epoch
    completed: Counter[tuple[UUID, int]] = field(default_factory=Counter)
    accepted: list[UUID] = field(default_factory=list)  # states that the history must have
    deleted: set[UUID] = field(default_factory=set)


@dataclass
class Scene:
    """The servers, and what is on their database."""

    servers: Sequence[Database]
    monitor: asyncpg.Connection
    outcomes: Counter[str] = field(default_factory=Counter)
    ledger: Ledger = field(default_factory=Ledger)

    async def set_up(self) -> None:
        """Make what every schedule shares: a flow, a pool and its two queues."""
        database = self.servers[0]
        self._flow = await a_flow(database)
        self._place: Place = await a_place(database, on_lost="reschedule", max_rescues=1000)
        self._other = await a_queue(database, self._place.pool_id, "other", priority=2)

    async def play(self, schedule: Any, rng: random.Random) -> list[str]:
        """Let callers loose on new runs; what does not hold afterwards."""
        self.ledger = Ledger()
        runs = await self._begin(rng)
        for number in range(rng.randint(3, 5)):
            work = self._some_work(rng, number, runs)
            schedule.add(f"caller {number}", work)
            if rng.random() < DOUBLED_REQUESTS:
                schedule.add(f"caller {number} again", work)
        await schedule.play()
        return [*await self._wrong(), *await self._finish(), *await self._wrong()]

    # ------------------------------------------------------------------------------- before

    async def _begin(self, rng: random.Random) -> list[UUID]:
        """New runs; the first may be held by a worker that is lost."""
        database = self.servers[0]
        async with database.write() as db:
            for table in ("flow_run", "worker"):
                await db.execute(text(f"DELETE FROM {table}"))
            await self._limit(db, rng.choice([1, 1, 2]), rng.choice([None, 1]))
        queues = [self._place.queue_id, self._other]
        runs = [await a_run(database, rng.choice(queues), flow_id=self._flow) for _ in range(RUNS)]
        if rng.random() < 0.5:
            await self._propose(database, runs[0], "PENDING", "lost")
            if rng.random() < 0.5:
                await self._propose(database, runs[0], "RUNNING", "lost")
                async with database.write() as db:
                    await db.execute(update(flow_runs).values(infrastructure_pid="i"))
            await self._let_leases_end(database)
        return runs

    async def _limit(self, db: Transaction, of_pool: int | None, of_queue: int | None) -> None:
        is_pool = work_pools.c.id == self._place.pool_id
        values = {"concurrency_limit": of_pool, "is_paused": False}
        await db.execute(update(work_pools).where(is_pool).values(values))
        values["concurrency_limit"] = of_queue
        is_there = work_queues.c.work_pool_id == self._place.pool_id
        await db.execute(update(work_queues).where(is_there).values(values))

    async def _let_leases_end(self, database: Database) -> None:
        async with database.write() as db:
            past = await db.now() - rescues.CANCELLING_GRACE - timedelta(seconds=1)
            await db.execute(update(claims).values(expires_at=past))

    # ------------------------------------------------------------------------------ callers

    def _some_work(
        self, rng: random.Random, number: int, runs: Sequence[UUID]
    ) -> Callable[[], Awaitable[None]]:
        """What one caller does. All that chance decides is decided here."""
        database = rng.choice(self.servers)
        run, worker = rng.choice(runs), f"w{number}"
        is_repeated = rng.random() < LOST_ANSWERS
        transition = UUID(int=rng.getrandbits(128))
        limit = rng.choice([None, 1, 1, 2])
        pauses = rng.random() < 0.5

        async def claim_many() -> None:
            for claimed in await self._claim(database, worker, 2, transition, is_repeated):
                await self._carry_out(database, claimed.flow_run.id, worker, claimed.claim)

        async def claim_one() -> None:
            first = await self._propose(database, run, "PENDING", worker, transition=transition)
            if is_repeated:
                first = await self._propose(
                    database, run, "PENDING", worker, transition=transition
                )
            if first is not None:
                await self._carry_out(database, run, worker, f"{run}:{first}")

        async def run_unclaimed() -> None:
            epoch = await self._propose(database, run, "RUNNING", None, transition=transition)
            if epoch is not None and not is_repeated:
                await self._propose(database, run, "COMPLETED", None)

        async def sweep() -> None:
            async with database.read() as db:
                expired = await claim_queries.expired(db, 10)
            for found in expired:
                async with database.write() as db:
                    is_rescued = await rescues.rescue(db, found.id, found.flow_run_id)
                self.outcomes[f"rescue {is_rescued}"] += 1

        async def change() -> None:
            changes = {"is_paused": True} if pauses else {"concurrency_limit": limit}
            await self._tried("change", database, lambda db: pool_queries.update(db, "p", changes))
            if pauses:
                resumed = {"is_paused": False}
                await self._tried(
                    "change", database, lambda db: pool_queries.update(db, "p", resumed)
                )

        async def change_queue() -> None:
            changes = {"concurrency_limit": limit, "priority": 1}
            await self._tried(
                "change", database, lambda db: queue_queries.change(db, self._other, changes)
            )

        async def delete() -> None:
            if await self._tried("delete", database, lambda db: run_queries.delete(db, run)):
                self.ledger.deleted.add(run)

        async def beat() -> None:
            await self._tried("beat", database, lambda db: self._beat(db, "lost"))

        async def cancel() -> None:
            await self._propose(database, run, "CANCELLING", None)

        async def adopt() -> None:
            body = Adoption(worker_name=worker, flow_run_id=run, infrastructure_id="i")
            adopter = Adopter(worker, worker)
            await self._tried("adopt", database, lambda db: adoption.adopt(db, "p", body, adopter))

        claimants = [claim_many, claim_one]
        others = [run_unclaimed, sweep, change, change_queue, delete, beat, cancel, adopt]
        return rng.choice(claimants if rng.random() < 0.5 else others)

    async def _carry_out(self, database: Database, run: UUID, worker: str, claim: str) -> None:
        epoch = int(claim.rpartition(":")[2])
        for type in ("RUNNING", "COMPLETED"):
            if await self._propose(database, run, type, worker, epoch=epoch) is None:
                return

    async def _claim(
        self, database: Database, worker: str, limit: int, attempt: UUID, is_repeated: bool
    ) -> list[ClaimedRun]:
        asked = Asked("p", (), limit, worker, worker, attempt=attempt)
        holder = claiming.Holder(Proposer(worker, is_worker=True), worker)

        async def claim(db: Transaction) -> list[ClaimedRun]:
            return (await claiming.claim(db, asked, holder)).runs

        found = await retries.write(database, claim)
        if is_repeated:
            found = await retries.write(database, claim)
        self.outcomes[f"claimed {len(found)}"] += 1
        return found

    async def _propose(
        self,
        database: Database,
        run: UUID,
        type: str,
        worker: str | None,
        *,
        epoch: int | None = None,
        transition: UUID | None = None,
    ) -> int | None:
        """The epoch under which it was accepted (0: none was needed); None when it was not."""
        details = StateDetails(transition_id=transition)
        state = StateCreate(type=StateType(type), state_details=details)
        proposer = Proposer(worker or "-", epoch, is_worker=worker is not None)

        async def propose(db: Transaction) -> transitions.Outcome:
            return await transitions.propose(db, run, state, proposer, worker_name=worker)

        try:
            outcome = await retries.write(database, propose)
        except NotFound:
            self.outcomes[f"{type} NOT FOUND"] += 1
            return None
        status = outcome.verdict.status
        self.outcomes[f"{type} {status}"] += 1
        if status is not VerdictStatus.ACCEPT:
            return None
        if outcome.is_written and outcome.verdict.state is not None:
            self.ledger.accepted.append(outcome.verdict.state.id)
            self.ledger.running[run, outcome.epoch or 0] += type == "RUNNING"
            if epoch is not None:  # who shows no claim may begin and end a run again, as by hand
                self.ledger.completed[run, epoch] += type == "COMPLETED"
        return outcome.epoch or epoch or 0

    async def _beat(self, db: Transaction, worker: str) -> None:
        beats = {("p", worker): WorkerHeartbeat(name=worker)}
        (live,) = (await worker_queries.record_heartbeats(db, beats)).values()
        await claim_queries.renew(
            db, (live.work_pool_id, worker), live.lease_seconds, live.heard_at
        )

    async def _tried(
        self, what: str, database: Database, work: Callable[[Transaction], Awaitable[Any]]
    ) -> bool:
        """Whether it was done; what may not be done is an answer too."""
        try:
            await retries.write(database, work)
        except (NotFound, Conflict) as error:
            self.outcomes[f"{what} {type(error).__name__}"] += 1
            return False
        self.outcomes[what] += 1
        return True

    # ------------------------------------------------------------------------------ invariants

    async def _wrong(self) -> list[str]:
        """What contradicts the guarantees, as the database shows it."""
        wrong: list[str] = []
        live: Counter[UUID] = Counter()
        async with self.servers[0].read() as db:
            runs = {run.id: run for run in await db.rows(select(flow_runs))}
            for claim in await db.rows(select(claims).where(claims.c.ended_at.is_(None))):
                live[claim.flow_run_id] += 1
                if claim.epoch != runs[claim.flow_run_id].epoch:
                    wrong.append(f"claim {claim.epoch} of {claim.flow_run_id} is not its epoch")
            history = await db.rows(_HISTORY)
            ids = {row.id for row in await db.rows(text("SELECT id FROM flow_run_state"))}
            known = {row.id for row in await db.rows(text("SELECT state_id AS id FROM flow_run"))}
        wrong += [f"{run} has {number} live claims" for run, number in live.items() if number > 1]
        for run in runs.values():
            is_held = live[run.id] > 0
            is_ended = StateType(run.state_type) in TERMINAL
            needs_claim = run.state_type in ("PENDING", "RUNNING", "CANCELLING")
            if (is_ended and is_held) or (needs_claim and not is_held):
                wrong.append(f"{run.id} is {run.state_type} and its claim is {is_held}")
        started = Counter(row.flow_run_id for row in history if row.type == "RUNNING")
        wrong += [f"{id} began too often" for id in runs if started[id] > runs[id].epoch]
        wrong += [f"{key} ran {n} times" for key, n in self.ledger.running.items() if n > 1]
        wrong += [f"deleted run {id} is there" for id in self.ledger.deleted & runs.keys()]
        if not self.ledger.deleted:
            wrong += [f"state {id} is lost" for id in self.ledger.accepted if id not in ids]
        wrong += [f"current state {id} has no history" for id in known - ids]
        return wrong + _illegal(history)

    async def _finish(self) -> list[str]:
        """Carry out what is left; which runs do not end, or end twice."""
        database = self.servers[0]
        async with database.write() as db:
            await self._limit(db, None, None)
        for _ in range(FINISHING_ROUNDS):
            await self._let_leases_end(database)
            async with database.read() as db:
                expired = await claim_queries.expired(db, 10)
            for found in expired:
                async with database.write() as db:
                    await rescues.rescue(db, found.id, found.flow_run_id)
            async with database.write() as db:
                past = await db.now() - timedelta(seconds=1)
                is_waiting = flow_runs.c.state_type == "SCHEDULED"
                due = update(flow_runs).where(is_waiting)
                await db.execute(due.values(next_scheduled_start_time=past))
            taken = await self._claim(database, "finisher", 10, uuid4(), False)
            for claimed in taken:
                await self._carry_out(database, claimed.flow_run.id, "finisher", claimed.claim)
            if not taken and not expired:
                break
        async with database.read() as db:
            rows = await db.rows(select(flow_runs.c.id, flow_runs.c.state_type))
        left = [f"{id} stays {type}" for id, type in rows if StateType(type) not in TERMINAL]
        twice = [f"{key} completed {n} times" for key, n in self.ledger.completed.items() if n > 1]
        return left + twice


def _illegal(history: Sequence[Any]) -> list[str]:
    """Steps from a state to the next that nobody may make, and times that do not grow."""
    wrong: list[str] = []
    for earlier, later in pairwise(history):
        if earlier.flow_run_id != later.flow_run_id:
            continue
        if later.timestamp <= earlier.timestamp:
            wrong.append(f"{later.flow_run_id}: time went back")
        is_ended = StateType(earlier.type) in TERMINAL
        if is_ended and later.type not in _AFTER_AN_END:
            wrong.append(f"{later.flow_run_id}: {earlier.type} -> {later.type}")
    return wrong
