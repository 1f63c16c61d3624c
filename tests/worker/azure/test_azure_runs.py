"""A pool of container groups from deployment to end: Azure's stand-in, a real server and worker."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from forebay.wire.states import StateType
from tests.conftest import RunningServer
from tests.worker.azure.conftest import AzureSite, client_credentials
from tests.worker.azure.fake import SUBSCRIPTION, running_azure, throttled
from tests.worker.azure.models import Models
from tests.worker.conftest import WorkerProcess
from tests.worker.stored import Stored


def wait_for(site: AzureSite, run_id: UUID, state: StateType) -> str:
    """Wait until the run has the state; its message."""
    give_up_at = time.monotonic() + 30
    while (run := site.read(run_id)).state_type is not state:
        assert time.monotonic() < give_up_at, run.state
        time.sleep(0.05)
    assert run.state is not None
    return run.state.message or ""


def message(site: AzureSite, run_id: UUID) -> str:
    """Of the run's state, which must be CRASHED."""
    run = site.read(run_id)
    assert run.state_type is StateType.CRASHED, run.state
    assert run.state is not None
    return run.state.message or ""


@dataclass
class Served:
    """Runs of one pool that one worker has carried out."""

    site: AzureSite
    worker: WorkerProcess
    runs: dict[str, UUID]


def every_kind_of_value(site: AzureSite) -> dict[str, object]:
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
        "cpu": 2,
        "memory": 1.5,
        "dns_servers": ["10.0.0.1"],
        "labels": {"team": "a"},
        "keep_container_group": True,
    }


@pytest.fixture(scope="module")
def served(
    shared_server: RunningServer,
    azure_models: Models,
    certificate: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """One worker has carried out a run of each kind, throttled at first."""
    with running_azure(azure_models, certificate) as azure:
        azure.refusals["PUT"] += [throttled() for _ in range(2)]
        site = AzureSite(shared_server, azure, tmp_path_factory.mktemp("azure"))
        wrong = client_credentials(azure, certificate, "wrong-secret")
        variables: dict[str, dict[str, object]] = {
            "good": {},
            "bad": {"command": "sh -c 'echo said; exit 3'"},
            "image": {"image": "nowhere:2"},
            "credentials": {"aci_credentials": wrong},
            "quota": {"cpu": 8},
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


@pytest.mark.scenario("azure-container-instance", "deploy-run-logs")
def test_run_of_a_deployment_completes_with_its_log_lines(served: Served) -> None:
    site, run_id = served.site, served.runs["good"]

    run = site.read(run_id)

    assert run.state_type is StateType.COMPLETED
    assert (run.infrastructure_pid or "").startswith("flows/")
    assert site.messages(run_id, "stdout") == ["hello somebody 0", "hello somebody 1"]
    assert site.messages(run_id, "flow") == ["said 0", "said 1"]


def test_nobody_is_shown_the_token_or_the_parameters_of_a_run(served: Served) -> None:
    templates = [body["properties"]["template"] for body in served.site.azure.sent("PUT")]

    text = json.dumps(templates)

    assert len(templates) >= 5
    assert not any(private in text for private in (served.site.server.api_key, "somebody"))


def test_groups_are_deleted_unless_they_are_kept(served: Served) -> None:
    [kept] = served.site.azure.groups.values()

    assert kept.resource["tags"]["forebay.io.flow-run-id"] == str(served.runs["values"])


@pytest.mark.scenario("azure-container-instance", "failed-exit")
def test_output_and_exit_code_of_a_command_reach_run_and_log(served: Served) -> None:
    run_id = served.runs["bad"]

    assert "The container ended with exit code 3" in message(served.site, run_id)
    assert served.site.messages(run_id, "stdout") == ["said"]


@pytest.mark.scenario("azure-container-instance", "bad-credentials")
def test_credentials_that_azure_does_not_know_are_told(served: Served) -> None:
    told = message(served.site, served.runs["credentials"])

    assert told.startswith("Azure refuses: no token was given: ")
    assert "AADSTS7000215: Invalid client secret provided" in told
    assert "wrong-secret" not in served.worker.output
    assert SUBSCRIPTION not in served.worker.output


@pytest.mark.scenario("azure-container-instance", "quota-or-throttling")
def test_throttled_run_starts_once_azure_lets_it(served: Served) -> None:
    azure = served.site.azure

    assert azure.refusals["PUT"] == []
    assert served.site.read(served.runs["good"]).state_type is StateType.COMPLETED
    assert azure.executions == 3


@pytest.mark.scenario("azure-container-instance", "quota-or-throttling")
def test_used_up_quota_is_named(served: Served) -> None:
    told = message(served.site, served.runs["quota"])

    assert "could not be deployed: a quota of the subscription is used up" in told
    assert "quota 'StandardCores' exceeded" in told


def test_image_that_cannot_be_pulled_is_named(served: Served) -> None:
    told = message(served.site, served.runs["image"])

    assert told.startswith("The container group could not be deployed: The image 'nowhere:2'")
    assert "(InaccessibleImage)" in told


@pytest.mark.scenario("azure-container-instance", "template-values")
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
    [kept] = served.site.azure.groups.values()
    assert kept.container["properties"]["resources"]["requests"] == {"cpu": 2, "memoryInGB": 1.5}
    assert kept.resource["tags"]["team"] == "a"


@pytest.mark.scenario("azure-container-instance", "cancel")
def test_cancelling_deletes_the_group(azure_site: AzureSite) -> None:
    parameters = {"gate": str(azure_site.folder / "gate")}
    run_id = azure_site.run(azure_site.deploy("wait_for", parameters=parameters))
    azure_site.worker()
    wait_for(azure_site, run_id, StateType.RUNNING)

    azure_site.propose(run_id, StateType.CANCELLING)

    told = wait_for(azure_site, run_id, StateType.CANCELLED)
    assert "the container group was deleted" in told
    assert azure_site.azure.groups == {}


@pytest.mark.scenario("azure-container-instance", "cancel")
@pytest.mark.scenario("azure-container-instance", "adopted-after-restart")
def test_killed_worker_s_successor_goes_on_with_one_run_and_cancels_another(
    azure_site: AzureSite,
) -> None:
    gate = azure_site.folder / "gate"
    command = f"sh -c 'echo waiting; while [ ! -e {gate} ]; do sleep 0.02; done; echo done'"
    deployment = azure_site.deploy("greet", job_variables={"command": command})
    kept, cancelled = azure_site.run(deployment), azure_site.run(deployment)
    first = azure_site.worker("--name", "one")
    for run_id in (kept, cancelled):
        wait_for(azure_site, run_id, StateType.RUNNING)
        while not azure_site.messages(run_id, "stdout"):
            time.sleep(0.05)
    first.kill()
    azure_site.propose(cancelled, StateType.CANCELLING)

    second = azure_site.worker("--name", "one")
    wait_for(azure_site, cancelled, StateType.CANCELLED)
    gate.touch()

    wait_for(azure_site, kept, StateType.COMPLETED)
    second.stop()
    assert second.end() == 0
    assert second.output.count("taken over") == 2
    assert azure_site.azure.executions == 2
    assert azure_site.messages(kept, "stdout") == ["waiting", "done"]
    assert azure_site.messages(cancelled, "stdout") == ["waiting"]
