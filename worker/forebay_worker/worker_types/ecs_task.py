"""One task from its start to its end: what ECS says about it, and its lines.

What fails on the way, a throttled request, a lost log, credentials that were taken away, says
nothing about the task: it is looked at again.
"""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Any

from forebay_worker.base import Outcome
from forebay_worker.output import Output
from forebay_worker.proposals import backoff
from forebay_worker.worker_types import ecs_status as status
from forebay_worker.worker_types.aws_access import Aws
from forebay_worker.worker_types.cloud import Alarm, CloudError
from forebay_worker.worker_types.ecs_log import LogTail
from forebay_worker.worker_types.ecs_request import EcsConfiguration

logger = logging.getLogger(__name__)

Json = dict[str, Any]

MISSING_SECONDS = 60.0  # how long ECS may not know a task that it has just started
STOPPING_INTERVAL = 1.0  # between looks at a task that is to end
LATE_LINES_SECONDS = 1.0  # in which lines that were written at the end arrive
LATE_READS = 5


class WatchedTask:
    """A task that is watched from now on."""

    def __init__(
        self,
        aws: Aws,
        configuration: EcsConfiguration,
        task: Json,
        container_name: str,
        output: Output,
        log: LogTail | None,
        *,
        is_adopted: bool = False,
    ) -> None:
        self._aws = aws
        self._configuration = configuration
        self._task = task
        self._container_name = container_name
        self._output = output
        self._log = log
        age = _age_seconds(task) if is_adopted else 0.0
        self._began = time.monotonic() - age
        self._is_late = False
        self._is_seen = is_adopted  # whether ECS has known the task
        self._stopped_for = ""  # why it is to end, when it is
        self._alarm = Alarm()
        self._ended = asyncio.create_task(self._until_ended())

    @property
    def id(self) -> str:
        """Cluster and task, by their ARNs."""
        return f"{self._task['clusterArn']}::{self._task['taskArn']}"

    @property
    def definition_arn(self) -> str:
        """What the task was made of."""
        arn: str = self._task["taskDefinitionArn"]
        return arn

    async def wait(self) -> Outcome:
        """How the task ended; by then what it wrote has been handed on."""
        outcome = await asyncio.shield(self._ended)
        if outcome.exit_code != 0:
            self._output.report_last_words()
        return outcome

    async def stop(self, reason: str) -> None:
        """Have the task stopped; returns when it has ended. AWS is asked as long as it takes."""
        self._stopped_for = reason
        for pause in backoff():
            if self._ended.done():
                return
            try:
                await self._ask_to_stop()
            except CloudError as error:
                logger.warning("task %s cannot be stopped: %s", self.id, error)
                await asyncio.sleep(pause)
            else:
                break
        self._alarm.ring()
        await asyncio.wait({self._ended})

    def leave(self) -> None:
        """Watch no longer."""
        self._ended.cancel()

    async def _ask_to_stop(self) -> None:
        where = {"cluster": self._task["clusterArn"], "task": self._task["taskArn"]}
        try:
            await self._aws.ask("ecs", "stop_task", **where, reason=self._stopped_for)
        except CloudError as error:
            # Gone is what was wanted; one that is not known yet is stopped when it is.
            if error.code not in ("InvalidParameterException", "ClusterNotFoundException"):
                raise

    async def _until_ended(self) -> Outcome:
        pauses = backoff()
        missing_since: float | None = None
        while True:
            try:
                is_known = await self._look()
                await self._read_log()
                if is_known and not status.has_ended(self._task):
                    await self._see_to_the_stop()
            except CloudError as error:
                logger.info("task %s is looked at again: %s", self.id, error)
                await self._alarm.pause(next(pauses))
                continue
            pauses = backoff()
            if is_known:
                self._is_seen, missing_since = True, None
                if status.has_ended(self._task):
                    return await self._concluded()
            else:
                missing_since = missing_since or time.monotonic()
                is_gone = self._stopped_for and self._is_seen
                if is_gone or time.monotonic() - missing_since >= MISSING_SECONDS:
                    return Outcome(None, "ECS does not know the task any more")
            interval = self._configuration.task_watch_poll_interval
            if self._stopped_for:
                interval = min(interval, STOPPING_INTERVAL)
            await self._alarm.pause(interval)

    async def _look(self) -> bool:
        """Whether ECS knows the task; what it says is remembered."""
        answer = await self._aws.ask(
            "ecs",
            "describe_tasks",
            cluster=self._task["clusterArn"],
            tasks=[self._task["taskArn"]],
        )
        for task in answer["tasks"]:
            self._task = task
        return bool(answer["tasks"])

    async def _see_to_the_stop(self) -> None:
        """Have the task stopped if it is to end and is not about to."""
        limit = self._configuration.task_start_timeout_seconds
        is_overdue = time.monotonic() - self._began >= limit
        if is_overdue and not self._stopped_for and not status.has_started(self._task):
            self._stopped_for = f"Not started within {limit} seconds"
            self._is_late = True
        if self._stopped_for and self._task.get("desiredStatus") != "STOPPED":
            await self._ask_to_stop()

    async def _concluded(self) -> Outcome:
        outcome = status.outcome(self._task, self._container_name)
        if self._is_late:
            limit = self._configuration.task_start_timeout_seconds
            outcome = Outcome(
                None, f"the task did not start within task_start_timeout_seconds ({limit})"
            )
        await self._read_late_lines(is_good=outcome.exit_code == 0)
        return outcome

    # Lines.

    @property
    def _follows(self) -> bool:
        """Whether every line is wanted as it comes; else the last ones are, after a failure."""
        return bool(self._configuration.command or self._configuration.stream_output)

    async def _read_log(self) -> int:
        if self._log is None or not self._follows:
            return 0
        try:
            return await self._log.read()
        except CloudError as error:
            if not error.is_passing:
                logger.warning("the log of task %s cannot be read: %s", self.id, error)
                self._log = None
            return 0

    async def _read_late_lines(self, *, is_good: bool) -> None:
        if self._log is None:
            return
        if self._follows:
            for _ in range(LATE_READS):
                await asyncio.sleep(LATE_LINES_SECONDS)
                if not await self._read_log():
                    return
        elif not is_good and status.has_started(self._task):
            await asyncio.sleep(LATE_LINES_SECONDS)
            try:
                await self._log.read_last()
            except CloudError as error:
                logger.warning("the log of task %s cannot be read: %s", self.id, error)


def _age_seconds(task: Json) -> float:
    made = task.get("createdAt")
    return max(0.0, (datetime.now(UTC) - made).total_seconds()) if made else 0.0
