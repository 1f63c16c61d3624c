"""The worker: heartbeats, takes runs, starts what is due, ends what must end. Knows no worker type."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from forebay.calls import flow_runs, work_pools
from forebay.errors import ForebayError
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import TERMINAL, StateType
from forebay_worker.adoption import LeftBehind
from forebay_worker.base import StartFailed
from forebay_worker.proposals import backoff
from forebay_worker.runs import (
    KILL_GRACE_SECONDS,
    LEASE_OVER,
    WORKER_STOPPED,
    RunInHand,
    Surroundings,
)
from forebay_worker.sources import PAGE, POLL_SECONDS, HeldRun, ServerSource, Source

logger = logging.getLogger(__name__)

MAX_HEARTBEAT_SECONDS = 300  # the longest interval; a lease is three times as long
LOOK_SECONDS = 2.0  # between looks for runs that somebody cancels
MIN_POLL_SECONDS = 0.2  # between polls that something else than time has caused
# How long a process may go on after its run has ended for the server.
AFTERLIFE_SECONDS = 30.0
TIDY_SECONDS = 3600.0
REPORT_SECONDS = 10.0  # for the last reports of a worker that stops


@dataclass(frozen=True)
class WorkerOptions:
    """How a worker behaves; seconds are seconds of waiting."""

    queue_names: Sequence[str] = ()  # none: all queues of the pool
    limit: int | None = None  # most runs at once
    prefetch_seconds: float = 10.0
    grace_seconds: float = 30.0
    run_once: bool = False


class Worker:
    """Serves one pool until it is told to stop."""

    def __init__(
        self,
        surroundings: Surroundings,
        options: WorkerOptions,
        source: Source | None = None,
    ) -> None:
        self._at = surroundings
        self._options = options
        self._source = source or ServerSource(
            surroundings.client,
            surroundings.pool_name,
            surroundings.worker_name,
            queue_names=options.queue_names,
            prefetch_seconds=options.prefetch_seconds,
            is_patient=not options.run_once,
        )
        self._runs: dict[UUID, RunInHand] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._awaited: dict[UUID, asyncio.Task[None]] = {}  # offers whose time has not come
        self._left_running: list[UUID] = []
        self._left_behind = LeftBehind(surroundings)
        self._ended_at: dict[UUID, float] = {}  # runs over for the server, still in hand
        self._wake = asyncio.Event()
        self._trouble: set[str] = set()  # what does not work now, and has been told
        self._has_grace = asyncio.Event()  # set when somebody stops the worker
        self._hurry = asyncio.Event()
        self._alive = asyncio.Event()  # set when the first heartbeat has arrived
        self.last_poll: datetime | None = None  # when the last one succeeded

    @property
    def name(self) -> str:
        """Name of the worker."""
        return self._at.worker_name

    @property
    def is_healthy(self) -> bool:
        """Whether the API answers heartbeats and polls."""
        return not self._trouble and not self._at.leases.is_fenced

    @property
    def active_runs(self) -> int:
        """Runs in hand, claimed or about to be."""
        return len(self._runs)

    def stop(self) -> None:
        """Start nothing more and wait for what runs; called again, wait no longer."""
        if self._has_grace.is_set():
            self._hurry.set()
        self._has_grace.set()
        self.drain()

    def drain(self) -> None:
        """Start nothing more and end when all runs have, however long they take."""
        self._at.stopping.set()
        self._wake.set()

    async def run(self) -> None:
        """Serve the pool. Returns when the worker has stopped and its runs are accounted for."""
        steps = (self._beat(), self._keep_looking(), self._keep_to_leases(), self._tidy())
        background = [asyncio.create_task(step) for step in steps]
        try:
            # The first heartbeat tells the server how long a lease this worker needs.
            await self._until_stopping(self._alive.wait())
            await self._until_stopping(self._take_over(is_restarted=True))
            if self._options.run_once:
                if not self._at.leases.is_fenced:
                    await self._ask_once()
                await self._until_stopping(self._all_done())
            else:
                background.append(asyncio.create_task(self._keep_taking_over()))
                await self._until_stopping(self._keep_asking())
                await self._in_time("claims could not be handed back", self._take_unheard())
            await self._drain()
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, *self._tasks, return_exceptions=True)
            await self._at.worker_type.close()

    # Work.

    async def _take_over(self, *, is_restarted: bool) -> None:
        """Go on with what other workers have left running, or an earlier one of this name."""
        found = self._left_behind.taken_over(self._runs, is_restarted=is_restarted)
        async for run in found:
            self._hold(run, run.carry_on())

    async def _keep_taking_over(self) -> None:
        while self._left_behind.may_be_some and not self._at.stopping.is_set():
            await asyncio.sleep(self._at.leases.heartbeat_seconds)
            if not self._at.leases.is_fenced:
                await self._take_over(is_restarted=False)

    async def _tidy(self) -> None:
        """Have the worker type delete what ended long ago."""
        while True:
            try:
                await self._at.worker_type.clean_up()
            except StartFailed as error:
                logger.warning("old infrastructure could not be deleted: %s", error)
            await asyncio.sleep(TIDY_SECONDS)

    async def _keep_asking(self) -> None:
        pauses = backoff()
        while not self._at.stopping.is_set():
            self._wake.clear()
            if self._free_slots() == 0 or self._at.leases.is_fenced:
                await self._rest(POLL_SECONDS)
            elif await self._ask_once():
                pauses = backoff()
                if self._source.pause_seconds:
                    await asyncio.sleep(MIN_POLL_SECONDS)
                    await self._rest(self._source.pause_seconds)
            else:
                await self._rest(max(POLL_SECONDS, next(pauses)))

    async def _rest(self, seconds: float) -> None:
        """Wait before asking again; a free slot brings it forward."""
        try:
            async with asyncio.timeout(random.uniform(0.7, 1.3) * seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _ask_once(self) -> bool:
        """Take up what there is to do; false when the API could not say."""
        try:
            work = await self._source.ask(self._free_slots(), len(self._awaited))
        except ForebayError as error:
            self._tell_trouble("work could not be asked for", error)
            return False
        self._trouble.discard("work could not be asked for")
        self.last_poll = datetime.now(UTC)
        for item in work:
            if isinstance(item, HeldRun):
                self._accept(item)
            elif item.id not in self._runs and item.id not in self._awaited:
                self._consider(item)
        return True

    async def _take_unheard(self) -> None:
        """Take up what was claimed while the worker stopped, to give it back."""
        for held in await self._source.unheard():
            self._accept(held)

    def _accept(self, held: HeldRun) -> None:
        """Take up a run that is claimed; a worker that may start nothing gives it back."""
        run = RunInHand(held.run, self._at, held)
        if self._at.leases.is_fenced:
            self._keep(run.hand_back(LEASE_OVER))
        elif held.run.id not in self._runs:
            self._hold(run, run.carry_out())

    def _consider(self, run: FlowRun) -> None:
        """Take up a run now, or when its time has come."""
        wait = _seconds_until(run.next_scheduled_start_time)
        if wait <= 0:
            self._begin(run)
        else:
            self._awaited[run.id] = self._keep(self._begin_later(run, wait))

    async def _begin_later(self, run: FlowRun, wait: float) -> None:
        try:
            async with asyncio.timeout(wait):
                await self._at.stopping.wait()
        except TimeoutError:
            self._begin(run)
        finally:
            del self._awaited[run.id]

    def _begin(self, run: FlowRun) -> None:
        """Take up a run, if there is still room; otherwise another poll will offer it."""
        if self._free_slots() == 0 or self._at.leases.is_fenced or self._at.stopping.is_set():
            return
        taken = RunInHand(run, self._at)
        self._hold(taken, taken.carry_out())

    def _hold(self, run: RunInHand, work: Coroutine[None, None, None]) -> None:
        self._runs[run.run.id] = run
        self._keep(self._see_through(run, work))

    async def _see_through(self, run: RunInHand, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except Exception as error:
            logger.exception("run %s was given up", run.run.name)
            await run.give_up(error)
        finally:
            if run.is_left_running:
                self._left_running.append(run.run.id)
            del self._runs[run.run.id]
            self._ended_at.pop(run.run.id, None)
            self._wake.set()

    def _free_slots(self) -> int | None:
        """Runs that may be begun; none means any number."""
        if self._options.limit is None:
            return None
        return max(0, self._options.limit - len(self._runs))

    async def _keep_to_leases(self) -> None:
        """End what others are given once the leases are over."""
        await self._alive.wait()
        while True:
            await self._at.leases.until_over()
            for run in self._runs.values():
                if run.is_given_to_others:
                    run.end(LEASE_OVER)
            await self._at.leases.until_renewed()

    # Signs of life, and what they tell.

    async def _beat(self) -> None:
        while True:
            began = time.monotonic()
            if await self._in_time("a heartbeat failed", self._renew()):
                self._at.leases.renew(began)
                self._alive.set()
            await asyncio.sleep(
                max(0.0, began + self._at.leases.heartbeat_seconds - time.monotonic())
            )

    async def _keep_looking(self) -> None:
        """Look after the runs more often than hearts beat: who cancels one waits for its end."""
        while True:
            await self._in_time("runs could not be looked up", self._look_after_runs())
            await asyncio.sleep(LOOK_SECONDS)

    async def _in_time(self, trouble: str, step: Awaitable[None]) -> bool:
        """Whether `step` succeeded before the next beat is due; otherwise `trouble` is told."""
        try:
            async with asyncio.timeout(self._at.leases.heartbeat_seconds):
                await step
        except (ForebayError, TimeoutError) as error:
            self._tell_trouble(trouble, error)
            return False
        self._trouble.discard(trouble)
        return True

    def _tell_trouble(self, trouble: str, error: Exception) -> None:
        """Log what does not work, once until it works again."""
        if trouble not in self._trouble:
            logger.warning("%s: %s", trouble, str(error) or "no answer from the API")
        self._trouble.add(trouble)

    async def _renew(self) -> None:
        at = self._at
        call = work_pools.heartbeat(
            at.pool_name,
            at.worker_name,
            self._at.leases.heartbeat_seconds,
            flow_run_ids=list(self._runs),
            is_new=not self._alive.is_set(),
        )
        if await at.client.send(call) and not at.stopping.is_set():
            logger.info("asked to take no more runs")
            self.drain()

    async def _look_after_runs(self) -> None:
        """End the runs that somebody cancels, and those that the server has given up."""
        started = [id for id, run in self._runs.items() if run.is_claimed]
        over = [StateType.CANCELLING, *TERMINAL]
        for first in range(0, len(started), PAGE):
            ids = started[first : first + PAGE]
            call = flow_runs.filter(ids=ids, state_types=over, limit=PAGE)
            for found in await self._at.client.send(call):
                run = self._runs.get(found.id)
                if run is None:
                    continue
                if found.state_type is StateType.CANCELLING:
                    run.end("cancelled")
                    continue
                ended_at = self._ended_at.setdefault(found.id, time.monotonic())
                if time.monotonic() - ended_at > AFTERLIFE_SECONDS:
                    run.end("the run was over already")

    # The end.

    async def _drain(self) -> None:
        """Wait for the runs in hand, then end them; nothing is left without a holder."""
        if self._runs:
            logger.info("stopping; waiting for %d runs", len(self._runs))
        done = asyncio.create_task(self._all_done())
        asked = asyncio.create_task(self._has_grace.wait())
        await asyncio.wait({asked, done}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        hurry = asyncio.create_task(self._hurry.wait())
        await asyncio.wait(
            {hurry, done},
            timeout=self._options.grace_seconds,
            return_when=asyncio.FIRST_COMPLETED,
        )
        hurry.cancel()
        for run in self._runs.values():
            run.end(WORKER_STOPPED)
        await asyncio.wait({done}, timeout=KILL_GRACE_SECONDS + REPORT_SECONDS)
        done.cancel()
        for task in self._tasks:
            task.cancel()
        if self._left_running:
            await self._in_time("claims could not be kept", self._keep_claims())

    async def _keep_claims(self) -> None:
        """Give what is left running the longest lease, for another worker of this name."""
        at = self._at
        call = work_pools.heartbeat(
            at.pool_name,
            at.worker_name,
            MAX_HEARTBEAT_SECONDS,
            flow_run_ids=self._left_running,
        )
        await at.client.send(call)
        await self._renew()  # so that this worker is missed as soon as any other

    async def _all_done(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _until_stopping(self, step: Awaitable[object]) -> None:
        """Return when `step` is done, or given up because the worker stops. Raises as it does."""
        task = asyncio.ensure_future(step)
        stopping = asyncio.create_task(self._at.stopping.wait())
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if task.done():
            task.result()
        task.cancel()

    def _keep(self, step: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _seconds_until(time: datetime | None) -> float:
    return (time - datetime.now(UTC)).total_seconds() if time else 0.0
