"""Makes what a run prints and logs into log lines. Knows neither worker nor API."""

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Protocol, TextIO
from uuid import UUID

from forebay.wire.logs import LogCreate
from forebay.wire.states import StateType
from forebay_worker.lines import LineCutter, a_line


class Sink(Protocol):
    """Where lines go; nothing but `flush` and `close` may wait."""

    def put(self, line: LogCreate) -> None:
        """Take a line."""

    def state(self, state: StateType) -> None:
        """Take note of a state that the API has accepted."""

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until the lines so far are stored."""

    def close(self, timeout_seconds: float) -> bool:
        """Store what is left and stop."""


class LineStream(io.TextIOBase):
    """Stands for stdout or stderr: every full line goes to the sink."""

    def __init__(self, name: str, run_id: UUID, sink: Sink, original: TextIO) -> None:
        self.name = name
        self._run_id = run_id
        self._sink = sink
        self._original = original
        self._cutter = LineCutter()
        self._writing = threading.RLock()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Always UTF-8."""
        return "utf-8"

    @property
    def buffer(self) -> object:
        """The original's: bytes written to it reach whoever started the process."""
        return self._original.buffer

    def fileno(self) -> int:
        """The original's."""
        return self._original.fileno()

    def reconfigure(self, **_: object) -> None:
        """Nothing: lines are text already, whatever encoding the run would like."""

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, text: str) -> int:
        """Take text; lines that it completes leave at once."""
        with self._writing:
            for line in self._cutter.feed_text(text):
                self._put(line)
        return len(text)

    def end(self) -> None:
        """Let an unfinished last line go."""
        with self._writing:
            for line in self._cutter.end():
                self._put(line)

    def _put(self, text: str) -> None:
        for line in a_line(self._run_id, self.name, logging.INFO, text):
            self._sink.put(line)


class LineHandler(logging.Handler):
    """Hands records of `logging` to the sink."""

    def __init__(self, run_id: UUID, sink: Sink) -> None:
        super().__init__()
        self._run_id = run_id
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record; a traceback becomes part of its message."""
        try:
            message = self.format(record)
        except Exception:  # noqa: BLE001 - a record's arguments are anybody's code
            self.handleError(record)
            return
        time = datetime.fromtimestamp(record.created, UTC)
        for line in a_line(self._run_id, record.name, record.levelno, message, time):
            self._sink.put(line)


@contextmanager
def captured(run_id: UUID, sink: Sink) -> Iterator[None]:
    """While this lasts, stdout, stderr and records from INFO upwards go to `sink`."""
    streams = sys.stdout, sys.stderr
    out = LineStream("stdout", run_id, sink, streams[0])
    err = LineStream("stderr", run_id, sink, streams[1])
    handler = LineHandler(run_id, sink)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # The client logs every request; nobody looks for these among the lines of a run.
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        out.end()
        err.end()
        root.removeHandler(handler)
        root.setLevel(level)


class Echo:
    """A sink that also writes to a console, for infrastructure whose output people read."""

    def __init__(self, sink: Sink, console: TextIO) -> None:
        self._sink = sink
        self._console = console
        self.state = sink.state
        self.flush = sink.flush
        self.close = sink.close

    def put(self, line: LogCreate) -> None:
        """Write the line and pass it on."""
        self._console.write(line.message + "\n")
        self._console.flush()
        self._sink.put(line)
