"""`forebay deployment` and `forebay flow-run` against a real server; the tests play the worker."""

import json
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

import pytest

from forebay.calls import deployments, flow_runs, flows, logs, work_pools
from forebay.cli.entrypoints import read_entrypoint
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.deployments import Deployment, DeploymentCreate
from forebay.wire.flow_runs import DeploymentFlowRunCreate, FlowRun
from forebay.wire.flows import FlowCreate
from forebay.wire.logs import LogCreate
from forebay.wire.states import StateCreate, StateType, VerdictStatus
from forebay.wire.work_pools import WorkPoolCreate

Run = Callable[..., CompletedProcess[str]]

SOURCE = '''
def say_hello(name: str, times: int = 1) -> None:
    """Greet somebody."""
'''


@pytest.fixture
def run(forebay: Run, shared_server: Any) -> Run:
    """The command line with that server's address and token."""

    def run(*args: object, input: str = "") -> CompletedProcess[str]:
        return forebay(*map(str, args), environment=shared_server.environment, input=input)

    return run


@pytest.fixture
def client(shared_server: Any) -> Iterator[Client]:
    """A client of the same server."""
    settings = ClientSettings(api_url=shared_server.api_url, api_key=shared_server.api_key)
    with Client(settings) as client:
        yield client


@pytest.fixture
def pool(client: Client) -> str:
    """A pool of its own, whose template has the variable `image`."""
    template = {
        "job_configuration": {"image": "{{ image }}"},
        "variables": {"type": "object", "properties": {"image": {"type": "string"}}},
    }
    body = WorkPoolCreate(name=f"pool {uuid.uuid4()}", type="process", base_job_template=template)
    return client.send(work_pools.create(body)).name


@pytest.fixture
def deployment(client: Client, pool: str, tmp_path: Path) -> Deployment:
    """A deployment of `say_hello` in that pool, as the command line makes it."""
    (tmp_path / "hello.py").write_text(SOURCE)
    source = read_entrypoint("hello.py:say_hello", tmp_path)
    flow = client.send(flows.create(FlowCreate(name=f"flow of {pool}")))
    body = DeploymentCreate(
        name="default",
        flow_id=flow.id,
        work_pool_name=pool,
        path=str(source.folder),
        entrypoint=source.text,
        parameter_openapi_schema=source.parameters,
        enforce_parameter_schema=True,
    )
    return client.send(deployments.create(body))


def register(run: Run, pool: str, *options: str) -> Any:
    made = run(
        *("deployment", "create", "hello.py:say_hello", "--pool", pool, "-o", "json"),
        *("--flow-name", f"flow of {pool}", *options),
    )
    return as_json(made)


def as_json(ended: CompletedProcess[str]) -> Any:
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def start(client: Client, deployment: Deployment, **values: Any) -> FlowRun:
    """A new run of the deployment."""
    body = DeploymentFlowRunCreate(parameters={"name": "you"}, **values)
    return client.send(deployments.create_flow_run(deployment.id, body))


def propose(client: Client, run_id: UUID, state: StateType, message: str | None = None) -> None:
    verdict = client.send(flow_runs.set_state(run_id, StateCreate(type=state, message=message)))
    assert verdict.status is VerdictStatus.ACCEPT


def write(client: Client, run_id: UUID, *messages: str) -> None:
    begun = datetime.now(UTC)
    lines = [
        LogCreate(
            name="test",
            level=20,
            message=message,
            timestamp=begun + timedelta(milliseconds=number),
            flow_run_id=run_id,
        )
        for number, message in enumerate(messages)
    ]
    client.send(logs.create(lines))


def test_function_is_registered_with_what_its_signature_says(
    run: Run, pool: str, tmp_path: Path
) -> None:
    (tmp_path / "hello.py").write_text(SOURCE)

    made = register(run, pool)

    schema = made["parameter_openapi_schema"]
    assert made["name"] == "default"
    assert made["entrypoint"] == "hello.py:say_hello"
    assert made["path"] == str(tmp_path.resolve())
    assert made["work_pool_name"] == pool
    assert made["description"] == "Greet somebody."
    assert schema["required"] == ["name"]
    assert schema["properties"]["times"]["type"] == "integer"


def test_flow_is_named_after_the_function(run: Run, pool: str, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SOURCE)

    made = run("deployment", "create", "hello.py:say_hello", "-p", pool, "-n", pool)

    assert made.returncode == 0, made.stderr
    assert f"forebay deployment run 'say-hello/{pool}'" in made.stdout
    assert run("deployment", "inspect", f"say-hello/{pool}").returncode == 0


