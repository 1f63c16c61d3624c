"""Prefect's worker and engine execute flows on Forebay: every way a run can end."""

from forebay.calls import logs, work_pools
from forebay.wire.states import StateType
from forebay.wire.work_pools import WorkPoolUpdate
from tests.acceptance.prefect.conftest import POOL, Prefect, is_running


def test_runs_end_as_their_flows_do(prefect: Prefect) -> None:
    prefect.deploy("succeeds", "fails", "succeeds_at_the_second_try", "crashes")
    prefect.start_worker()

    succeeds = prefect.run_deployment("succeeds", "--param", "x=5")
    fails = prefect.run_deployment("fails")
    again = prefect.run_deployment("succeeds-at-the-second-try")
    crashes = prefect.run_deployment("crashes")

    done = prefect.wait(succeeds)
    assert done.state_type == StateType.COMPLETED
    assert done.parameters == {"x": 5}
    failed = prefect.wait(fails)
    assert failed.state_type == StateType.FAILED
    assert failed.state is not None and "no good" in str(failed.state.message)
    retried = prefect.wait(again)
    assert (retried.state_type, retried.run_count) == (StateType.COMPLETED, 2)
    assert prefect.wait(crashes).state_type == StateType.CRASHED
    shown = prefect.run("flow-run", "logs", str(succeeds))
    assert "printed 5" in shown
    assert "sum 7" in shown
    messages = [log.message for log in prefect.client.send(logs.filter(flow_run_id=succeeds))]
    assert "sum 7" in messages


def test_a_running_flow_is_cancelled_and_gives_its_slot_back(prefect: Prefect) -> None:
    prefect.deploy("sleeps", "succeeds")
    prefect.client.send(work_pools.update(POOL, WorkPoolUpdate(concurrency_limit=1)))
    prefect.start_worker()
    sleeps = prefect.run_deployment("sleeps")
    prefect.wait(sleeps, is_running)

    prefect.run("flow-run", "cancel", str(sleeps))

    assert prefect.wait(sleeps).state_type == StateType.CANCELLED
    following = prefect.run_deployment("succeeds")
    assert prefect.wait(following).state_type == StateType.COMPLETED


def test_a_scheduled_run_is_cancelled_at_once(prefect: Prefect) -> None:
    prefect.deploy("succeeds")
    run = prefect.run_deployment("succeeds", "--start-in", "1 hour")

    prefect.run("flow-run", "cancel", str(run))

    assert prefect.wait(run).state_type == StateType.CANCELLED


def test_two_workers_never_exceed_the_limit_of_their_pool(prefect: Prefect) -> None:
    prefect.deploy("works_a_while")
    prefect.client.send(work_pools.update(POOL, WorkPoolUpdate(concurrency_limit=2)))
    prefect.start_worker("--name", "one")
    prefect.start_worker("--name", "two")
    runs = [prefect.run_deployment("works-a-while") for _ in range(6)]

    ended = [prefect.wait(run, seconds=120) for run in runs]

    assert {run.state_type for run in ended} == {StateType.COMPLETED}
    assert {run.run_count for run in ended} == {1}
    moments = [(run.start_time, 1) for run in ended] + [(run.end_time, -1) for run in ended]
    held = peak = 0
    for _, step in sorted(moments, key=lambda moment: (moment[0], moment[1])):
        held += step
        peak = max(peak, held)
    assert peak <= 2
