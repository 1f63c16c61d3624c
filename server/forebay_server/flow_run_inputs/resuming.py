"""Lets a paused run go on, with the input that its pause asked for.

Source: Prefect 3.8.4 `resume_flow_run`; a pause that asks for input names the keys of its schema
and of the answer in `run_input_keyset`.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from pydantic import ValidationError

from forebay.wire.flow_run_inputs import FlowRunInputCreate
from forebay.wire.states import (
    AbortDetails,
    RejectDetails,
    State,
    StateCreate,
    StateType,
    Verdict,
    VerdictStatus,
)
from forebay_server.db.engine import Transaction
from forebay_server.flow_run_inputs import queries
from forebay_server.flow_runs import queries as runs
from forebay_server.flow_runs import transitions
from forebay_server.flow_runs.facts import Proposer
from forebay_server.flow_runs.rules import RESUMING
from forebay_server.flow_runs.transitions import Outcome
from forebay_server.json_schema import InvalidSchema, check_schema, first_problem
from forebay_server.variables.hydration import BadReference, hydrate


class BadInput(Exception):
    """The run cannot go on with this input; why."""


async def resume(
    db: Transaction, run_id: UUID, given: Mapping[str, Any] | None, proposer: Proposer
) -> Outcome:
    """Propose RUNNING, or SCHEDULED when the run's process has ended, and keep the input.

    The input is kept only when the proposal is accepted. Raises `NotFound`.
    """
    run = await runs.read(db, run_id)
    state = run.state
    if state is None or state.type is not StateType.PAUSED:
        details = AbortDetails(reason="Cannot resume a flow run that is not paused.")
        return _refused(Verdict(state=None, status=VerdictStatus.ABORT, details=details))
    try:
        answer = await _answer(db, state, given or {})
    except BadInput as error:
        reason = RejectDetails(reason=str(error))
        return _refused(Verdict(state=state, status=VerdictStatus.REJECT, details=reason))
    outcome = await transitions.propose(db, run_id, _following(state), proposer)
    if answer is not None and outcome.verdict.status is VerdictStatus.ACCEPT:
        await queries.create(db, run_id, answer)
    return outcome


def _refused(verdict: Verdict) -> Outcome:
    return Outcome(verdict, is_written=False, epoch=None)


def _following(paused: State) -> StateCreate:
    if paused.state_details.pause_reschedule:
        return StateCreate(type=StateType.SCHEDULED, name=RESUMING)
    return StateCreate(type=StateType.RUNNING)


async def _answer(
    db: Transaction, paused: State, given: Mapping[str, Any]
) -> FlowRunInputCreate | None:
    """The input to keep, when it is what the pause asks for; None when it asks for nothing."""
    keys = paused.state_details.run_input_keyset
    run_id = paused.state_details.flow_run_id
    if not keys or run_id is None:
        return None
    try:
        answer = await hydrate(db, dict(given))
    except BadReference as error:
        raise BadInput(f"Error hydrating run input: {error}") from None
    stored = await queries.read(db, run_id, keys.get("schema", ""))
    if stored is None:
        raise BadInput("Run input schema not found.")
    _check(answer, stored)
    if not answer:
        return None
    try:
        return FlowRunInputCreate(
            key=keys.get("response", ""), value=orjson.dumps(answer).decode()
        )
    except ValidationError:
        raise BadInput("The pause names no key for its input that can be one.") from None


def _check(answer: Mapping[str, Any], stored_schema: str) -> None:
    try:
        schema = orjson.loads(stored_schema)
        if not isinstance(schema, dict):
            raise BadInput("Run input schema is not valid JSON.")
        check_schema(schema)
    except orjson.JSONDecodeError:
        raise BadInput("Run input schema is not valid JSON.") from None
    except InvalidSchema as error:
        raise BadInput(f"Invalid schema: {error}") from None
    if problem := first_problem(answer, schema):
        raise BadInput(f"Reason: {problem}")