def test_deployment_of_the_same_name_is_replaced(
    run: Run, deployment: Deployment, pool: str
) -> None:
    again = register(run, pool, "--param-default", "times=3", "--tag", "a", "--tag", "b")

    assert again["id"] == str(deployment.id)
    assert again["parameters"] == {"times": 3}
    assert again["tags"] == ["a", "b"]


def test_unknown_queue_of_the_pool_is_made(run: Run, deployment: Deployment, pool: str) -> None:
    register(run, pool, "--work-queue", "urgent")

    assert run("work-queue", "inspect", "urgent", "-p", pool).returncode == 0


def test_unknown_pool_exits_with_3_and_names_the_list(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SOURCE)

    ended = run("deployment", "create", "hello.py:say_hello", "--pool", "no such pool")

    assert ended.returncode == 3
    assert "forebay work-pool ls" in ended.stderr


def test_job_variable_that_the_template_refuses_exits_with_4(
    run: Run, deployment: Deployment, pool: str
) -> None:
    ended = run(
        *("deployment", "create", "hello.py:say_hello", "--pool", pool),
        *("--job-variable", "image=[1]"),
    )

    assert ended.returncode == 4
    assert "image" in ended.stderr


def test_deployment_is_listed_inspected_and_deleted(
    run: Run, deployment: Deployment, pool: str
) -> None:
    name = f"flow of {pool}/default"

    listed = run("deployment", "ls", "--pool", pool)
    as_list = as_json(run("deployment", "ls", f"flow of {pool}", "-o", "json"))
    inspected = as_json(run("deployment", "inspect", name, "-o", "json"))
    refused = run("deployment", "delete", name)
    deleted = run("deployment", "delete", name, "--yes")

    assert name in listed.stdout
    assert [item["id"] for item in as_list] == [inspected["id"]] == [str(deployment.id)]
    assert refused.returncode == 2
    assert deleted.returncode == 0
    assert run("deployment", "inspect", name).returncode == 3


@pytest.mark.parametrize("name", ["no/such", "00000000-0000-0000-0000-000000000000"])
def test_unknown_deployment_exits_with_3_and_names_the_list(run: Run, name: str) -> None:
    ended = run("deployment", "run", name)

    assert ended.returncode == 3
    assert "forebay deployment ls" in ended.stderr


def test_run_has_the_parameters_as_json_or_text(run: Run, deployment: Deployment) -> None:
    made = as_json(
        run(
            *("deployment", "run", deployment.id, "-o", "json", "--tag", "x"),
            *("--params", '{"name": "all", "times": 1}', "-p", "name=you", "-p", "times=2"),
        )
    )

    assert made["parameters"] == {"name": "you", "times": 2}
    assert made["state_type"] == "SCHEDULED"
    assert made["tags"] == ["x"]


def test_parameters_are_read_from_stdin(run: Run, deployment: Deployment) -> None:
    made = run(
        *("deployment", "run", deployment.id, "--params", "-", "-o", "json"),
        input='{"name": "stdin"}',
    )

    assert as_json(made)["parameters"]["name"] == "stdin"


@pytest.mark.parametrize(
    "parameters", [[], ["name=1"], ["name=you", "times=x"], ["name=you", "unknown=1"]]
)
def test_parameters_that_do_not_fit_exit_with_4(
    run: Run, deployment: Deployment, parameters: list[str]
) -> None:
    options = [option for text in parameters for option in ("--param", text)]

    ended = run("deployment", "run", deployment.id, *options)

    assert ended.returncode == 4
    assert "forebay deployment inspect" in ended.stderr


def test_run_starts_later_under_a_name_and_is_previewed(
    run: Run, deployment: Deployment, pool: str
) -> None:
    made = as_json(
        run(
            *("deployment", "run", deployment.id, "-p", "name=you", "-o", "json"),
            *("--start-in", "7200", "--flow-run-name", "tomorrow"),
        )
    )

    one = as_json(run("work-pool", "preview", pool, "-o", "json"))
    three = as_json(run("work-pool", "preview", pool, "--hours", "3", "-o", "json"))

    delay = datetime.fromisoformat(made["next_scheduled_start_time"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < delay <= timedelta(hours=2)
    assert (one, [item["name"] for item in three]) == ([], ["tomorrow"])


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
    last = run("flow-run", "logs", made.id, "--tail", "2")

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


def test_run_that_nobody_takes_is_explained(
    run: Run, client: Client, deployment: Deployment, pool: str
) -> None:
    made = start(client, deployment)

    unserved = run("flow-run", "watch", made.id, "--timeout", "4")
    run("work-pool", "pause", pool)
    paused = run("flow-run", "watch", made.id, "--timeout", "4")

    assert f"No worker serves the pool '{pool}'" in unserved.stdout
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
