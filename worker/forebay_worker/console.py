"""The worker's own output: one plain line for each thing that happens."""

import logging
import os
import sys

FORMAT = "%(asctime)s %(message)s"
LEVELLED_FORMAT = "%(asctime)s %(levelname)s %(message)s"
TIME = "%H:%M:%S"


class LineFormatter(logging.Formatter):
    """Names the level only where something is wrong."""

    def __init__(self) -> None:
        super().__init__(FORMAT, TIME)
        self._levelled = logging.Formatter(LEVELLED_FORMAT, TIME)

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        if record.levelno >= logging.WARNING:
            return self._levelled.format(record)
        return super().format(record)


def show_logs() -> None:
    """Show what the worker logs on stdout; `FOREBAY_LOG_LEVEL` says from which level on."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(LineFormatter())
    level = os.environ.get("FOREBAY_LOG_LEVEL", "INFO").upper()
    known = logging.getLevelNamesMapping()
    worker = logging.getLogger("forebay_worker")
    worker.addHandler(handler)
    worker.setLevel(known.get(level, logging.INFO))
    worker.propagate = False
