"""An ecs pool from deployment to end: AWS's stand-in, a real server and a real worker."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from forebay.wire.states import StateType
from tests.conftest import RunningServer
from tests.worker.conftest import WorkerProcess
from tests.worker.ecs.conftest import EcsSite
from tests.worker.ecs.fake import QUOTA, Refused, running_aws
from tests.worker.stored import Stored


def wait_for(site: EcsSite, run_id: UUID, state: StateType) -> str:
    """Wait until the run has the state; its message."""
    give_up_at = time.monotonic() + 30
    while (run := site.read(run_id)).state_type is not state:
        assert time.monotonic() < give_up_at, run.state
        time.sleep(0.05)
    assert run.state is not None
    return run.state.message or ""


def message(site: EcsSite, run_id: UUID) -> str:
    """Of the run's state, which must be CRASHED."""
    run = site.read(run_id)
    assert run.state_type is StateType.CRASHED, run.state
    assert run.state is not None
    return run.state.message or ""


@dataclass
class Served:
    """Runs of one pool that one worker has carried out."""

    site: EcsSite
    worker: WorkerProcess
    runs: dict[str, UUID]


def every_kind_of_value(site: EcsSite) -> dict[str, object]:
    """Job variables that refer to all that can be referred to, in all types of values."""
    stored = Stored(site)
    block = f"prefect.blocks.{stored.slug}.mine"
    return {
        "command": "sh -c 'env; exit 0'",
        "env.PLAIN": "7",
        "env.FROM_BLOCK": f"{{{{ {block}.hosts.main }}}}",
        "env.FROM_VARIABLE": f"zone {{{{ prefect.variables.{stored.name} }}}}",
        "env.FROM_WORKER": "{{ $CLUSTER }}",
        "env.BRACES": "{{ image }}",
        "cpu": 512,
        "capacity_provider_strategy": [{"capacityProvider": "own", "weight": 1, "base": 0}],
        "labels": {"team": "a"},
    }


WRONG = {
    "aws_access_key_id": "AKIAWRONG",
    "aws_secret_access_key": "wrong-secret",
    "region_name": "eu-test-1",
}


