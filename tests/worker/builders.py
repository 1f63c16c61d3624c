"""Objects with defaults, for tests of the worker."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from forebay.wire.flow_runs import FlowRun
from forebay.wire.logs import LogCreate
from forebay.wire.states import StateType
from forebay.wire.work_pools import WorkPool
from forebay_worker.base import Assignment

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def a_run(**values: Any) -> FlowRun:
    """A claimed run."""
    made = {"id": uuid4(), "created": NOW, "updated": NOW, "name": "calm-otter"}
    return FlowRun(**{**made, "flow_id": uuid4(), "state_type": StateType.PENDING, **values})


def a_pool(**values: Any) -> WorkPool:
    """A process pool without a template of its own."""
    made = {"id": uuid4(), "created": NOW, "updated": NOW, "name": "pool", "type": "process"}
    return WorkPool(**{**made, **values})


def a_log_line(message: str = "hello", **values: Any) -> LogCreate:
    """A line of stdout."""
    made = {"name": "stdout", "level": 20, "timestamp": NOW, "message": message}
    return LogCreate(**{**made, **values})


class Collector:
    """Keeps what a worker type reports."""

    def __init__(self) -> None:
        self.lines: list[LogCreate] = []
        self.states: list[StateType] = []
        self.flushes = 0
        self._expected: dict[str, asyncio.Event] = {}

    def log(self, line: LogCreate) -> None:
        self.lines.append(line)
        if expected := self._expected.get(line.message):
            expected.set()

    def seen(self, message: str) -> asyncio.Event:
        """An event for a line that has yet to come."""
        return self._expected.setdefault(message, asyncio.Event())

    async def flush(self) -> None:
        self.flushes += 1

    def state(self, state: StateType) -> None:
        self.states.append(state)

    def messages(self, name: str) -> list[str]:
        """What was written under one logger's name, in order."""
        return [line.message for line in self.lines if line.name == name]


def an_assignment(
    reporter: Collector, run: FlowRun | None = None, **environment: str
) -> Assignment:
    """A run of nothing in particular that reports to `reporter`."""
    return Assignment(run or a_run(), environment, {}, reporter, "worker")


def wait_until_gone(pid: int) -> None:
    """Return when the process has ended, whether or not anybody has waited for it yet."""
    stat = Path(f"/proc/{pid}/stat")
    give_up_at = time.monotonic() + 10
    while stat.exists() and ") Z " not in stat.read_text():
        assert time.monotonic() < give_up_at, f"process {pid} goes on"
        time.sleep(0.01)


def until(is_so: Callable[[], bool]) -> None:
    """Return when something has come to be so; fail when that takes too long."""
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
