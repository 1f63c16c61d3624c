"""One container group from its deployment to its end: what Azure says about it, and its lines.

What fails on the way, a throttled request, a token that nobody gives, says nothing about the
group: it is looked at again.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx2 as httpx

from forebay_worker.base import Outcome
from forebay_worker.output import Output
from forebay_worker.proposals import backoff
from forebay_worker.worker_types import azure_status as status
from forebay_worker.worker_types.azure_manager import (
    NOT_FOUND,
    OVER,
    POLL_SECONDS,
    AzureManager,
    explained,
    progress,
)
from forebay_worker.worker_types.azure_request import AzureContainerInstanceConfiguration
from forebay_worker.worker_types.cloud import Alarm, CloudError, Stamps, patiently

logger = logging.getLogger(__name__)

Json = dict[str, Any]

DEPLOYMENTS_VERSION = "2021-04-01"
REMOVE_PATIENCE_SECONDS = 30.0  # for what is deleted when a run has ended by itself


@dataclass(frozen=True)
class Place:
    """Where a group is, or will be."""

    subscription_id: str
    resource_group: str
    name: str
    container: str
    version: str

    @property
    def group(self) -> str:
        """Path of the group."""
        return f"{self._base}/Microsoft.ContainerInstance/containerGroups/{quote(self.name)}"

    @property
    def deployment(self) -> str:
        """Path of the group's deployment."""
        return f"{self._base}/Microsoft.Resources/deployments/{quote(self.name)}"

    @property
    def logs(self) -> str:
        """Path of what the run's container has written."""
        return f"{self.group}/containers/{quote(self.container)}/logs"

    @property
    def _base(self) -> str:
        subscription, group = quote(self.subscription_id), quote(self.resource_group)
        return f"/subscriptions/{subscription}/resourceGroups/{group}/providers"


