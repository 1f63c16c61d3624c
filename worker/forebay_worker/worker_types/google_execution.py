"""One execution on Google Cloud from its start to its end: what the cloud says of it, its lines.

What fails on the way, a look or a log, says nothing about the execution: it is looked at again.
"""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime

from forebay_worker.base import Outcome
from forebay_worker.output import Output
from forebay_worker.proposals import backoff
from forebay_worker.worker_types.cloud import Alarm
from forebay_worker.worker_types.google_logs import LogReader
from forebay_worker.worker_types.google_session import NOT_FOUND, GoogleError, GoogleSession

logger = logging.getLogger(__name__)

LOG_SECONDS = 5.0  # between reads of lines while it runs
SETTLE_SECONDS = 1.0  # between reads when it has ended
SETTLED_AFTER = 2  # reads that bring nothing new then
LAST_WORDS_READS = 4  # until lines of what has ended badly have arrived
DISPOSE_SECONDS = 10.0
MISSING_LOOKS = 3  # an execution is gone when it cannot be found so often in a row


class Execution(ABC):
    """What runs in the cloud for one run. Every method raises `GoogleError`."""

    id: str  # how another worker finds it again
    log_filter: str

    @abstractmethod
    async def look(self) -> Outcome | None:
        """How it ended; none while it goes on."""

    @abstractmethod
    async def marks(self) -> Mapping[str, str]:
        """What was noted of run, worker and claim when it was started."""

    @abstractmethod
    async def cancel(self) -> None:
        """Have it end."""

    async def dispose(self) -> None:
        """Delete what is not to be kept of it."""
        return

    def pauses(self) -> Iterator[float]:
        """Seconds between looks, without end."""
        seconds = 0.5
        while True:
            yield seconds
            seconds = min(5.0, seconds * 1.5)


class WatchedExecution:
    """An execution that is watched from now on."""

    def __init__(
        self,
        session: GoogleSession,
        execution: Execution,
        output: Output,
        *,
        has_lines: bool,
        logged_until: datetime | None = None,
    ) -> None:
        self.id = execution.id
        self._execution = execution
        self._output = output
        self._has_lines = has_lines
        self._reader = LogReader(session, execution.log_filter, output, logged_until)
        self._alarm = Alarm()
        self._is_cancelled = False
        self._ended = asyncio.create_task(self._until_ended())
        self._reading = asyncio.create_task(self._read()) if has_lines else None

    async def wait(self) -> Outcome:
        """How it ended; by then what it wrote has been handed on, and what is not kept deleted."""
        outcome = await asyncio.shield(self._ended)
        if self._reading:
            await asyncio.shield(self._reading)
        elif outcome.exit_code != 0 and not self._is_cancelled:
            await self._read_last_words()
        await self._dispose()
        return outcome

    async def cancel(self) -> None:
        """Have it end; returns when it has. A cloud that does not answer is asked again."""
        for pause in backoff():
            try:
                await self._execution.cancel()
                break
            except GoogleError as error:
                if error.status == NOT_FOUND:
                    break
                logger.warning("%s cannot be cancelled: %s", self.id, error)
            await asyncio.wait({self._ended}, timeout=pause)
            if self._ended.done():
                return
        self._is_cancelled = True
        self._alarm.ring()
        await asyncio.wait({self._ended})

    def leave(self) -> None:
        """Watch no longer."""
        for task in (self._ended, self._reading):
            if task:
                task.cancel()

    async def _until_ended(self) -> Outcome:
        pauses, failures = self._execution.pauses(), backoff()
        missing = 0
        while True:
            try:
                if outcome := await self._execution.look():
                    return outcome
                missing, failures = 0, backoff()
                pause = next(pauses)
            except GoogleError as error:
                # What was made a moment ago may not be found yet.
                missing = missing + 1 if error.status == NOT_FOUND else 0
                if missing >= MISSING_LOOKS:
                    return Outcome(None, "the execution was deleted")
                logger.info("%s is looked at again: %s", self.id, error)
                pause = next(failures)
            # Whoever waits for the end of what is cancelled is told soon.
            await self._alarm.pause(min(0.5, pause) if self._is_cancelled else pause)

    async def _read(self) -> None:
        """Hand on lines until it has ended and no more come."""
        quiet = 0
        failures = backoff()
        while quiet < SETTLED_AFTER:
            has_ended = self._ended.done()
            try:
                is_new = await self._reader.read_on()
            except GoogleError as error:
                level = logging.INFO if error.is_passing else logging.WARNING
                logger.log(level, "lines of %s cannot be read now: %s", self.id, error)
                if has_ended and not error.is_passing:
                    return
                await asyncio.sleep(next(failures))
                continue
            failures = backoff()
            quiet = quiet + 1 if has_ended and not is_new else 0
            if has_ended:
                await asyncio.sleep(SETTLE_SECONDS)
            else:
                await asyncio.wait({self._ended}, timeout=LOG_SECONDS)

    async def _read_last_words(self) -> None:
        """Report the last lines of what stores its own, and could not store its end."""
        try:
            for _ in range(LAST_WORDS_READS):
                if await self._reader.read_last():
                    break
                await asyncio.sleep(SETTLE_SECONDS)
        except GoogleError as error:
            logger.info("last lines of %s cannot be read: %s", self.id, error)
        self._output.report_last_words()

    async def _dispose(self) -> None:
        try:
            async with asyncio.timeout(DISPOSE_SECONDS):
                await self._execution.dispose()
        except (GoogleError, TimeoutError) as error:
            if not isinstance(error, GoogleError) or error.status != NOT_FOUND:
                logger.warning("what %s ran in cannot be deleted: %s", self.id, error)
