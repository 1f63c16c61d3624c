"""A pool of container groups from deployment to end: Azure's stand-in, a real server and worker."""

import json
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
from tests.worker.served import VALUES, every_kind_of_value, handed_over, message, served


@dataclass
class Together:
    """Runs that one worker has carried out."""

    site: AzureSite
    runs: dict[str, UUID]
    output: str


@pytest.fixture(scope="module")
def together(
    shared_server: RunningServer,
    azure_models: Models,
    certificate: tuple[Path, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Together]:
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
            "values": {
                **every_kind_of_value(site),
                "cpu": 2,
                "memory": 1.5,
                "dns_servers": ["10.0.0.1"],
                "labels": {"team": "a"},
                "keep_container_group": True,
            },
        }
        with served(site, variables) as runs:
            yield Together(site, runs.runs, runs.output)


@pytest.mark.scenario("azure-container-instance", "deploy-run-logs")
def test_run_of_a_deployment_completes_with_its_log_lines(together: Together) -> None:
    site, run_id = together.site, together.runs["good"]

    run = site.read(run_id)

    assert run.state_type is StateType.COMPLETED
    assert (run.infrastructure_pid or "").startswith("flows/")
    assert site.messages(run_id, "stdout") == ["hello somebody 0", "hello somebody 1"]
    assert site.messages(run_id, "flow") == ["said 0", "said 1"]


def test_nobody_is_shown_the_token_or_the_parameters_of_a_run(together: Together) -> None:
    templates = [body["properties"]["template"] for body in together.site.azure.sent("PUT")]

    text = json.dumps(templates)

    assert len(templates) >= 5
    key = together.site.server.api_key
    assert not any(private in text for private in ("fbr_", key, "somebody"))


def test_groups_are_deleted_unless_they_are_kept(together: Together) -> None:
    [kept] = together.site.azure.groups.values()

    assert kept.resource["tags"]["forebay.io.flow-run-id"] == str(together.runs["values"])


@pytest.mark.scenario("azure-container-instance", "failed-exit")
def test_output_and_exit_code_of_a_command_reach_run_and_log(together: Together) -> None:
    run_id = together.runs["bad"]

    assert "The container ended with exit code 3" in message(together.site, run_id)
    assert together.site.messages(run_id, "stdout") == ["said"]


@pytest.mark.scenario("azure-container-instance", "bad-credentials")
def test_credentials_that_azure_does_not_know_are_told(together: Together) -> None:
    told = message(together.site, together.runs["credentials"])

    assert told.startswith("Azure refuses: no token was given: ")
    assert "AADSTS7000215: Invalid client secret provided" in told
    assert "wrong-secret" not in together.output
    assert SUBSCRIPTION not in together.output


@pytest.mark.scenario("azure-container-instance", "quota-or-throttling")
def test_throttled_run_starts_once_azure_lets_it(together: Together) -> None:
    azure = together.site.azure

    assert azure.refusals["PUT"] == []
    assert together.site.read(together.runs["good"]).state_type is StateType.COMPLETED
    assert azure.executions == 3


@pytest.mark.scenario("azure-container-instance", "quota-or-throttling")
def test_used_up_quota_is_named(together: Together) -> None:
    told = message(together.site, together.runs["quota"])

    assert "could not be deployed: a quota of the subscription is used up" in told
    assert "quota 'StandardCores' exceeded" in told


def test_image_that_cannot_be_pulled_is_named(together: Together) -> None:
    told = message(together.site, together.runs["image"])

    assert told.startswith("The container group could not be deployed: The image 'nowhere:2'")
    assert "(InaccessibleImage)" in told


@pytest.mark.scenario("azure-container-instance", "template-values")
def test_values_of_every_kind_reach_the_container(together: Together) -> None:
    run_id = together.runs["values"]

    assert together.site.read(run_id).state_type is StateType.COMPLETED
    assert VALUES <= set(together.site.messages(run_id, "stdout"))
    [kept] = together.site.azure.groups.values()
    assert kept.container["properties"]["resources"]["requests"] == {"cpu": 2, "memoryInGB": 1.5}
    assert kept.resource["tags"]["team"] == "a"


@pytest.mark.scenario("azure-container-instance", "cancel")
@pytest.mark.scenario("azure-container-instance", "adopted-after-restart")
def test_worker_cancels_a_run_and_its_successor_goes_on_with_one_and_cancels_another(
    azure_site: AzureSite,
) -> None:
    handed = handed_over(azure_site)

    assert handed.second.output.count("taken over") == 2
    assert azure_site.messages(handed.completed, "stdout") == ["waiting", "done"]
    assert azure_site.messages(handed.cancelled_later, "stdout") == ["waiting"]
    assert "the container group was deleted" in handed.told
    assert azure_site.azure.executions == 3
    assert azure_site.azure.groups == {}
