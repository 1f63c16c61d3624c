"""Proposing states with patience: what is new, what was accepted, which failures pass."""

import random
from collections.abc import Iterator
from uuid import uuid4

from forebay.errors import ApiError, ForebayError, Unreachable
from forebay.wire.states import StateCreate, StateDetails, StateType, Verdict, VerdictStatus
from forebay_worker.lines import storable

MAX_BACKOFF_SECONDS = 15.0
MAX_MESSAGE = 10_000  # characters of a state's message


def new_state(
    type: StateType,
    message: str | None = None,
    *,
    name: str | None = None,
) -> StateCreate:
    """A proposal of its own: sent twice it is still one transition."""
    details = StateDetails(transition_id=uuid4())
    return StateCreate(
        type=type,
        name=name or type.value.capitalize(),
        message=storable(message)[:MAX_MESSAGE] if message else None,
        state_details=details,
    )


def is_accepted(verdict: Verdict, proposed: StateCreate) -> bool:
    """Whether the run now has the proposed state.

    Also when the answer to an earlier sending was lost: the repetition is refused then, with
    the state that came of the first. Source: Prefect 3.8.4, equal `transition_id`.
    """
    if verdict.status is VerdictStatus.ACCEPT:
        return True
    own = proposed.state_details.transition_id
    return verdict.state is not None and verdict.state.state_details.transition_id == own


def reason(verdict: Verdict) -> str:
    """Why a proposal was refused, for a message."""
    told = getattr(verdict.details, "reason", None)
    return told or f"the run is {verdict.state.type if verdict.state else 'without a state'}"


def is_passing(error: ForebayError) -> bool:
    """Whether the same call may succeed later."""
    if isinstance(error, ApiError):
        return error.status >= 500 or error.status in (408, 429)
    return isinstance(error, Unreachable)


def backoff() -> Iterator[float]:
    """Seconds to wait before each further try, without end: full jitter, doubling."""
    longest = 0.5
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(MAX_BACKOFF_SECONDS, longest * 2)
