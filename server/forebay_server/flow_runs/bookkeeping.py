"""States as rows, and what a new one changes on its run. Pure; runs no statement."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import orjson
from pydantic import BaseModel
from sqlalchemy import Row

from forebay.wire.flow_runs import FlowRunPolicy
from forebay.wire.states import TERMINAL, State, StateCreate, StateDetails, StateType
from forebay_server.db.columns import new_id
from forebay_server.flow_runs.tables import FlowRunRow


class Counters(Protocol):
    """What of a run decides its next counters; a row, or `BLANK` before the first state."""

    @property
    def state_type(self) -> str | None: ...
    @property
    def state_timestamp(self) -> datetime | None: ...
    @property
    def run_count(self) -> int: ...
    @property
    def expected_start_time(self) -> datetime | None: ...
    @property
    def start_time(self) -> datetime | None: ...
    @property
    def total_run_time_seconds(self) -> float: ...
    @property
    def empirical_policy(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class NoCounters:
    """The counters of a run that has no state yet."""

    empirical_policy: dict[str, Any]
    state_type: str | None = None
    state_timestamp: datetime | None = None
    run_count: int = 0
    expected_start_time: datetime | None = None
    start_time: datetime | None = None
    total_run_time_seconds: float = 0.0


def new_state(
    run_id: Any, proposed: StateCreate, now: datetime, previous: datetime | None = None
) -> State:
    """`proposed` as it is stored: named, timed by the server and told which run it is of.

    The time is `now`, or a microsecond after `previous`, the time of the run's last state, so
    that times of a run always grow. SCHEDULED without a time is due now.
    """
    timestamp = now
    if previous is not None and previous >= now:
        timestamp = previous + timedelta(microseconds=1)
    filled: dict[str, Any] = {"flow_run_id": run_id}
    if proposed.type is StateType.SCHEDULED and proposed.state_details.scheduled_time is None:
        filled["scheduled_time"] = timestamp
    return State(
        id=new_id(),
        type=proposed.type,
        name=proposed.name or proposed.type.capitalize(),
        timestamp=timestamp,
        message=proposed.message,
        data=proposed.data,
        state_details=proposed.state_details.model_copy(update=filled),
    )


def request_digest(body: BaseModel, deployment_id: UUID | None) -> str:
    """Tells requests for different runs apart: SHA-256 of what was asked for, of which deployment.

    A key that is left out and one that has its default value are the same.
    """
    asked = [str(deployment_id), body.model_dump(mode="json", exclude_defaults=True)]
    return hashlib.sha256(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)).hexdigest()


def stored_details(details: StateDetails) -> dict[str, Any]:
    """Details as the JSON column keeps them: only what differs from the defaults."""
    return details.model_dump(mode="json", exclude_defaults=True)


def stored_policy(policy: FlowRunPolicy) -> dict[str, Any]:
    """A policy as the JSON column keeps it: only what differs from the defaults."""
    return policy.model_dump(mode="json", exclude_defaults=True)


def state_columns(run: Counters, state: State) -> dict[str, Any]:
    """The columns of the run that entering `state` sets. Source: Prefect 3.8.4 `ORMRun`."""
    is_terminal = state.type in TERMINAL
    columns: dict[str, Any] = {
        "state_id": state.id,
        "state_type": str(state.type),
        "state_name": state.name,
        "state_timestamp": state.timestamp,
        "state_message": state.message,
        "state_data": state.data,
        "state_details": stored_details(state.state_details),
        "next_scheduled_start_time": None,
        "end_time": state.timestamp if is_terminal else None,
        "updated": state.timestamp,
    }
    expected = state.timestamp
    if state.type is StateType.SCHEDULED:
        expected = state.state_details.scheduled_time or state.timestamp
        columns["next_scheduled_start_time"] = expected
    if run.expected_start_time is None:
        columns["expected_start_time"] = expected
    if run.start_time is None and (is_terminal or state.type is StateType.RUNNING):
        columns["start_time"] = state.timestamp
    if run.state_type == StateType.RUNNING and run.state_timestamp is not None:
        spent = (state.timestamp - run.state_timestamp).total_seconds()
        columns["total_run_time_seconds"] = run.total_run_time_seconds + spent
    # A run that comes back from a suspension goes on; it is not started again.
    if state.type is StateType.RUNNING and not run.empirical_policy.get("resuming"):
        columns["run_count"] = run.run_count + 1
    return columns


def history_values(state: State) -> dict[str, Any]:
    """`state` as a row of its run's history; plain values, since every transition writes one."""
    return {
        "id": state.id,
        "created": state.timestamp,
        "updated": state.timestamp,
        "flow_run_id": state.state_details.flow_run_id,
        "timestamp": state.timestamp,
        "type": state.type.value,
        "name": state.name,
        "message": state.message,
        "data": state.data,
        "state_details": stored_details(state.state_details),
    }


def current_state(row: FlowRunRow | Row[Any]) -> State | None:
    """The state that a run has now; None before its first one."""
    if row.state_id is None or row.state_type is None or row.state_timestamp is None:
        return None
    return State(
        id=row.state_id,
        type=StateType(row.state_type),
        name=row.state_name,
        timestamp=row.state_timestamp,
        message=row.state_message,
        data=row.state_data,
        state_details=StateDetails.model_validate(row.state_details),
    )
