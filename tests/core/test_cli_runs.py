"""`forebay flow-run` against a real server; the tests play the worker."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from forebay.calls import flow_runs, work_pools
from forebay.client import Client
from forebay.wire.deployments import Deployment
from forebay.wire.states import StateType
from forebay.wire.work_pools import WorkPoolUpdate
from tests.core.builders import Run, as_json, propose, start, write


def test_runs_are_listed_newest_first_and_filtered(
    run: Run, deployment: Deployment, pool: str, client: Client
) -> None:
    first = start(client, deployment)
    second = start(client, deployment)
    propose(client, first.id, StateType.PENDING)

    def listed(*options: str) -> list[str]:
        found = as_json(run("flow-run", "ls", "--pool", pool, "-o", "json", *options))
        return [item["id"] for item in found]

    assert listed() == [str(second.id), str(first.id)]
    assert listed("--limit", "1") == [str(second.id)]
    assert listed("--state-type", "pending") == [str(first.id)]
    assert listed("--state", "Scheduled") == [str(second.id)]
    assert listed("--flow-name", "another") == []
    assert second.name in run("flow-run", "ls", "--pool", pool).stdout


def test_run_that_has_not_begun_is_cancelled_at_once(
    run: Run, client: Client, deployment: Deployment
) -> None:
    made = start(client, deployment)

    cancelled = as_json(run("flow-run", "cancel", made.id, "-o", "json"))
    again = run("flow-run", "cancel", made.id)

    assert cancelled["state_type"] == "CANCELLED"
    assert again.returncode == 4
    assert "Traceback" not in again.stderr


def test_run_is_inspected_and_deleted(run: Run, client: Client, deployment: Deployment) -> None:
    made = start(client, deployment)

    inspected = run("flow-run", "inspect", made.id)
    refused = run("flow-run", "delete", made.id)
    deleted = run("flow-run", "delete", made.id, "--yes")
    gone = run("flow-run", "inspect", made.id)

    assert made.name in inspected.stdout
    assert (refused.returncode, deleted.returncode, gone.returncode) == (2, 0, 3)
    assert "forebay flow-run ls" in gone.stderr


def test_log_lines_are_printed_in_order_over_several_pages(
    run: Run, deployment: Deployment, client: Client
) -> None:
    made = start(client, deployment)
    messages = [f"line {number}" for number in range(450)]
    write(client, made.id, *messages)

    every = as_json(run("flow-run", "logs", made.id, "-o", "json"))
    last = run("flow-run", "logs", made.id, "--tail", "-n", "2")

    assert [line["message"] for line in every] == messages
    assert [line.rpartition("  ")[2] for line in last.stdout.splitlines()] == messages[-2:]


def test_followed_logs_end_with_the_run(run: Run, deployment: Deployment, client: Client) -> None:
    made = start(client, deployment)
    write(client, made.id, "before")
    for state in (StateType.PENDING, StateType.RUNNING, StateType.COMPLETED):
        propose(client, made.id, state)

    ended = run("flow-run", "logs", made.id, "--follow", "-o", "json")

    assert [json.loads(line)["message"] for line in ended.stdout.splitlines()] == ["before"]


def watch(shared_server: Any, run_id: UUID) -> subprocess.Popen[str]:
    """`forebay flow-run watch`, going on beside the test."""
    return subprocess.Popen(
        [Path(sys.executable).parent / "forebay", "flow-run", "watch", str(run_id)],
        env=shared_server.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_watched_run_prints_states_and_lines_and_succeeds(
    run: Run, deployment: Deployment, client: Client, shared_server: Any
) -> None:
    made = start(client, deployment)
    process = watch(shared_server, made.id)
    assert process.stdout is not None
    seen = [process.stdout.readline()]

    propose(client, made.id, StateType.PENDING)
    seen.append(process.stdout.readline())
    propose(client, made.id, StateType.RUNNING)
    seen.append(process.stdout.readline())
    write(client, made.id, "hello there")
    seen.append(process.stdout.readline())
    propose(client, made.id, StateType.COMPLETED)
    rest, errors = process.communicate(timeout=30)

    assert process.returncode == 0, errors
    told = [line.split(maxsplit=1)[1].strip() for line in [*seen, *rest.splitlines()]]
    assert told[:3] == ["Scheduled", "Pending", "Running"]
    assert told[3].endswith("hello there")
    assert told[4:] == ["Completed"]


def test_watched_run_that_fails_fails_the_command_and_gives_the_reason(
    run: Run, deployment: Deployment, client: Client
) -> None:
    made = start(client, deployment)
    propose(client, made.id, StateType.PENDING)
    propose(client, made.id, StateType.RUNNING)
    propose(client, made.id, StateType.FAILED, "the disk is full")

    ended = run("flow-run", "watch", made.id, "-o", "json")

    assert ended.returncode == 1
    assert json.loads(ended.stdout)["state_type"] == "FAILED"
    assert "ended FAILED: the disk is full" in ended.stderr


def test_states_between_two_looks_are_shown_in_their_order_among_the_lines(
    run: Run, deployment: Deployment, client: Client
) -> None:
    made = start(client, deployment)
    propose(client, made.id, StateType.PENDING)
    propose(client, made.id, StateType.RUNNING)
    write(client, made.id, "hello there")
    propose(client, made.id, StateType.COMPLETED)

    ended = run("flow-run", "watch", made.id)

    told = [line.split(maxsplit=1)[1] for line in ended.stdout.splitlines()]
    assert [text.split()[-1] for text in told] == [
        *("Scheduled", "Pending", "Running", "there", "Completed")
    ]


def test_line_that_comes_after_the_last_state_is_printed(
    run: Run, deployment: Deployment, client: Client, shared_server: Any
) -> None:
    made = start(client, deployment)
    for state in (StateType.PENDING, StateType.RUNNING, StateType.COMPLETED):
        propose(client, made.id, state)
    process = watch(shared_server, made.id)
    assert process.stdout is not None
    completed = [process.stdout.readline() for _ in range(4)][-1]

    write(client, made.id, "the last words")
    rest, _ = process.communicate(timeout=30)

    assert completed.strip().endswith("Completed")
    assert rest.strip().endswith("the last words")


def test_watching_ends_at_its_time_limit_and_says_how_to_go_on(
    run: Run, deployment: Deployment
) -> None:
    ended = run(
        *("deployment", "run", deployment.id, "-p", "name=you"),
        *("--watch", "--watch-timeout", "0.1"),
    )

    assert ended.returncode == 1
    assert "still Scheduled" in ended.stderr
    assert "forebay flow-run watch" in ended.stderr


def test_interrupted_watching_leaves_the_run_as_it_is(
    deployment: Deployment, client: Client, shared_server: Any
) -> None:
    made = start(client, deployment)
    process = watch(shared_server, made.id)
    assert process.stdout is not None
    process.stdout.readline()

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "Traceback" not in errors
    assert client.send(flow_runs.read(made.id)).state_type is StateType.SCHEDULED


def test_run_that_nobody_takes_is_explained(
    run: Run, client: Client, deployment: Deployment, pool: str
) -> None:
    made = start(client, deployment)

    unserved = run("flow-run", "watch", made.id, "--timeout", "4")
    run("work-pool", "pause", pool)
    paused = run("flow-run", "watch", made.id, "--timeout", "4")

    assert "No worker has ever served the pool: forebay worker start" in unserved.stdout
    assert f"forebay work-pool resume '{pool}'" in paused.stdout


def test_pool_whose_slots_are_taken_shows_it(
    run: Run, deployment: Deployment, pool: str, client: Client
) -> None:
    run("work-pool", "set-concurrency-limit", pool, "1")
    made = start(client, deployment)
    propose(client, made.id, StateType.PENDING)

    listed = run("work-pool", "ls", "--match", pool)

    assert client.send(work_pools.read(pool)).active_slots == 1
    assert "1 of 1" in listed.stdout


def test_pool_with_active_runs_is_deleted_only_by_force(
    run: Run, deployment: Deployment, pool: str, client: Client
) -> None:
    made = start(client, deployment)
    propose(client, made.id, StateType.PENDING)

    refused = run("work-pool", "delete", pool, "--yes")
    forced = run("work-pool", "delete", pool, "--yes", "--force")

    assert refused.returncode == 4
    assert f"forebay flow-run ls --pool '{pool}'" in refused.stderr
    assert forced.returncode == 0


def test_first_lines_last_lines_and_reversed_lines(
    run: Run, deployment: Deployment, client: Client
) -> None:
    made = start(client, deployment)
    messages = [f"line {number}" for number in range(30)]
    write(client, made.id, *messages)

    def lines(*options: str) -> list[str]:
        return [
            item["message"]
            for item in as_json(run("flow-run", "logs", made.id, "-o", "json", *options))
        ]

    assert lines("--head") == messages[:20]
    assert lines("-n", "3") == messages[:3]
    assert lines("--tail") == messages[-20:]
    assert lines("--tail", "-n", "2", "--reverse") == messages[:-3:-1]
    assert run("flow-run", "logs", made.id, "--head", "--tail").returncode == 2


def test_ended_run_is_retried_by_id_and_by_name(
    run: Run, deployment: Deployment, client: Client
) -> None:
    made = start(client, deployment, name=f"run of {deployment.id}")
    for state in (StateType.PENDING, StateType.RUNNING, StateType.FAILED):
        propose(client, made.id, state)

    retried = as_json(run("flow-run", "retry", made.id, "-o", "json"))
    again = run("flow-run", "retry", made.name)
    nobody = run("flow-run", "retry", "no such run")

    assert retried["state_type"] == "SCHEDULED"
    assert again.returncode == 4
    assert "has not ended" in again.stderr
    assert nobody.returncode == 3


def test_name_of_several_runs_is_not_retried(
    run: Run, deployment: Deployment, client: Client
) -> None:
    first = start(client, deployment, name=f"twin of {deployment.id}")
    start(client, deployment, name=first.name)

    ended = run("flow-run", "retry", first.name)

    assert ended.returncode == 4
    assert "Several runs" in ended.stderr


def test_explanation_names_every_rule_and_who_holds_the_slots(
    run: Run, deployment: Deployment, client: Client, pool: str
) -> None:
    client.send(work_pools.update(pool, WorkPoolUpdate(concurrency_limit=1)))
    holder = start(client, deployment)
    propose(client, holder.id, StateType.PENDING)
    waiting = start(client, deployment)

    told = as_json(run("flow-run", "explain", waiting.id, "-o", "json"))
    shown = run("flow-run", "explain", waiting.id).stdout
    of_holder = as_json(run("flow-run", "explain", holder.id, "-o", "json"))

    unmet = {item["rule"]: item for item in told["conditions"] if not item["met"]}
    assert unmet.keys() == {"pool_limit", "worker_online", "queue_polled"}
    assert [item["flow_run_id"] for item in unmet["pool_limit"]["holders"]] == [str(holder.id)]
    assert str(holder.id) in shown
    assert "forebay worker start" in shown
    assert f"forebay work-pool slots '{pool}'" in shown
    assert not of_holder["may_start"]
    assert (
        "only scheduled runs are given to workers" in run("flow-run", "explain", holder.id).stdout
    )


def test_run_that_nothing_holds_is_said_to_be_taken_next(
    run: Run, deployment: Deployment, client: Client, pool: str
) -> None:
    client.send(work_pools.heartbeat(pool, "worker", 30))
    client.send(work_pools.due_runs(pool, worker="worker"))
    made = start(client, deployment)

    shown = run("flow-run", "explain", made.id).stdout

    assert "Nothing holds it" in shown


FLOW = """
def say_hello(name, times=1):
    print("hello", name)


def fail(name, times=1):
    raise ValueError(name)
"""


def test_run_is_executed_here_and_retried_here_with_another_function(
    run_process: Run,
    deployment: Deployment,
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "hello.py").write_text(FLOW)
    made = start(client, deployment)

    monkeypatch.setenv("PREFECT__FLOW_RUN_ID", str(made.id))
    executed = run_process("flow-run", "execute")
    state = client.send(flow_runs.read(made.id))
    retried = run_process("flow-run", "retry", str(made.id), "-e", "hello.py:fail", "-o", "json")

    assert executed.returncode == 0, executed.stderr
    assert "hello you" in executed.stdout
    assert (state.state_type, state.run_count) == (StateType.COMPLETED, 1)
    assert as_json(retried)["state_type"] == "FAILED"
    failed = client.send(flow_runs.read(made.id))
    assert (failed.state_type, failed.run_count) == (StateType.FAILED, 2)
    assert not client.send(work_pools.workers(str(made.work_pool_name)))


def test_execution_without_a_run_s_id_says_what_is_missing(run: Run) -> None:
    ended = run("flow-run", "execute")

    assert ended.returncode == 2
    assert "FOREBAY_FLOW_RUN_ID" in ended.stderr
