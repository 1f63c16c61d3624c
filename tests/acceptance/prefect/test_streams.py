"""Prefect's own subscribers, on which its runner and engine rest, hear what happens to a run."""

from datetime import UTC, datetime

from forebay.calls import flow_runs, logs
from forebay.wire.logs import LogCreate
from forebay.wire.states import StateCreate, StateDetails, StateType
from tests.acceptance.prefect.conftest import Prefect


def test_events_suspensions_and_lines_reach_stock_subscribers(prefect: Prefect) -> None:
    prefect.deploy("heard", "succeeds")
    run = prefect.run_deployment("succeeds", "heard", "--start-in", "1 hour")
    listener = prefect.start(str(run), script="listen.py")
    listener.wait_for_output("listening\n")

    line = LogCreate(
        name="n", level=20, message="heard", timestamp=datetime.now(UTC), flow_run_id=run
    )
    prefect.client.send(logs.create([line]))
    details = StateDetails(pause_reschedule=True, pause_key="k")
    suspended = StateCreate(type=StateType.PAUSED, name="Suspended", state_details=details)
    for state in (
        StateCreate(type=StateType.PENDING),
        StateCreate(type=StateType.RUNNING),
        suspended,
    ):
        prefect.client.send(flow_runs.set_state(run, state, force=True))

    assert listener.wait() == 0, listener.output
    heard, read, told = listener.output.splitlines()[-3:]
    assert heard == "line heard"
    names = read.split()[1:]
    assert names[0] == "prefect.flow-run.Suspended"
    assert sorted(names) == [
        "forebay.echo",
        *(f"prefect.flow-run.{name}" for name in ("Pending", "Running", "Scheduled", "Suspended")),
    ]
    assert set(told.split()) >= {
        "forebay.echo",
        "prefect.flow-run.Scheduled",  # replayed
        "prefect.flow-run.Suspended",
    }
