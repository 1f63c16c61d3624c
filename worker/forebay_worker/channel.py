"""The line between a run's process and the worker that started it. Knows no API.

JSON lines over a socket pair: the process tells log lines and states, and asks for the lines to
be stored. The worker sends them on, so that they outlive a process that is killed.
"""

import asyncio
import json
import logging
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from forebay.wire.logs import LogCreate
from forebay.wire.states import StateType
from forebay_worker.base import Reporter

logger = logging.getLogger(__name__)

DESCRIPTOR_VARIABLE = "FOREBAY_WORKER_CHANNEL"  # number of the process's end, where it has one
MAX_MESSAGE_BYTES = 1 << 20
ANSWER_BYTES = 8  # an answer is the number of the question, in so many digits


class RunChannel:
    """The run's end. A worker that is gone makes every call do nothing."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        # What the run itself starts must not keep the channel open after the run.
        os.set_inheritable(descriptor, False)
        self._sending = threading.Lock()
        self._asked = 0
        self._is_closed = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "RunChannel | None":
        """The channel that the worker opened, if it did."""
        try:
            return cls(int(environ[DESCRIPTOR_VARIABLE]))
        except (KeyError, ValueError, OSError):
            return None

    def watch(self, on_hang_up: Callable[[], None]) -> None:
        """Have `on_hang_up` called, in a thread, when the worker is gone."""

        def wait() -> None:
            poll = select.poll()
            poll.register(self._socket, select.POLLHUP | getattr(select, "POLLRDHUP", 0))
            poll.poll()
            if not self._is_closed:
                on_hang_up()

        threading.Thread(target=wait, name="forebay-channel", daemon=True).start()

    def put(self, line: LogCreate) -> None:
        """Hand over a line."""
        self._send({"log": line.model_dump(mode="json")})

    def state(self, state: StateType) -> None:
        """Tell a state that the API has accepted."""
        self._send({"state": state})

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until the lines so far are stored; false when the time was too short."""
        self._asked += 1
        self._send({"flush": self._asked})
        give_up_at = time.monotonic() + timeout_seconds
        try:
            # An answer that came too late for its question is still in the line.
            while self._asked != self._receive(give_up_at - time.monotonic()):
                pass
        except (OSError, ValueError):
            return False
        return True

    def _receive(self, timeout_seconds: float) -> int:
        """The next answer. Raises `OSError` when none comes and `ValueError` at the end."""
        ready, _, _ = select.select([self._socket], [], [], max(0.0, timeout_seconds))
        if not ready:
            raise TimeoutError
        return int(self._socket.recv(ANSWER_BYTES))

    def close(self, timeout_seconds: float) -> bool:
        """Flush, then hang up."""
        flushed = self.flush(timeout_seconds)
        self._is_closed = True
        self._socket.close()
        return flushed

    def _send(self, message: dict[str, Any]) -> None:
        data = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        with self._sending:
            try:
                self._socket.sendall(data)
            except OSError:
                return


async def listen(end: socket.socket, reporter: Reporter) -> None:
    """The worker's end: pass on what the run tells, until it hangs up."""
    reader, writer = await asyncio.open_connection(sock=end, limit=MAX_MESSAGE_BYTES)
    try:
        while data := await reader.readline():
            try:
                await _handle(data, reporter, writer)
            except ValueError as error:
                logger.warning("a run sent what is no message: %s", error)
    except (ValueError, ConnectionError) as error:
        logger.warning("a run's channel was closed: %s", error)
    finally:
        writer.close()


async def _handle(data: bytes, reporter: Reporter, writer: asyncio.StreamWriter) -> None:
    """Raises `ValueError` for what is no message."""
    message = json.loads(data)
    if not isinstance(message, dict):
        raise ValueError("not a message")  # noqa: TRY004 - one kind of error for bad messages
    if "log" in message:
        reporter.log(LogCreate.model_validate(message["log"]))
    elif "state" in message:
        reporter.state(StateType(message["state"]))
    elif "flush" in message:
        await reporter.flush()
        writer.write(b"%0*d" % (ANSWER_BYTES, message["flush"]))
        await writer.drain()
