"""Flow runs and their states. Source: Prefect 3.8.4 `/flow_runs`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from forebay.calls import Call, call
from forebay.wire.base import format_time
from forebay.wire.flow_runs import FlowRun, FlowRunCreate, FlowRunUpdate, Labels
from forebay.wire.states import State, StateCreate, StateType, Verdict

CLAIM_HEADER = "X-Forebay-Claim"  # "<run>:<epoch>": under which claim something is proposed
WORKER_HEADER = "X-Forebay-Worker"  # name of the worker whose heartbeats renew the claim
RUN_TOKEN_HEADER = "X-Forebay-Run-Token"  # with which the run's process calls


@dataclass(frozen=True)
class ClaimAnswer:
    """What came of proposing PENDING; `claim` is null where the server names no epoch.

    `token` is the run's own, where the server gives one.
    """

    verdict: Verdict
    claim: str | None
    token: str | None = field(default=None, repr=False)


def create(body: FlowRunCreate) -> Call[FlowRun]:
    """Make a run of a flow without a deployment; 200 and the old run for a known key."""
    has_key = body.idempotency_key is not None
    return call("POST", "/flow_runs/", FlowRun, body, is_repeatable=has_key)


def read(id: UUID) -> Call[FlowRun]:
    """One run with its state."""
    return call("GET", f"/flow_runs/{id}", FlowRun)


def states(id: UUID) -> Call[list[State]]:
    """Every state that the run has had, by time; none for a run that does not exist."""
    return call("GET", f"/flow_run_states/?flow_run_id={id}", list[State])


def filter(
    *,
    ids: Sequence[UUID] | None = None,
    state_types: Sequence[StateType] | None = None,
    state_names: Sequence[str] | None = None,
    deployment_ids: Sequence[UUID] | None = None,
    queue_names: Sequence[str] | None = None,
    pool_names: Sequence[str] | None = None,
    flow_names: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    scheduled_before: datetime | None = None,
    sort: str | None = None,
    limit: int | None = None,
    offset: int = 0,
) -> Call[list[FlowRun]]:
    """Runs that match every criterion given, the newest first; at most 200 a page."""
    runs: dict[str, Any] = {}
    if ids is not None:
        runs["id"] = _any(ids)
    state = {}
    if state_types is not None:
        state["type"] = _any(state_types)
    if state_names is not None:
        state["name"] = _any(state_names)
    if state:
        runs["state"] = state
    if deployment_ids is not None:
        runs["deployment_id"] = _any(deployment_ids)
    if queue_names is not None:
        runs["work_queue_name"] = _any(queue_names)
    if names is not None:
        runs["name"] = _any(names)
    if scheduled_before is not None:
        runs["next_scheduled_start_time"] = {"before_": format_time(scheduled_before)}
    body: dict[str, Any] = {"flow_runs": runs or None, "limit": limit, "offset": offset}
    if pool_names is not None:
        body["work_pools"] = {"name": _any(pool_names)}
    if flow_names is not None:
        body["flows"] = {"name": _any(flow_names)}
    if sort is not None:
        body["sort"] = sort
    return call("POST", "/flow_runs/filter", list[FlowRun], body, is_repeatable=True)


def set_state(
    id: UUID,
    state: StateCreate,
    *,
    force: bool = False,
    claim: str | None = None,
    worker: str | None = None,
) -> Call[Verdict]:
    """Propose a state; the verdict is the answer, also when the proposal is refused.

    A `worker` proposes under its own claim; what it started goes on under the claim of its start.
    Sending the call again is safe: the proposal carries a transition id, and the server answers
    a transition that it has carried out with the state that came of it.
    """
    return _propose(id, state, force=force, headers=_named(claim, worker))


def claim(id: UUID, state: StateCreate, *, worker: str) -> Call[ClaimAnswer]:
    """Propose PENDING in the name of `worker`; accepted means that the run is claimed."""
    proposal = _propose(id, state, force=False, headers={WORKER_HEADER: worker})
    return replace(
        proposal,
        parse_headers=lambda verdict, headers: ClaimAnswer(
            verdict, headers.get(CLAIM_HEADER.lower()), headers.get(RUN_TOKEN_HEADER.lower())
        ),
    )


def update(
    id: UUID, body: FlowRunUpdate, *, claim: str | None = None, worker: str | None = None
) -> Call[None]:
    """Change the fields that are set on `body`; 409 when the `claim` given is over."""
    headers = _named(claim, worker)
    return call("PATCH", f"/flow_runs/{id}", None, body, headers=headers, is_repeatable=True)


def update_labels(id: UUID, labels: Labels) -> Call[None]:
    """Add `labels` to a run's; equal keys are replaced."""
    return call("PATCH", f"/flow_runs/{id}/labels", None, dict(labels), is_repeatable=True)


def delete(id: UUID) -> Call[None]:
    """Delete a run; its claim ends."""
    return call("DELETE", f"/flow_runs/{id}")


def _named(claim: str | None, worker: str | None) -> dict[str, str]:
    given = {CLAIM_HEADER: claim, WORKER_HEADER: worker}
    return {name: value for name, value in given.items() if value}


def _propose(
    id: UUID, state: StateCreate, *, force: bool, headers: Mapping[str, str]
) -> Call[Any]:
    proposed = state.model_dump(mode="json", exclude_unset=True)
    details = proposed.setdefault("state_details", {})
    details.setdefault("transition_id", str(uuid4()))
    body = {"state": proposed, "force": force}
    path = f"/flow_runs/{id}/set_state"
    return call("POST", path, Verdict, body, headers=headers, is_repeatable=True)


def _any(values: Sequence[object]) -> dict[str, list[str]]:
    return {"any_": [str(value) for value in values]}
