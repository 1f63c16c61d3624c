"""The worker type on moto's server, which answers as ECS, EC2 and CloudWatch Logs by itself.

moto runs nothing: a task goes one step further whenever it is looked at, and ends well.
"""

import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from forebay.pool_types import default_template
from forebay_worker.base import StartFailed
from forebay_worker.worker_types.aws_access import Aws, AwsCredentials
from forebay_worker.worker_types.ecs import EcsWorker
from forebay_worker.worker_types.ecs_request import EcsConfiguration
from tests.conftest import missing
from tests.worker.builders import Collector, a_run, an_assignment
from tests.worker.ecs.builders import a_configuration

PYTHON = Path(__file__).parents[3] / ".venv-clouds" / "bin" / "python"
LOGS = {"logGroupName": "forebay"}


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    """Where moto listens."""
    if not PYTHON.exists():
        missing("moto is not here: make peers")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [str(PYTHON), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        give_up_at = time.monotonic() + 60
        while not _listens(port):
            assert process.poll() is None and time.monotonic() < give_up_at
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
        process.terminate()


@pytest.fixture
async def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Aws]:
    """The account, with a cluster and a log group, found through AWS's own variables."""
    settings = {
        "AWS_ENDPOINT_URL": moto,
        "AWS_ACCESS_KEY_ID": "AKIAFOREBAY",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    account = Aws(AwsCredentials())
    await account.ask("ecs", "create_cluster", clusterName="default")
    if not (await account.ask("logs", "describe_log_groups"))["logGroups"]:
        await account.ask("logs", "create_log_group", **LOGS)
    yield account
    await account.close()


@pytest.fixture
async def worker_type(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EcsWorker]:
    """The worker type, in a hurry."""
    monkeypatch.setattr("forebay_worker.worker_types.ecs_task.LATE_LINES_SECONDS", 0.05)
    made = EcsWorker()
    yield made
    await made.close()


def a_sized_configuration(command: str = "true", **variables: Any) -> EcsConfiguration:
    """A container with a memory of its own, which moto wants."""
    template = default_template("ecs")
    [container] = template["job_configuration"]["task_definition"]["containerDefinitions"]
    container["memory"] = "{{ memory }}"
    return a_configuration(command, template=template, memory=1024, **variables)


async def test_task_goes_the_whole_way_with_its_lines(aws: Aws, worker_type: EcsWorker) -> None:
    reporter = Collector()
    configuration = a_sized_configuration(family="whole", task_watch_poll_interval=0.2)
    definition = {"logStreamName": "", **LOGS}

    infrastructure_id = await worker_type.start(configuration, an_assignment(reporter))
    definition["logStreamName"] = f"whole/forebay/{infrastructure_id.rpartition('/')[2]}"
    await aws.ask("logs", "create_log_stream", **definition)
    now = int(time.time() * 1000)
    events = [{"timestamp": now, "message": f"line {number}"} for number in range(3)]
    await aws.ask("logs", "put_log_events", **definition, logEvents=events)
    outcome = await worker_type.wait(infrastructure_id)

    assert outcome.exit_code == 0
    assert reporter.messages("stdout") == ["line 0", "line 1", "line 2"]


async def test_last_revision_is_known_again_in_what_moto_tells_of_it(
    aws: Aws, worker_type: EcsWorker
) -> None:
    configuration = a_sized_configuration(family="matched", match_latest_revision_in_family=True)
    for worker in (worker_type, another := EcsWorker()):
        run = a_run()
        started = await worker.start(configuration, an_assignment(Collector(), run))
        await worker.wait(started)
    await another.close()

    found = await aws.ask("ecs", "list_task_definitions", familyPrefix="matched")

    assert len(found["taskDefinitionArns"]) == 1


async def test_capacity_provider_takes_the_place_of_the_launch_type(
    aws: Aws, worker_type: EcsWorker
) -> None:
    configuration = a_sized_configuration(launch_type="FARGATE_SPOT")

    started = await worker_type.start(configuration, an_assignment(Collector()))

    assert (await worker_type.wait(started)).exit_code == 0


async def test_successor_finds_the_task_by_its_tags_and_stops_it(
    aws: Aws, worker_type: EcsWorker
) -> None:
    assignment = an_assignment(Collector(), FOREBAY_CLAIM="run:3")
    configuration = a_sized_configuration(task_watch_poll_interval=60)
    started = await worker_type.start(configuration, assignment)
    successor = EcsWorker()

    claim = await successor.adopt(started, configuration, assignment)
    await successor.kill(started, 1)
    await successor.wait(started)

    cluster, _, task = started.partition("::")
    found = await aws.ask("ecs", "describe_tasks", cluster=cluster, tasks=[task])
    assert claim == "run:3"
    assert [task["desiredStatus"] for task in found["tasks"]] == ["STOPPED"]
    await successor.close()


async def test_cluster_that_moto_does_not_know_is_told(worker_type: EcsWorker) -> None:
    with pytest.raises(StartFailed, match="ClusterNotFoundException"):
        await worker_type.start(
            a_sized_configuration(cluster="nowhere"), an_assignment(Collector())
        )


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
