"""What a run writes outside of its own log: shown, reported, remembered. Knows no engine."""

import logging
from collections import deque
from datetime import datetime

from forebay.wire.logs import LogCreate
from forebay_worker.base import Assignment, JobConfiguration
from forebay_worker.lines import LineCutter, a_line

REMEMBERED_LINES = 20

_console = logging.getLogger("forebay_worker.output")


class Echo:
    """A reporter that shows lines on the worker's console on their way."""

    def __init__(self, assignment: Assignment) -> None:
        self._run = assignment.run
        self._reporter = assignment.reporter
        self.flush = self._reporter.flush
        self.state = self._reporter.state

    def log(self, line: LogCreate) -> None:
        """Show the line and pass it on."""
        show(self._run.name, str(self._run.id), line.message)
        self._reporter.log(line)


def show(run_name: str, run_id: str, text: str) -> None:
    """Write a line of a run on the worker's console."""
    _console.info("%s | %s", run_name, text, extra={"run_id": run_id})


class Output:
    """The output of infrastructure, by the name of the stream.

    Lines are reported where a command runs. Otherwise the run stores its own, and only its last
    words are reported, if it ends without having been able to.
    """

    def __init__(
        self, configuration: JobConfiguration, assignment: Assignment, *, is_shown: bool
    ) -> None:
        self._assignment = assignment
        self._is_reported = bool(configuration.command)
        self._is_shown = is_shown
        self._cutters: dict[str, LineCutter] = {}
        self._last: deque[str] = deque(maxlen=REMEMBERED_LINES)

    def feed(self, name: str, data: bytes) -> None:
        """Take what has arrived of a stream; it may be cut anywhere."""
        for line in self._cutters.setdefault(name, LineCutter()).feed(data):
            self.line(name, line)

    def end(self) -> None:
        """Let unfinished last lines go."""
        for name, cutter in self._cutters.items():
            for line in cutter.end():
                self.line(name, line)

    def line(self, name: str, text: str, time: datetime | None = None) -> None:
        """Take one whole line."""
        run = self._assignment.run
        self._last.append(text)
        if self._is_shown:
            show(run.name, str(run.id), text)
        if self._is_reported:
            self._report(name, logging.INFO, text, time)

    def report_last_words(self) -> None:
        """Report the last lines in one, unless every line has been reported."""
        if self._last and not self._is_reported:
            text = "The last lines of its output were:\n" + "\n".join(self._last)
            self._report("forebay.worker", logging.ERROR, text, None)

    def _report(self, name: str, level: int, text: str, time: datetime | None) -> None:
        for line in a_line(self._assignment.run.id, name, level, text, time):
            self._assignment.reporter.log(line)
