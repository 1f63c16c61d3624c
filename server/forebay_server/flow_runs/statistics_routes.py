"""HTTP of what is counted and summed up of runs."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from forebay.wire.base import Lenient, Timestamp
from forebay.wire.history import HistoryInterval
from forebay_server.errors import Invalid
from forebay_server.flow_runs import statistics
from forebay_server.flow_runs.filters import RunCriteria
from forebay_server.flow_runs.statistics import Range
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.protocol import Read, api_router
from forebay_server.work_queues.filters import WorkQueueFilter

router = api_router("Flow runs", "/flow_runs")

MAX_INTERVALS = 1000  # in one answer
MAX_INTERVAL_SECONDS = 366 * 86400


class HistoryRange(Lenient):
    """Over which time, and in which steps."""

    history_start: Timestamp
    history_end: Timestamp
    history_interval_seconds: Annotated[float, Field(le=MAX_INTERVAL_SECONDS)]

    def range(self) -> Range:
        """The intervals asked for. Raises `Invalid` for steps too short or too many."""
        if self.history_interval_seconds < 1:
            raise Invalid("History interval must not be less than 1 second.")
        interval = timedelta(seconds=self.history_interval_seconds)
        if (self.history_end - self.history_start) / interval > MAX_INTERVALS:
            raise Invalid(
                f"A history has at most {MAX_INTERVALS} intervals; choose longer ones, or an "
                "earlier end."
            )
        return Range(self.history_start, self.history_end, interval)


class HistoryQuery(RunCriteria, HistoryRange):
    """Which runs' history."""

    work_queues: WorkQueueFilter | None = None  # the original's other name for it here


@router.post("/history")
async def read_flow_run_history(body: HistoryQuery, db: Read) -> list[HistoryInterval]:
    """Count runs by state over time: each in the interval in which it was expected to start."""
    body.work_pool_queues = body.work_pool_queues or body.work_queues
    columns = dict(flow_runs.c)
    return await statistics.history(db, body.range(), flow_runs, columns, body.conditions())


@router.post("/lateness")
async def read_average_lateness(db: Read, body: RunCriteria | None = None) -> float | None:
    """Tell by how many seconds runs start later than expected, on average."""
    return await statistics.average_lateness(db, body or RunCriteria())
