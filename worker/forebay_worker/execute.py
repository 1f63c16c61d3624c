"""Runs inside the infrastructure: reads the run, calls its entrypoint, reports how it ended.

Knows no worker type. Run as `python -m forebay_worker.execute`; needs the light package only.
"""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import TracebackType
from typing import TypeVar
from uuid import UUID

from forebay.calls import Call, deployments, flow_runs
from forebay.client import Client
from forebay.errors import ForebayError, NotFound
from forebay.settings import ClientSettings
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import StateCreate, StateType, Verdict, VerdictStatus, WaitDetails
from forebay_worker.capture import Echo, Sink, captured
from forebay_worker.channel import RunChannel
from forebay_worker.entrypoints import BadEntrypoint, call_function, enter, load_function
from forebay_worker.holding import held
from forebay_worker.proposals import backoff, is_accepted, is_passing, new_state, reason
from forebay_worker.shipping import LogShipper

logger = logging.getLogger("forebay.run")

T = TypeVar("T")

RUN_VARIABLE = "FOREBAY_FLOW_RUN_ID"
CLAIM_VARIABLE = "FOREBAY_CLAIM"
PARAMETERS_VARIABLE = "FOREBAY_PARAMETERS"
ENTRYPOINT_VARIABLE = "FOREBAY_ENTRYPOINT"  # instead of the deployment's; its code lies here
# Set where the worker itself reports RUNNING and the end, because it runs a command.
REPORTED_VARIABLE = "FOREBAY_WORKER_REPORTS_STATES"

PATIENCE_SECONDS = 300.0  # how long an API that does not answer is waited for
FLUSH_SECONDS = 10.0
LAST_WORDS_SECONDS = 5.0  # between SIGTERM and SIGKILL
OWN_MODULES = ("__main__", "forebay_worker.", "importlib.", "_frozen_importlib", "asyncio.")
EXIT_FAILED = 1
EXIT_TERMINATED = 143  # as a shell says it of a process ended by SIGTERM


@dataclass
class Execution:
    """One run from RUNNING to its end."""

    client: Client
    run: FlowRun
    claim: str | None
    sink: Sink
    is_reported_by_worker: bool = False
    entrypoint: str | None = None  # of code that lies here; by default the deployment's
    folder: str = field(default_factory=os.getcwd)  # where relative paths begin, in every try

    def go(self) -> int:
        """Execute the run, again as long as the server asks for it; the exit code."""
        while True:
            if not self.is_reported_by_worker and not self._begin():
                return 0
            code = self._try_once()
            if code is not None:
                return code

    def give_up(self, message: str) -> None:
        """Report the run CRASHED, if the API answers; else its lease will run out."""
        crashed = new_state(StateType.CRASHED, message)
        with contextlib.suppress(ForebayError):
            self.client.send(flow_runs.set_state(self.run.id, crashed, claim=self.claim))

    def _begin(self) -> bool:
        """Propose RUNNING; false when this process must not go on."""
        while True:
            proposed = new_state(StateType.RUNNING)
            verdict = self._propose(proposed)
            if is_accepted(verdict, proposed):
                self.sink.state(StateType.RUNNING)
                return True
            if not isinstance(verdict.details, WaitDetails):
                logger.info("The run is not started here: %s", reason(verdict))
                return False
            self.sink.flush(FLUSH_SECONDS)
            time.sleep(max(1, verdict.details.delay_seconds))

    def _try_once(self) -> int | None:
        """The exit code, or none when the server asks for another try."""
        try:
            self._call()
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - anybody's code
            return self._failed(error)
        return self._end(new_state(StateType.COMPLETED))

    def _call(self) -> None:
        if self.entrypoint is not None:
            os.chdir(self.folder)
            call_function(load_function(self.entrypoint), self.run.parameters)
            return
        if self.run.deployment_id is None:
            raise BadEntrypoint("The run has no deployment, so there is no entrypoint to call.")
        try:
            deployment = _patiently(self.client, deployments.read(self.run.deployment_id))
        except NotFound:
            raise BadEntrypoint("The run's deployment has been deleted.") from None
        os.chdir(self.folder)
        # Pull steps come first, as in Prefect 3.8.4.
        if deployment.pull_steps:
            from forebay_worker.pulling import pull  # which only runs with steps pay for

            pull(deployment.pull_steps, self.client)
        elif deployment.path:
            enter(deployment.path)
        call_function(load_function(deployment.entrypoint), self.run.parameters)

    def _failed(self, error: BaseException) -> int | None:
        if isinstance(error, BadEntrypoint):
            logger.error("%s", error)
            return self._end(new_state(StateType.FAILED, str(error)))
        trace = _own_frames_left_out(error.__traceback__)
        logger.error("The run failed.", exc_info=(type(error), error, trace))
        return self._end(new_state(StateType.FAILED, f"{type(error).__name__}: {error}"))

    def _end(self, proposed: StateCreate) -> int | None:
        # Whoever sees the state finds every line: they are stored before it is proposed.
        self.sink.flush(FLUSH_SECONDS)
        if self.is_reported_by_worker:
            return 0 if proposed.type is StateType.COMPLETED else EXIT_FAILED
        verdict = self._propose(proposed)
        if is_accepted(verdict, proposed):
            self.sink.state(proposed.type)
            return 0
        is_retry = verdict.status is VerdictStatus.REJECT and verdict.state is not None
        if is_retry and verdict.state and verdict.state.type is StateType.SCHEDULED:
            self.sink.state(StateType.SCHEDULED)
            logger.info("The run is tried again: %s", reason(verdict))
            return None
        logger.info("%s was not accepted: %s", proposed.type.value, reason(verdict))
        return 0

    def _propose(self, proposed: StateCreate) -> Verdict:
        call = flow_runs.set_state(self.run.id, proposed, claim=self.claim)
        verdict: Verdict = _patiently(self.client, call)
        return verdict


