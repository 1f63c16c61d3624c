"""What the worker types on Google Cloud have in common: sessions, and executions in hand."""

import asyncio
from abc import abstractmethod
from typing import TypeVar

from forebay_worker.base import Assignment, Outcome, StartFailed, WorkerType
from forebay_worker.infrastructure import adopted_claim
from forebay_worker.output import Output
from forebay_worker.worker_types.cloud import patiently
from forebay_worker.worker_types.google_execution import Execution, WatchedExecution
from forebay_worker.worker_types.google_request import GoogleConfiguration
from forebay_worker.worker_types.google_session import (
    NOT_FOUND,
    GoogleError,
    GoogleSession,
    open_session,
)

C = TypeVar("C", bound=GoogleConfiguration)


class GoogleWorker(WorkerType[C]):
    """A worker type on Google Cloud. An id is the name of a resource."""

    outlives_worker = True

    def __init__(self) -> None:
        self._sessions: dict[str, GoogleSession] = {}
        self._running: dict[str, WatchedExecution] = {}

    @abstractmethod
    async def begin(
        self, session: GoogleSession, configuration: C, assignment: Assignment
    ) -> Execution:
        """Start an execution. Raises `GoogleError` and `StartFailed`."""

    @abstractmethod
    def find(
        self, session: GoogleSession, configuration: C, infrastructure_id: str
    ) -> Execution | None:
        """The execution that an id names, without a look at it; none where it can be none."""

    async def start(self, configuration: C, assignment: Assignment) -> str:
        """Start an execution, as `begin` does."""
        session = await self._session(configuration)
        try:
            execution = await self.begin(session, configuration, assignment)
        except GoogleError as error:
            raise StartFailed(error.refusal) from None
        return self._hold(session, execution, configuration, assignment)

    async def adopt(
        self, infrastructure_id: str, configuration: C, assignment: Assignment
    ) -> str | None:
        """Watch an execution that is still there; lines go on after the last one stored."""
        session = await self._session(configuration)
        execution = self.find(session, configuration, infrastructure_id)
        if execution is None:
            return None
        try:
            claim = adopted_claim(await patiently(execution.marks), assignment)
        except GoogleError as error:
            if error.status == NOT_FOUND:
                return None
            raise StartFailed(error.refusal) from None
        if claim is not None:
            self._hold(session, execution, configuration, assignment)
        return claim

    async def wait(self, infrastructure_id: str) -> Outcome:
        """How the execution ended; by then what it wrote has been handed on.

        Whoever gives up waiting lets the execution go: nothing more of it is reported.
        """
        running = self._running[infrastructure_id]
        try:
            outcome = await running.wait()
        except asyncio.CancelledError:
            running.leave()
            self._running.pop(infrastructure_id, None)
            raise
        del self._running[infrastructure_id]
        return outcome

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """Cancel the execution; the cloud has a grace of its own."""
        if running := self._running.get(infrastructure_id):
            await running.cancel()

    async def close(self) -> None:
        """Close all connections."""
        for running in self._running.values():
            running.leave()
        for session in self._sessions.values():
            await session.close()

    async def _session(self, configuration: C) -> GoogleSession:
        """The session that the configuration asks for. Raises `StartFailed`."""
        given = configuration.credentials
        key = given.model_dump_json() if given else ""
        if key not in self._sessions:
            made = await asyncio.to_thread(open_session, given)
            self._sessions.setdefault(key, made)
        return self._sessions[key]

    def _hold(
        self,
        session: GoogleSession,
        execution: Execution,
        configuration: C,
        assignment: Assignment,
    ) -> str:
        # A run that executes its deployment's entrypoint stores its own lines.
        has_lines = bool(configuration.command)
        output = Output(configuration, assignment, is_shown=has_lines)
        self._running[execution.id] = WatchedExecution(
            session,
            execution,
            output,
            has_lines=has_lines,
            logged_until=assignment.logged_until,
        )
        return execution.id
