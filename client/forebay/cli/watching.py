"""Follows a run: prints its states and log lines as they come, until it has ended."""

import logging
import time
from collections.abc import Iterator
from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING
from uuid import UUID

from forebay.calls import flow_runs, logs
from forebay.cli.failures import RunFailed, advice
from forebay.cli.output import Output, coloured, print_json, say
from forebay.cli.waiting import first_reason
from forebay.errors import NotFound
from forebay.wire.states import TERMINAL, StateType

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.flow_runs import FlowRun
    from forebay.wire.logs import Log
    from forebay.wire.states import State

INTERVAL_SECONDS = 0.5
# A worker sends the last lines after the state that they led to.
LAST_LINES_SECONDS = 1.5
# After so long in the queue a watcher deserves to know why.
PATIENCE_SECONDS = 3.0
# Lines of different processes may be stored out of order, so the newest are read again.
OVERLAP = 50


class LogReader:
    """Reads a run's lines in pages and gives each one once."""

    def __init__(self, client: "Client", run_id: UUID) -> None:
        self._client = client
        self._run_id = run_id
        self._seen: set[UUID] = set()

    def unread(self) -> "Iterator[Log]":
        """The lines that came since the last time, by time."""
        offset = max(0, len(self._seen) - OVERLAP)
        while True:
            call = logs.filter(flow_run_id=self._run_id, limit=logs.MAX_PAGE, offset=offset)
            page = self._client.send(call)
            for line in page:
                if line.id not in self._seen:
                    self._seen.add(line.id)
                    yield line
            if len(page) < logs.MAX_PAGE:
                return
            offset += len(page)


class StateReader:
    """Reads a run's history and gives each state once, also those between two looks."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._seen: set[UUID] = set()

    def unread(self, run: "FlowRun") -> "Iterator[State]":
        """The states that came since the last time, by time, up to the one that `run` has."""
        if run.state is None or run.state.id in self._seen:
            return
        for state in self._client.send(flow_runs.states(run.id)):
            if state.id not in self._seen:
                self._seen.add(state.id)
                yield state


def watch_run(
    client: "Client",
    run_id: UUID,
    output: Output,
    *,
    timeout_seconds: float | None = None,
    interval_seconds: float = INTERVAL_SECONDS,
) -> None:
    """Print the run's states and lines until it ends; as JSON the ended run.

    Raises `RunFailed` unless it ends COMPLETED within `timeout_seconds`.
    """
    lines, states = LogReader(client, run_id), StateReader(client)
    begun = time.monotonic()
    is_explained = False
    while True:
        with advice(NotFound, "`forebay flow-run ls` lists the runs."):
            run = client.send(flow_runs.read(run_id))
        waited = time.monotonic() - begun
        news = [(state.timestamp, format_state(state)) for state in states.unread(run)]
        news += [(line.timestamp, format_line(line)) for line in lines.unread()]
        for _, text in sorted(news, key=itemgetter(0)):
            say(text, output)
        if run.state_type in TERMINAL:
            break
        if timeout_seconds is not None and waited >= timeout_seconds:
            raise RunFailed(
                f"The run {run.name!r} is still {run.state_name} after {timeout_seconds:g} s; it "
                f"goes on. `forebay flow-run watch {run_id}` follows it again."
            )
        if not is_explained and waited >= PATIENCE_SECONDS:
            is_explained = True
            if run.state_type is StateType.SCHEDULED and (reason := first_reason(client, run)):
                say(reason, output)
        time.sleep(interval_seconds)
    for line in _last_lines(lines):
        say(format_line(line), output)
    if output is Output.JSON:
        print_json(run)
    if run.state_type is not StateType.COMPLETED:
        told = f": {run.state.message}" if run.state and run.state.message else "."
        raise RunFailed(f"The run {run.name!r} ended {run.state_type}{told}")


def follow_lines(client: "Client", run_id: UUID) -> "Iterator[Log]":
    """The run's lines as they come, until it has ended."""
    reader = LogReader(client, run_id)
    while True:
        is_over = client.send(flow_runs.read(run_id)).state_type in TERMINAL
        yield from reader.unread()
        if is_over:
            yield from _last_lines(reader)
            return
        time.sleep(INTERVAL_SECONDS)


def format_line(line: "Log") -> str:
    """One line as people read it, its time in the local zone."""
    return f"{_clock(line.timestamp)}  {logging.getLevelName(line.level):<8}  {line.message}"


def format_state(state: "State") -> str:
    """One state as people read it, its time in the local zone."""
    message = f"  {state.message}" if state.message else ""
    return f"{_clock(state.timestamp)}  {coloured(state.name or state.type, state.type)}{message}"


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%H:%M:%S.%f")[:-3]


def _last_lines(reader: LogReader) -> "Iterator[Log]":
    deadline = time.monotonic() + LAST_LINES_SECONDS
    while time.monotonic() < deadline:
        time.sleep(INTERVAL_SECONDS)
        yield from reader.unread()
