"""How many runs were in which state over time, on the wire. Source: Prefect 3.8.4."""

from forebay.wire.base import Timestamp, Wire
from forebay.wire.states import StateType


class HistoryState(Wire):
    """The runs of one interval in one state; sums in seconds."""

    state_type: StateType
    state_name: str
    count_runs: int
    sum_estimated_run_time: float
    sum_estimated_lateness: float


class HistoryInterval(Wire):
    """The runs that were expected to start in an interval; its end is not part of it."""

    interval_start: Timestamp
    interval_end: Timestamp
    states: list[HistoryState]
