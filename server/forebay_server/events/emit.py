"""What the server itself has to tell as events. Knows no table of those who tell it."""

from collections.abc import Sequence

from forebay.wire.states import State
from forebay_server.db.engine import Transaction
from forebay_server.events.sources import EVENTS, Notice

FLOW_RUN = "prefect.flow-run."  # of names of events and of ids of resources alike
FLOW_RUN_STATES = "flow-run-states"  # the source that reads these events from the history


def flow_run_states_changed(db: Transaction, states: Sequence[State]) -> None:
    """Tell subscribers, after the commit, of `states` that this transaction put in the history.

    Nothing is written: the history is what such events are read from.
    """
    notices = [Notice(FLOW_RUN_STATES, state.id, f"{FLOW_RUN}{state.name}") for state in states]
    db.publish(EVENTS, notices)
