"""A docker pool from deployment to end, with a real engine, server and worker."""

import time

import pytest

from forebay.wire.states import StateType
from tests.worker.docker.conftest import DockerSite
from tests.worker.stored import Stored


def wait_for(site: DockerSite, run_id: object, state: StateType, seconds: float = 30) -> str:
    """Wait until the run has the state; its message."""
    give_up_at = time.monotonic() + seconds
    while (run := site.read(run_id)).state_type is not state:  # type: ignore[arg-type]
        assert time.monotonic() < give_up_at, (run.state, site.started[-1].process.poll())
        time.sleep(0.05)
    assert run.state is not None
    return run.state.message or ""


@pytest.mark.scenario("docker", "deploy-run-logs")
def test_run_of_a_deployment_completes_with_its_log_lines(docker_site: DockerSite) -> None:
    run_id = docker_site.run(docker_site.deploy("greet", parameters={"times": 2}))

    docker_site.serve_once()

    assert docker_site.read(run_id).state_type is StateType.COMPLETED
    assert docker_site.messages(run_id, "stdout") == ["hello you 0", "hello you 1"]
    assert docker_site.messages(run_id, "flow") == ["said 0", "said 1"]
    [container] = docker_site.containers(run_id)
    assert f":{container}" in str(docker_site.read(run_id).infrastructure_pid)


@pytest.mark.scenario("docker", "failed-exit")
def test_output_and_exit_code_of_a_command_reach_run_and_log(docker_site: DockerSite) -> None:
    command = "sh -c 'echo said; echo complained >&2; exit 3'"
    run_id = docker_site.run(docker_site.deploy("greet", job_variables={"command": command}))

    docker_site.serve_once()

    run = docker_site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert "The container ended with exit code 3" in str(run.state.message)
    assert docker_site.messages(run_id, "stdout") == ["said"]
    assert docker_site.messages(run_id, "stderr") == ["complained"]


def test_run_that_dies_is_crashed_and_its_last_lines_are_told(docker_site: DockerSite) -> None:
    run_id = docker_site.run(docker_site.deploy("crash"))

    docker_site.serve_once()

    run = docker_site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert "exit code 9" in str(run.state.message)
    assert "last words" in docker_site.messages(run_id, "forebay.worker")[0]


@pytest.mark.scenario("docker", "cancel")
def test_cancelling_ends_the_container(docker_site: DockerSite) -> None:
    gate = docker_site.folder / "gate"
    run_id = docker_site.run(docker_site.deploy("wait_for", parameters={"gate": str(gate)}))
    worker = docker_site.worker()
    wait_for(docker_site, run_id, StateType.RUNNING)

    docker_site.propose(run_id, StateType.CANCELLING)

    message = wait_for(docker_site, run_id, StateType.CANCELLED)
    assert "container" in message
    assert docker_site.containers(run_id, "--filter", "status=running") == []
    worker.stop()
    assert worker.end() == 0


@pytest.mark.scenario("docker", "adopted-after-restart")
def test_killed_worker_s_successor_goes_on_without_a_second_execution(
    docker_site: DockerSite,
) -> None:
    gate = docker_site.folder / "gate"
    run_id = docker_site.run(docker_site.deploy("wait_for", parameters={"gate": str(gate)}))
    first = docker_site.worker("--name", "one")
    wait_for(docker_site, run_id, StateType.RUNNING)
    first.kill()

    second = docker_site.worker("--name", "one")
    second.until("taken over")
    gate.touch()

    wait_for(docker_site, run_id, StateType.COMPLETED)
    assert len(docker_site.containers(run_id)) == 1
    assert docker_site.messages(run_id, "stdout") == ["waiting"]
    second.stop()
    assert second.end() == 0


def test_successor_cancels_and_logs_a_command_that_another_worker_started(
    docker_site: DockerSite,
) -> None:
    gate = docker_site.folder / "gate"
    command = f"sh -c 'echo before; while [ ! -e {gate} ]; do sleep 0.05; done; echo after; cat'"
    variables = {"command": command, "container_create_kwargs": {"stdin_open": True}}
    run_id = docker_site.run(docker_site.deploy("greet", job_variables=variables))
    first = docker_site.worker("--name", "one")
    first.until("| before")
    wait_for(docker_site, run_id, StateType.RUNNING)
    first.stop()
    first.stop()
    assert first.end() == 0
    gate.touch()

    second = docker_site.worker("--name", "one")
    second.until("| after")
    docker_site.propose(run_id, StateType.CANCELLING)

    wait_for(docker_site, run_id, StateType.CANCELLED)
    assert docker_site.messages(run_id, "stdout") == ["before", "after"]
    assert docker_site.containers(run_id, "--filter", "status=running") == []


def test_worker_of_another_name_leaves_running_containers_to_their_own(
    docker_site: DockerSite,
) -> None:
    gate = docker_site.folder / "gate"
    run_id = docker_site.run(docker_site.deploy("wait_for", parameters={"gate": str(gate)}))
    docker_site.worker("--name", "one")
    wait_for(docker_site, run_id, StateType.RUNNING)

    other = docker_site.worker("--name", "two", "--run-once")

    assert other.end() == 0
    assert "taken over" not in other.output
    gate.touch()
    wait_for(docker_site, run_id, StateType.COMPLETED)


def test_image_that_is_not_there_is_named(docker_site: DockerSite) -> None:
    run_id = docker_site.run(docker_site.deploy("greet", job_variables={"image": "nowhere:2"}))

    docker_site.serve_once()

    run = docker_site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert str(run.state.message).startswith("The image 'nowhere:2' is not on the engine's")


def test_worker_without_an_engine_says_what_is_missing(docker_site: DockerSite) -> None:
    run_id = docker_site.run(docker_site.deploy("greet"))

    worker = docker_site.worker(
        "--run-once", environment={"DOCKER_HOST": "unix:///nowhere/docker.sock"}
    )

    assert worker.end() == 0
    run = docker_site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert str(run.state.message).startswith("The Docker engine does not answer")


@pytest.mark.scenario("docker", "template-values")
def test_values_of_every_kind_reach_the_container(docker_site: DockerSite) -> None:
    stored = Stored(docker_site)
    block = f"prefect.blocks.{stored.slug}.mine"
    variables = {
        "command": "sh -c 'env; exit 0'",
        "env.PLAIN": "7",
        "env.FROM_BLOCK": f"{{{{ {block}.hosts.main }}}}",
        "env.FROM_VARIABLE": f"zone {{{{ prefect.variables.{stored.name} }}}}",
        "env.FROM_WORKER": "{{ $CLUSTER }}",
        "env.BRACES": "{{ image }}",
    }
    run_id = docker_site.run(docker_site.deploy("greet", job_variables=variables))

    worker = docker_site.worker("--run-once", environment={"CLUSTER": "blue"})

    assert worker.end() == 0
    assert docker_site.read(run_id).state_type is StateType.COMPLETED
    assert {
        "PLAIN=7",
        "FROM_BLOCK=a.test",
        'FROM_VARIABLE=zone {"zone": 3}',
        "FROM_WORKER=blue",
        "BRACES={{ image }}",
    } <= set(docker_site.messages(run_id, "stdout"))
