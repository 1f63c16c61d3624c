"""One run from claim to end. Knows no worker type, no poll and no other run."""

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from forebay.calls import Call, claims, deployments, flow_runs, logs, work_pools
from forebay.client import AsyncClient
from forebay.errors import ForebayError, NotFound
from forebay.wire.claims import Adoption
from forebay.wire.flow_runs import FlowRun, FlowRunUpdate
from forebay.wire.logs import LogCreate
from forebay.wire.states import TERMINAL, StateCreate, StateType, Verdict
from forebay.wire.work_pools import OnLost
from forebay_worker.base import Assignment, JobConfiguration, Outcome, StartFailed, WorkerType
from forebay_worker.configuration import (
    InvalidConfiguration,
    Origin,
    Pool,
    api_environment,
    build_configuration,
    job_values,
    run_environment,
)
from forebay_worker.leases import Leases
from forebay_worker.proposals import backoff, is_accepted, is_passing, new_state, reason
from forebay_worker.references import resolved
from forebay_worker.shipping import LogShipper
from forebay_worker.sources import HeldRun

logger = logging.getLogger(__name__)

T = TypeVar("T")

KILL_GRACE_SECONDS = 5.0  # between SIGTERM and SIGKILL, or what a type makes of them
FLUSH_SECONDS = 5.0
LEASE_OVER = "could not renew its claims"  # for which a run is given to others, where pools say so
WORKER_STOPPED = "worker stopped"  # the one reason for which infrastructure may be left running
# After this the lease has run out, and the claim that nobody confirmed is the server's again.
CLAIM_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class Surroundings:
    """What all runs of a worker share."""

    client: AsyncClient
    shipper: LogShipper
    worker_type: WorkerType[Any]
    worker_name: str
    pool_name: str
    stopping: asyncio.Event  # set when nothing more may be started
    leases: Leases = field(default_factory=Leases)


# A run in one of these may well have no infrastructure, if that ended as it should.
LEFT_ALONE = (StateType.PAUSED, StateType.SCHEDULED)


class Interrupted(Exception):
    """The run must end before anything has been started for it."""