def _own_frames_left_out(trace: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the user's code; all of it if there is none."""
    found = trace
    while found and found.tb_frame.f_globals.get("__name__", "").startswith(OWN_MODULES):
        found = found.tb_next
    return found or trace


def _patiently(client: Client, call: Call[T]) -> T:
    """The call's answer. An API that cannot answer now is asked again for some minutes."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    for wait in backoff():
        try:
            return client.send(call)
        except ForebayError as error:
            if not is_passing(error) or time.monotonic() + wait > give_up_at:
                raise
        time.sleep(wait)
    raise AssertionError("backoff has no end")


class ApiSink(LogShipper):
    """Stores lines without help, where no worker listens."""

    def state(self, state: StateType) -> None:
        """Nobody else needs to be told."""


def main(environ: Mapping[str, str] = os.environ) -> int:
    """Execute the run that the environment names; the exit code.

    0 whenever the API knows how the run stands; otherwise whoever started this reports it.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(EXIT_TERMINATED))
    try:
        run_id = UUID(environ[RUN_VARIABLE])
    except (KeyError, ValueError):
        print(f"{RUN_VARIABLE} must name a flow run.", file=sys.stderr)  # noqa: T201 - a program
        return EXIT_FAILED
    try:
        with Client(ClientSettings.load(environ)) as client:
            return _execute(client, run_id, environ)
    except ForebayError as error:
        print(f"The run was given up: {error}", file=sys.stderr)  # noqa: T201 - a program
        return EXIT_FAILED


def _execute(client: Client, run_id: UUID, environ: Mapping[str, str]) -> int:
    channel = RunChannel.from_environment(environ)
    claim = environ.get(CLAIM_VARIABLE)
    sink: Sink = channel or Echo(ApiSink(client), sys.stdout)
    lost_worker = threading.Event()
    if channel:
        channel.watch(lambda: _end_without_worker(lost_worker))
    try:
        run = _patiently(client, flow_runs.read(run_id))
        is_reported = REPORTED_VARIABLE in environ
        with held(client, run) if claim is None else nullcontext(claim) as own_claim:
            execution = Execution(
                client, run, own_claim, sink, is_reported, environ.get(ENTRYPOINT_VARIABLE)
            )
            try:
                with captured(run_id, sink):
                    return execution.go()
            except SystemExit:
                if lost_worker.is_set():
                    execution.give_up("The worker that started the run is gone.")
                raise
    finally:
        sink.close(FLUSH_SECONDS)


def _end_without_worker(lost_worker: threading.Event) -> None:
    """End this process and what it has started: nobody could cancel it or stop it any more."""
    lost_worker.set()
    os.killpg(os.getpgrp(), signal.SIGTERM)
    time.sleep(LAST_WORDS_SECONDS)
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