@pytest.fixture(scope="module")
def served(
    shared_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One worker has carried out a run of each kind, throttled at first."""
    with running_aws() as aws:
        throttled = [Refused("ThrottlingException", "Rate exceeded") for _ in range(2)]
        aws.refusals["RegisterTaskDefinition"] += throttled
        aws.refusals["RunTask"] += throttled[:1]
        site = EcsSite(shared_server, aws, tmp_path_factory.mktemp("ecs"))
        variables: dict[str, dict[str, object]] = {
            "good": {},
            "bad": {"command": "sh -c 'echo said; exit 3'"},
            "image": {"image": "nowhere:2"},
            "credentials": {"aws_credentials": WRONG},
            "quota": {"cluster": "full"},
            "values": every_kind_of_value(site),
        }
        deployment = site.deploy("greet", parameters={"times": 2, "name": "somebody"})
        runs = {
            name: site.run(deployment, job_variables=values) for name, values in variables.items()
        }
        worker = site.worker("--run-once", environment={"CLUSTER": "blue"})
        assert worker.end() == 0, worker.output
        yield Served(site, worker, runs)
        site.close()


@pytest.mark.scenario("ecs", "deploy-run-logs")
def test_run_of_a_deployment_completes_with_its_log_lines(served: Served) -> None:
    site, run_id = served.site, served.runs["good"]

    run = site.read(run_id)

    assert run.state_type is StateType.COMPLETED
    cluster, _, task = (run.infrastructure_pid or "").partition("::")
    assert site.aws.tasks[task].description["clusterArn"] == cluster
    assert site.messages(run_id, "stdout") == ["hello somebody 0", "hello somebody 1"]
    assert site.messages(run_id, "flow") == ["said 0", "said 1"]


def test_definitions_know_nothing_of_a_run_or_its_token(served: Served) -> None:
    text = json.dumps(served.site.aws.definitions)

    for private in (served.site.server.api_key, str(served.runs["good"]), "somebody"):
        assert private not in text


@pytest.mark.scenario("ecs", "failed-exit")
def test_output_and_exit_code_of_a_command_reach_run_and_log(served: Served) -> None:
    run_id = served.runs["bad"]

    assert "The task's container ended with exit code 3" in message(served.site, run_id)
    assert served.site.messages(run_id, "stdout") == ["said"]


@pytest.mark.scenario("ecs", "bad-credentials")
def test_credentials_that_aws_does_not_know_are_told(served: Served) -> None:
    assert message(served.site, served.runs["credentials"]) == (
        "AWS refuses: The security token included in the request is invalid "
        "(UnrecognizedClientException)."
    )
    assert "wrong-secret" not in served.worker.output


@pytest.mark.scenario("ecs", "quota-or-throttling")
def test_throttled_run_starts_once_aws_lets_it(served: Served) -> None:
    aws = served.site.aws

    assert aws.refusals["RegisterTaskDefinition"] == aws.refusals["RunTask"] == []
    assert served.site.read(served.runs["good"]).state_type is StateType.COMPLETED
    claims = [task.claim for task in aws.tasks.values()]
    assert len(claims) == len(set(claims))


@pytest.mark.scenario("ecs", "quota-or-throttling")
def test_used_up_quota_is_named(served: Served) -> None:
    assert message(served.site, served.runs["quota"]) == f"AWS refuses: {QUOTA}."


def test_image_that_cannot_be_pulled_is_named(served: Served) -> None:
    told = message(served.site, served.runs["image"])

    assert told.startswith("The task could not start: CannotPullContainerError")
    assert "nowhere:2" in told


@pytest.mark.scenario("ecs", "template-values")
def test_values_of_every_kind_reach_the_container(served: Served) -> None:
    run_id = served.runs["values"]

    assert served.site.read(run_id).state_type is StateType.COMPLETED
    assert {
        "PLAIN=7",
        "FROM_BLOCK=a.test",
        'FROM_VARIABLE=zone {"zone": 3}',
        "FROM_WORKER=blue",
        "BRACES={{ image }}",
    } <= set(served.site.messages(run_id, "stdout"))
    [request] = [
        body for body in served.site.aws.sent("RunTask") if "capacityProviderStrategy" in body
    ]
    assert {"key": "team", "value": "a"} in request["tags"]
    assert request["overrides"]["cpu"] == "512"


@pytest.mark.scenario("ecs", "cancel")
def test_cancelling_stops_the_task(ecs_site: EcsSite) -> None:
    parameters = {"gate": str(ecs_site.folder / "gate")}
    run_id = ecs_site.run(ecs_site.deploy("wait_for", parameters=parameters))
    ecs_site.worker()
    wait_for(ecs_site, run_id, StateType.RUNNING)

    ecs_site.propose(run_id, StateType.CANCELLING)

    assert "Ended by its Forebay worker" in wait_for(ecs_site, run_id, StateType.CANCELLED)
    [task] = ecs_site.aws.tasks.values()
    assert task.description["lastStatus"] == "STOPPED"


@pytest.mark.scenario("ecs", "cancel")
@pytest.mark.scenario("ecs", "adopted-after-restart")
def test_killed_worker_s_successor_goes_on_with_one_run_and_cancels_another(
    ecs_site: EcsSite,
) -> None:
    gate = ecs_site.folder / "gate"
    command = f"sh -c 'echo waiting; while [ ! -e {gate} ]; do sleep 0.02; done; echo done'"
    deployment = ecs_site.deploy("greet", job_variables={"command": command})
    kept, cancelled = ecs_site.run(deployment), ecs_site.run(deployment)
    first = ecs_site.worker("--name", "one")
    for run_id in (kept, cancelled):
        wait_for(ecs_site, run_id, StateType.RUNNING)
        while not ecs_site.messages(run_id, "stdout"):
            time.sleep(0.05)
    first.kill()
    ecs_site.propose(cancelled, StateType.CANCELLING)

    second = ecs_site.worker("--name", "one")
    wait_for(ecs_site, cancelled, StateType.CANCELLED)
    gate.touch()

    wait_for(ecs_site, kept, StateType.COMPLETED)
    second.stop()
    assert second.end() == 0
    assert second.output.count("taken over") == 2
    assert len(ecs_site.aws.tasks) == 2
    assert ecs_site.messages(kept, "stdout") == ["waiting", "done"]
    assert ecs_site.messages(cancelled, "stdout") == ["waiting"]