class RunInHand:
    """A run that this worker has claimed, or is about to."""

    def __init__(
        self, run: FlowRun, surroundings: Surroundings, held: HeldRun | None = None
    ) -> None:
        self.run = run
        self._at = surroundings
        self._held = held
        self._claim: str | None = None
        self._token: str | None = None  # of the run; none where the server gives none
        self._configuration: JobConfiguration | None = None
        self._is_rescheduled = False  # whether others are given the run when its lease is over
        self._infrastructure_id: str | None = None
        self._ending = asyncio.Event()
        self._message = ""
        self._is_killed = False
        self._told: StateType | None = None
        self.is_left_running = False  # its infrastructure goes on without this worker

    @property
    def is_claimed(self) -> bool:
        """Whether the claim has been accepted."""
        return self._told is not None

    @property
    def is_given_to_others(self) -> bool:
        """Whether another worker runs it once this one's lease is over: started here or not."""
        return self.is_claimed and (self._is_rescheduled or self._infrastructure_id is None)

    def end(self, message: str) -> None:
        """Have the run ended as soon as may be; `message` says why if it is reported CRASHED."""
        self._message = self._message or message
        self._ending.set()

    async def carry_out(self) -> None:
        """Claim the run, start it, wait for it and see that its end is reported."""
        if not await self._take():
            return
        try:
            assignment = await self._unless_interrupted(self._prepare_in_time())
        except Interrupted:
            await self._hand_back()
            return
        except (InvalidConfiguration, NotFound) as error:
            await self._report(new_state(StateType.CRASHED, str(error)))
            return
        if self._at.leases.is_fenced:  # it stood still meanwhile, or heard nothing
            await self.hand_back(LEASE_OVER)
            return
        try:
            self._infrastructure_id = infrastructure_id = await self._at.worker_type.start(
                self._configuration, assignment
            )
        except StartFailed as error:
            await self._report(new_state(StateType.CRASHED, str(error)))
            return
        telling = asyncio.create_task(self._tell_started(infrastructure_id))
        await self._see_to_the_end(infrastructure_id)
        await telling

    async def find_again(self) -> bool:
        """Whether the run that another worker has started is here, and is this worker's now.

        Then the run is in hand, and `carry_on` is what is left to do.
        """
        infrastructure_id = self.run.infrastructure_pid
        if infrastructure_id is None or self.run.state_type is None:
            return False
        try:
            assignment = await self._prepare()
            # What an earlier worker had not sent yet is lost; what it had sent is not repeated.
            last = logs.filter(flow_run_id=self.run.id, newest_first=True, limit=1)
            for line in await self._patiently(last):
                assignment = replace(assignment, logged_until=line.timestamp)
            is_here = await self._at.worker_type.adopt(
                infrastructure_id, self._configuration, assignment
            )
        except (StartFailed, InvalidConfiguration, NotFound) as error:
            logger.warning("run %s cannot be looked for: %s", self.run.name, error)
            return False
        if is_here is None or not await self._adopt(infrastructure_id):
            return False
        self._infrastructure_id = infrastructure_id
        self._told = self.run.state_type
        self._show("taken over", infrastructure_id)
        return True

    async def _adopt(self, infrastructure_id: str) -> bool:
        """Take the claim over; what was watched meanwhile is let go where that is refused."""
        adoption = Adoption(
            worker_name=self._at.worker_name,
            flow_run_id=self.run.id,
            infrastructure_id=infrastructure_id,
        )
        try:
            adopted = await self._patiently(claims.adopt(self._at.pool_name, adoption))
        except ForebayError as error:
            self._show("not taken over", str(error))
            await self._let_go(infrastructure_id)
            return False
        self._claim = adopted.claim
        return True

    async def _let_go(self, infrastructure_id: str) -> None:
        waiting = asyncio.create_task(self._at.worker_type.wait(infrastructure_id))
        await asyncio.sleep(0)
        await self._settle(waiting)

    async def carry_on(self) -> None:
        """Wait for a run that was found again and see that its end is reported."""
        assert self._infrastructure_id is not None
        if self._is_reported_here and self.run.state_type is StateType.PENDING:
            await self._report(new_state(StateType.RUNNING))
        await self._see_to_the_end(self._infrastructure_id)

    async def hand_back(self, why: str) -> None:
        """Let another worker take the run; `why` goes on "The worker …"."""
        self._claim = self._held.claim if self._held is not None else self._claim
        message = f"Worker {self._at.worker_name} {why}."
        # Without a time it is due at once, by the server's clock.
        await self._report(new_state(StateType.SCHEDULED, message))

    async def give_up(self, error: Exception) -> None:
        """End a claimed run and report it CRASHED for an error that nothing here foresaw."""
        if not self.is_claimed:
            return
        kind = type(self._at.worker_type).__name__
        if self._infrastructure_id is not None:
            try:
                await self._at.worker_type.kill(self._infrastructure_id, KILL_GRACE_SECONDS)
            except Exception:
                logger.exception("infrastructure %s may go on", self._infrastructure_id)
        await self._report(new_state(StateType.CRASHED, f"{kind} failed with {error!r}."))

    # What a worker type reports while the run goes on (`base.Reporter`).

    def log(self, line: LogCreate) -> None:
        """Pass a line to the API."""
        self._at.shipper.put(line)

    async def flush(self) -> None:
        """Return when the lines so far are stored, or after some seconds."""
        await asyncio.to_thread(self._at.shipper.flush, FLUSH_SECONDS)

    def state(self, state: StateType) -> None:
        """Show a state on the worker's console, once."""
        if state is not self._told:
            self._told = state
            self._show(state.value)

    # The steps.

    async def _take(self) -> bool:
        if self._held is not None:
            self._claim, self._token = self._held.claim, self._held.token
            self.state(StateType.PENDING)
            return True
        proposed = new_state(StateType.PENDING)
        call = flow_runs.claim(self.run.id, proposed, worker=self._at.worker_name)
        try:
            async with asyncio.timeout(CLAIM_PATIENCE_SECONDS):
                answer = await self._patiently(call)
        except (ForebayError, TimeoutError) as error:
            self._show("not claimed", str(error) or "no answer from the API")
            return False
        if not is_accepted(answer.verdict, proposed):
            logger.debug("run %s is not claimed: %s", self.run.name, reason(answer.verdict))
            return False
        self._claim, self._token = answer.claim, answer.token
        self.state(StateType.PENDING)
        return True

    async def _prepare_in_time(self) -> Assignment:
        """Everything ready when the run is due, and not before."""
        assignment = await self._prepare()
        if self._held is not None:
            await asyncio.sleep(self._held.due_at - time.monotonic())
        return assignment

    async def _prepare(self) -> Assignment:
        pool, deployment = await self._read_origins()
        self._is_rescheduled = pool.on_lost is OnLost.RESCHEDULE
        worker_type = type(self._at.worker_type)
        values = job_values(worker_type, pool, deployment, self.run)
        values = await resolved(values, self._patiently)
        self._configuration = build_configuration(worker_type, pool, values)
        settings = self._at.client.settings
        environment = run_environment(
            self.run, self._claim, is_reported_by_worker=self._is_reported_here
        )
        credentials = api_environment(settings, self._token)
        return Assignment(self.run, environment, credentials, self, self._at.worker_name)

    async def _read_origins(self) -> tuple[Pool, Origin | None]:
        """The pool and the deployment that the run's configuration comes from."""
        if self._held is not None:
            return self._held.pool, self._held.deployment
        pool = await self._patiently(work_pools.read(self._at.pool_name))
        if self.run.deployment_id is None:
            return pool, None
        try:
            return pool, await self._patiently(deployments.read(self.run.deployment_id))
        except NotFound:
            raise NotFound("The run's deployment has been deleted.") from None

    @property
    def _is_reported_here(self) -> bool:
        """A command knows nothing of states; the entrypoint reports its own."""
        return bool(self._configuration and self._configuration.command)

    async def _tell_started(self, infrastructure_id: str) -> None:
        body = FlowRunUpdate(infrastructure_pid=infrastructure_id)
        try:
            call = flow_runs.update(
                self.run.id, body, claim=self._claim, worker=self._at.worker_name
            )
            await self._patiently(call)
        except ForebayError as error:
            logger.warning("infrastructure of run %s not recorded: %s", self.run.name, error)
        if self._is_reported_here:
            await self._report(new_state(StateType.RUNNING))

    async def _see_to_the_end(self, infrastructure_id: str) -> None:
        outcome = await self._wait(infrastructure_id)
        if outcome is not None:
            await self.flush()
            await self._conclude(outcome)

    async def _wait(self, infrastructure_id: str) -> Outcome | None:
        """How the infrastructure ended; none when it is left to itself."""
        waiting = asyncio.create_task(self._at.worker_type.wait(infrastructure_id))
        ending = asyncio.create_task(self._ending.wait())
        await asyncio.wait({waiting, ending}, return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        if not waiting.done():
            if self._message == WORKER_STOPPED and self._at.worker_type.outlives_worker:
                waiting.cancel()
                self.is_left_running = True
                self._show("left running", infrastructure_id)
                return None
            # Once the lease is over another worker may start the run at any moment.
            grace = 0.0 if self._message == LEASE_OVER else KILL_GRACE_SECONDS
            self._is_killed = True
            await self._at.worker_type.kill(infrastructure_id, grace)
        return await waiting

    async def _conclude(self, outcome: Outcome) -> None:
        """Report the end, unless what was started has done so."""
        try:
            run = await self._patiently(flow_runs.read(self.run.id))
        except ForebayError as error:
            self._show("end not reported", str(error))
            return
        if run.state_type in TERMINAL:
            self.state(run.state_type)
        elif run.state_type is StateType.CANCELLING:
            await self._report(new_state(StateType.CANCELLED, f"Cancelled: {outcome.reason}."))
        elif self._ending.is_set() and (self._is_killed or self._infrastructure_id is None):
            await self._report_broken_off()
        elif outcome.exit_code == 0 and self._is_reported_here:
            await self._report(new_state(StateType.COMPLETED))
        elif outcome.exit_code != 0 or run.state_type not in LEFT_ALONE:
            message = outcome.reason[:1].upper() + outcome.reason[1:]
            await self._report(
                new_state(StateType.CRASHED, f"{message} before it reported an end.")
            )

    async def _report_broken_off(self) -> None:
        """Report a run that this worker has ended, or give it to others where that is meant."""
        if self._message == LEASE_OVER:
            await self.hand_back(LEASE_OVER)
        elif self._message == WORKER_STOPPED and self._is_rescheduled:
            await self.hand_back("stopped before the run had ended")
        else:
            await self._report(new_state(StateType.CRASHED, self._message))

    async def _hand_back(self) -> None:
        """Give up a claim for which nothing was started."""
        if self._at.stopping.is_set() and not self._ending.is_set():
            await self.hand_back("stopped before it started the run")
            return
        await self._conclude(Outcome(None, "nothing had been started"))

    async def _report(self, proposed: StateCreate) -> None:
        call = flow_runs.set_state(
            self.run.id, proposed, claim=self._claim, worker=self._at.worker_name
        )
        try:
            verdict: Verdict = await self._patiently(call)
        except ForebayError as error:
            self._show("end not reported", str(error))
            return
        if is_accepted(verdict, proposed):
            self._told = proposed.type
            self._show(proposed.type.value, proposed.message)
        elif verdict.state is not None:
            self.state(verdict.state.type)

    # Ways to wait.

    async def _unless_interrupted(self, step: Awaitable[T]) -> T:
        """What `step` gives. Raises `Interrupted` when the worker or the run must end first."""
        task = asyncio.ensure_future(step)
        signals = [
            asyncio.create_task(event.wait()) for event in (self._at.stopping, self._ending)
        ]
        await asyncio.wait({task, *signals}, return_when=asyncio.FIRST_COMPLETED)
        is_interrupted = any(signal.done() for signal in signals)
        for signal in signals:
            signal.cancel()
        if is_interrupted:
            await self._settle(task)
            raise Interrupted
        return await task

    async def _settle(self, task: "asyncio.Future[Any]") -> None:
        """Give up a task, unless it is done."""
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def _patiently(self, call: Call[T]) -> T:
        """The call's answer. An API that cannot answer now is asked until it can."""
        for wait in backoff():
            try:
                return await self._at.client.send(call)
            except ForebayError as error:
                if not is_passing(error):
                    raise
            await asyncio.sleep(wait)
        raise AssertionError("backoff has no end")

    def _show(self, what: str, why: str | None = None) -> None:
        text = f"{what} ({why})" if why else what
        extra = {"run_id": str(self.run.id), "pool": self._at.pool_name, "claim": self._claim}
        logger.info("%s: %s", self.run.name, text, extra=extra)