class WatchedGroup:
    """A group that is watched from now on."""

    def __init__(
        self,
        manager: AzureManager,
        configuration: AzureContainerInstanceConfiguration,
        place: Place,
        output: Output,
        logged_until: datetime | None,
        operation_url: str | None = None,
    ) -> None:
        self._manager = manager
        self._configuration = configuration
        self._place = place
        self._output = output
        self._stamps = Stamps(logged_until)
        self._operation_url = operation_url
        self._began = time.monotonic()
        self._group: Json = {}
        self._is_removed = False
        self._alarm = Alarm()
        self._ended = asyncio.create_task(self._until_ended())

    @property
    def id(self) -> str:
        """Resource group and name."""
        return f"{self._place.resource_group}/{self._place.name}"

    async def wait(self) -> Outcome:
        """How the group ended; by then what it wrote has been handed on and it is gone, or kept."""
        outcome = await asyncio.shield(self._ended)
        if outcome.exit_code != 0:
            self._output.report_last_words()
        if not self._is_removed:
            await self._tidy()
        return outcome

    async def end(self) -> None:
        """End the group: stop it if it is kept, else delete it. Azure is asked until it has."""
        for pause in backoff():
            try:
                await self._read_log()
                if self._configuration.keep_container_group:
                    await self._stop()
                else:
                    self._is_removed = True
                    await self._delete()
            except CloudError as error:
                logger.warning("container group %s cannot be ended: %s", self.id, error)
            else:
                break
            await asyncio.sleep(pause)
        self._alarm.ring()
        await asyncio.wait({self._ended})

    def leave(self) -> None:
        """Watch no longer."""
        self._ended.cancel()

    # The end.

    async def _until_ended(self) -> Outcome:
        pauses = backoff()
        was_there = False
        while True:
            try:
                found = await self._manager.read(self._place.group, self._place.version)
                outcome = None
                if found is not None:
                    was_there, self._group = True, found
                    await self._read_log(is_wanted=self._follows)
                    outcome = status.outcome(found)
                elif self._is_removed or was_there:
                    return Outcome(None, "the container group was deleted")
                if outcome is None and not status.has_started(self._group):
                    outcome = await self._not_deployed() or await self._overdue()
            except CloudError as error:
                logger.info("container group %s is looked at again: %s", self.id, error)
                await self._alarm.pause(next(pauses))
                continue
            if outcome is not None:
                await self._read_log(is_wanted=self._follows or outcome.exit_code != 0)
                return outcome
            pauses = backoff()
            await self._alarm.pause(self._configuration.task_watch_poll_interval)

    async def _not_deployed(self) -> Outcome | None:
        """How it ends when the deployment has failed."""
        operation = await self._operation()
        if progress(operation) not in ("Failed", "Canceled") or self._is_removed:
            return None
        error = operation.get("error") or operation.get("properties", {}).get("error") or {}
        told = explained(error) or progress(operation)
        return Outcome(None, f"the container group could not be deployed: {told}")

    async def _operation(self) -> Json:
        if self._operation_url:
            found, _ = await self._manager.follow(self._operation_url)
            if progress(found) != "Failed" or found.get("error"):
                return found
        return await self._manager.read(self._place.deployment, DEPLOYMENTS_VERSION) or {}

    async def _overdue(self) -> Outcome | None:
        limit = self._configuration.task_start_timeout_seconds
        if self._is_removed or time.monotonic() - self._began < limit:
            return None
        told = status.hindrance(self._group)
        return Outcome(
            None,
            f"the container did not start within task_start_timeout_seconds ({limit})"
            + (f": {told}" if told else ""),
        )

    async def _tidy(self) -> None:
        """Remove what an ended run has left, unless it is kept."""
        if self._configuration.keep_container_group:
            return
        try:
            await patiently(self._begin_deletion, REMOVE_PATIENCE_SECONDS)
        except CloudError as error:
            logger.warning("container group %s is not deleted: %s", self.id, error)
        await self._forget_deployment()

    async def _stop(self) -> None:
        answer = await self._send("POST", f"{self._place.group}/stop", self._place.version)
        if answer is not None:
            await self._manager.finish(answer)

    async def _delete(self) -> None:
        """Delete the group, also if its deployment is still making it."""
        try:
            cancel = f"{self._place.deployment}/cancel"
            await self._send("POST", cancel, DEPLOYMENTS_VERSION)
        except CloudError as error:
            logger.debug("deployment of %s goes its way: %s", self.id, error)
        while True:
            found = await self._manager.read(self._place.deployment, DEPLOYMENTS_VERSION)
            answer = await self._begin_deletion()
            if answer is not None:
                await self._manager.finish(answer)
            if found is None or progress(found) in OVER:
                break
            await asyncio.sleep(POLL_SECONDS)
        await self._forget_deployment()

    async def _begin_deletion(self) -> httpx.Response | None:
        return await self._send("DELETE", self._place.group, self._place.version)

    async def _forget_deployment(self) -> None:
        try:  # a resource group remembers so and so many only
            await self._send("DELETE", self._place.deployment, DEPLOYMENTS_VERSION)
        except CloudError as error:
            logger.debug("deployment of %s stays on record: %s", self.id, error)

    async def _send(self, method: str, path: str, version: str) -> httpx.Response | None:
        """The answer; none when there is nothing at the path. Raises `CloudError`."""
        try:
            return await self._manager.send(method, path, version)
        except CloudError as error:
            if error.code in NOT_FOUND:
                return None
            raise

    # Lines.

    @property
    def _follows(self) -> bool:
        """Whether every line is wanted as it comes; else the last ones are, after a failure."""
        return bool(self._configuration.command or self._configuration.stream_output)

    async def _read_log(self, *, is_wanted: bool = True) -> None:
        if not is_wanted or not status.has_started(self._group):
            return
        try:
            found = await self._manager.read(
                self._place.logs, self._place.version, timestamps="true"
            )
        except CloudError as error:
            logger.info("the log of %s cannot be read now: %s", self.id, error)
            return
        self._stamps.reread()
        content = str((found or {}).get("content") or "")
        for line in content.removesuffix("\n").split("\n") if content else []:
            stamp, _, text = line.partition(" ")
            at = _time(stamp)
            own = self._stamps.new(at) if at else None
            if own is not None:
                self._output.line("stdout", text, own)


def _time(stamp: str) -> datetime | None:
    """The time before a line, to the microsecond."""
    try:
        head, _, fraction = stamp.rstrip("Z").partition(".")
        time = datetime.fromisoformat(head).replace(tzinfo=UTC)
        return time.replace(microsecond=int(f"{fraction[:6]:0<6}"))
    except ValueError:
        return None
