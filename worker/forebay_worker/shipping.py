"""Sends log lines to the API from a thread of its own. Knows no run and no process.

Whoever writes a line never waits for the API: lines gather in a `Backlog` and leave in batches.
"""

import logging
import threading
import time
from uuid import uuid4

from forebay.calls import logs
from forebay.client import Client
from forebay.errors import ApiError, ForebayError
from forebay.wire.logs import LogCreate
from forebay_worker.backlog import Backlog
from forebay_worker.proposals import backoff, is_passing

logger = logging.getLogger(__name__)

BATCH_LINES = 250
# Every character may cost 12 bytes as JSON, and the API takes bodies of 1 MiB.
BATCH_CHARACTERS = 65_536
LINGER_SECONDS = 0.1  # how long a line waits for others to go with
BAD_LINE_STATUSES = (400, 413, 422)  # what a line itself can be the cause of


class LogShipper:
    """One thread that stores lines in the order in which they were put."""

    def __init__(self, client: Client, backlog: Backlog | None = None) -> None:
        self._client = client
        self._backlog = backlog or Backlog()
        self._changed = threading.Condition()
        self._put = 0  # lines ever put
        self._left_out = 0  # of these, the ones that nothing had room for
        self._settled = 0  # of these, the ones stored or given up
        self._waiting_to_flush = 0
        self._give_up_at: float | None = None  # monotonic; set when closing
        self._thread = threading.Thread(target=self._ship, name="forebay-logs", daemon=True)
        self._thread.start()

    def put(self, line: LogCreate) -> None:
        """Take a line; never waits for the API."""
        with self._changed:
            self._put += 1
            if not self._backlog.put(line):
                self._left_out += 1
                self._settled += 1
            self._changed.notify_all()

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until the lines put so far are stored; false when the time was too short."""
        with self._changed:
            wanted = self._put
            self._waiting_to_flush += 1
            self._changed.notify_all()
            done = self._changed.wait_for(lambda: self._settled >= wanted, timeout_seconds)
            self._waiting_to_flush -= 1
            return done

    def close(self, timeout_seconds: float) -> bool:
        """Store what is left, then end the thread; false when lines had to be given up."""
        with self._changed:
            self._give_up_at = time.monotonic() + timeout_seconds
            self._changed.notify_all()
        self._thread.join(timeout_seconds + 1)
        with self._changed:
            lost = self._put - self._settled + self._left_out
            self._backlog.close()
        if lost:
            logger.warning("log lines were lost: %d", lost, extra={"lines": lost})
        return not lost

    def _ship(self) -> None:
        while batch := self._next_batch():
            self._store(batch)

    def _next_batch(self) -> list[LogCreate]:
        """The next lines to send; none when the shipper is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._backlog or self._give_up_at is not None)
            self._changed.wait_for(self._is_in_haste, LINGER_SECONDS)
            if self._is_too_late():
                return []
            return self._backlog.take(BATCH_LINES, BATCH_CHARACTERS)

    def _is_in_haste(self) -> bool:
        is_full = len(self._backlog) >= BATCH_LINES
        return is_full or self._waiting_to_flush > 0 or self._give_up_at is not None

    def _store(self, batch: list[LogCreate]) -> None:
        # The key lets the API recognise a batch whose answer was lost.
        call = logs.create(batch, idempotency_key=str(uuid4()))
        has_failed = False
        for wait in backoff():
            try:
                self._client.send(call)
            except ForebayError as error:
                if not is_passing(error):
                    self._refused(batch, error)
                    return
                if not has_failed:
                    logger.warning("logs cannot be stored now, trying again: %s", error)
                has_failed = True
                if not self._rest(wait):
                    return
            else:
                self._settle(len(batch))
                return

    def _refused(self, batch: list[LogCreate], error: ForebayError) -> None:
        is_about_a_line = isinstance(error, ApiError) and error.status in BAD_LINE_STATUSES
        if is_about_a_line and len(batch) > 1:
            half = len(batch) // 2
            self._store(batch[:half])
            self._store(batch[half:])
            return
        logger.warning("log lines were refused: %s", error, extra={"lines": len(batch)})
        self._settle(len(batch))

    def _rest(self, seconds: float) -> bool:
        """Wait before another try; false when there is no time for one."""
        with self._changed:
            if self._give_up_at is None:
                # Closing ends the rest: what is left deserves a try at once.
                self._changed.wait_for(lambda: self._give_up_at is not None, seconds)
                return True
            seconds = min(seconds, self._give_up_at - time.monotonic())
        time.sleep(max(0.0, seconds))
        return not self._is_too_late()

    def _is_too_late(self) -> bool:
        return self._give_up_at is not None and time.monotonic() > self._give_up_at

    def _settle(self, lines: int) -> None:
        with self._changed:
            self._settled += lines
            self._changed.notify_all()
