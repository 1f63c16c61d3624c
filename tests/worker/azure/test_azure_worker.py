"""The worker type on Azure's stand-in: ends and their reasons, credentials, faults, deletion."""

import json
from pathlib import Path
from typing import Any

import pytest

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.base import Outcome, StartFailed
from forebay_worker.worker_types import azure_manager
from forebay_worker.worker_types.azure_container_instance import AzureContainerInstanceWorker
from forebay_worker.worker_types.azure_request import AzureContainerInstanceConfiguration
from tests.worker.azure.conftest import TYPE, client_credentials
from tests.worker.azure.fake import (
    RESOURCE_GROUP,
    SECRET,
    SUBSCRIPTION,
    FakeAzure,
    Refused,
    throttled,
)
from tests.worker.azure.groups import DIES_OF_MEMORY, NEVER_STARTS, RUNS, quota_error
from tests.worker.builders import Collector, an_assignment


@pytest.fixture(autouse=True)
def operations_are_looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in is done within milliseconds."""
    for module in ("azure_manager", "azure_group"):
        monkeypatch.setattr(f"forebay_worker.worker_types.{module}.POLL_SECONDS", 0.05)


def a_configuration(
    command: str | None = "true", **variables: Any
) -> AzureContainerInstanceConfiguration:
    """A command in an image that runs."""
    given = {
        "image": RUNS,
        "env": {"PATH": "/usr/bin:/bin"},
        "entrypoint": "",
        "resource_group_name": RESOURCE_GROUP,
        "subscription_id": SUBSCRIPTION,
        "task_watch_poll_interval": 0.05,
        **({"command": command} if command else {}),
        **variables,
    }
    values = job_configuration(default_template(TYPE), given)
    return AzureContainerInstanceConfiguration.model_validate(values)


async def carried_out(
    worker_type: AzureContainerInstanceWorker,
    configuration: AzureContainerInstanceConfiguration,
    reporter: Collector | None = None,
) -> Outcome:
    """Start a group and wait for its end."""
    assignment = an_assignment(reporter or Collector())
    return await worker_type.wait(await worker_type.start(configuration, assignment))


USED_UP = json.loads(quota_error(8)["details"][0]["message"])["error"]["message"].rstrip(".")
ENDS: dict[str, tuple[dict[str, Any], int | None, str]] = {
    "good": ({}, 0, "the container ended with exit code 0"),
    "bad": ({"command": "sh -c 'exit 7'"}, 7, "the container ended with exit code 7"),
    "memory": (
        {"image": DIES_OF_MEMORY, "command": "sh -c 'kill -9 $$'"},
        137,
        "the container ran out of memory (exit code 137)",
    ),
    "image": ({"image": "nowhere:1"}, None, "could not be deployed: The image 'nowhere:1' in"),
    "quota": (
        {"cpu": 8},
        None,
        f"deployed: a quota of the subscription is used up: {USED_UP} (ContainerGroupQuotaReached)",
    ),
    "stuck": (
        {"image": NEVER_STARTS, "task_start_timeout_seconds": 0},
        None,
        "the container did not start within task_start_timeout_seconds (0)",
    ),
}


@pytest.mark.parametrize("end", ENDS)
async def test_end_of_a_group_is_told_with_its_reason(
    worker_type: AzureContainerInstanceWorker, end: str
) -> None:
    variables, code, expected = ENDS[end]

    outcome = await carried_out(worker_type, a_configuration(**variables))

    assert outcome.exit_code == code
    assert expected in outcome.reason


async def test_every_line_is_reported_once_although_reading_fails(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure
) -> None:
    reporter = Collector()
    azure.cuts_logs = 1

    await carried_out(worker_type, a_configuration("sh -c 'seq 1 200; sleep 0.3'"), reporter)

    assert reporter.messages("stdout") == [str(number) for number in range(1, 201)]


async def test_last_lines_of_a_run_that_logs_by_itself_are_told_when_it_dies(
    worker_type: AzureContainerInstanceWorker,
) -> None:
    reporter = Collector()
    configuration = a_configuration(None)
    [resource] = configuration.arm_template["resources"]
    [container] = resource["properties"]["containers"]
    container["properties"]["command"] = ["sh", "-c", "echo no such module; exit 1"]

    await carried_out(worker_type, configuration, reporter)

    assert reporter.messages("stdout") == []
    assert reporter.messages("forebay.worker") == [
        "The last lines of its output were:\nno such module"
    ]


async def test_output_is_shown_where_it_is_to_be_streamed(
    worker_type: AzureContainerInstanceWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "forebay_worker.output")

    await carried_out(worker_type, a_configuration("echo shown", stream_output=True))

    assert "calm-otter | shown" in caplog.messages


@pytest.mark.parametrize("is_kept", [False, True], ids=["deleted", "kept"])
async def test_group_whose_run_has_ended_is_deleted_unless_it_is_kept(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure, is_kept: bool
) -> None:
    await carried_out(worker_type, a_configuration(keep_container_group=is_kept))

    assert len(azure.groups) == len(azure.deployments) == (1 if is_kept else 0)
    assert len(azure.sent("DELETE")) == (0 if is_kept else 2)


@pytest.mark.parametrize("is_kept", [False, True], ids=["deleted", "kept"])
async def test_killed_group_has_ended(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure, is_kept: bool
) -> None:
    reporter = Collector()
    started = reporter.seen("started")
    configuration = a_configuration("sh -c 'echo started; sleep 60'", keep_container_group=is_kept)
    infrastructure_id = await worker_type.start(configuration, an_assignment(reporter))
    await started.wait()

    await worker_type.kill(infrastructure_id, 1)
    outcome = await worker_type.wait(infrastructure_id)

    if is_kept:
        assert [group.state for group in azure.groups.values()] == ["Failed"]
        assert outcome.exit_code == 143
    else:
        assert outcome == Outcome(None, "the container group was deleted")
        assert azure.groups == {}


# Credentials.


async def test_client_secret_of_the_pool_gives_a_token(
    worker_type: AzureContainerInstanceWorker,
    azure: FakeAzure,
    certificate: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("IDENTITY_ENDPOINT")
    credentials = client_credentials(azure, certificate, SECRET)

    outcome = await carried_out(worker_type, a_configuration(aci_credentials=credentials))

    assert outcome.exit_code == 0
    assert len(azure.tokens) == 1


async def test_token_that_azure_no_longer_knows_is_renewed(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure
) -> None:
    await carried_out(worker_type, a_configuration())
    azure.tokens.clear()

    outcome = await carried_out(worker_type, a_configuration())

    assert outcome.exit_code == 0


# Faults.


async def test_group_is_deployed_once_although_the_answer_was_lost(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure
) -> None:
    azure.lost_answers = 1

    outcome = await carried_out(worker_type, a_configuration())

    assert outcome.exit_code == 0
    assert azure.executions == 1
    assert len(azure.sent("PUT")) == 2


async def test_group_lives_on_while_azure_refuses_looks_at_it(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure
) -> None:
    azure.refusals["GET"] += [throttled(), Refused(403, "AuthorizationFailed", "Not now.")]
    azure.refusals["GET"] += [Refused(500, "InternalServerError", "Not now.")]

    outcome = await carried_out(worker_type, a_configuration("sh -c 'exit 5'"))

    assert outcome.exit_code == 5
    assert azure.refusals["GET"] == []


async def test_resource_group_that_there_is_not_is_told(
    worker_type: AzureContainerInstanceWorker,
) -> None:
    with pytest.raises(StartFailed, match=r"could not be found \(ResourceGroupNotFound\)"):
        await worker_type.start(
            a_configuration(resource_group_name="nowhere"), an_assignment(Collector())
        )


async def test_quota_that_the_deployment_itself_runs_into_is_named(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure
) -> None:
    azure.refusals["PUT"].append(Refused(409, "DeploymentQuotaExceeded", "There are 800."))

    with pytest.raises(StartFailed, match="a quota of the subscription is used up: There are 800"):
        await worker_type.start(a_configuration(), an_assignment(Collector()))


async def test_address_that_does_not_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, azure: FakeAzure
) -> None:
    for name, value in azure.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token")
    manager = azure_manager.AzureManager(azure_manager.AzureCredentials())

    with pytest.raises(azure_manager.CloudError, match="no token was given"):
        await manager.read("/subscriptions/none", "2022-09-01")

    await manager.close()


# Adopted groups.


async def test_adopted_group_is_one_s_own(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure
) -> None:
    assignment = an_assignment(Collector(), FOREBAY_CLAIM="run:3")
    configuration = a_configuration("sleep 60")
    started = await worker_type.start(configuration, assignment)
    successor = AzureContainerInstanceWorker()

    claim = await successor.adopt(started, configuration, assignment)
    another_run = await successor.adopt(started, configuration, an_assignment(Collector()))
    gone = await successor.adopt(f"{started}0", configuration, assignment)

    assert (claim, another_run, gone) == ("run:3", None, None)
    await successor.kill(started, 1)
    assert (await successor.wait(started)).reason == "the container group was deleted"
    assert azure.groups == {}
    await successor.close()


async def test_group_that_is_still_being_deployed_is_adopted(
    worker_type: AzureContainerInstanceWorker, azure: FakeAzure
) -> None:
    assignment = an_assignment(Collector(), FOREBAY_CLAIM="run:3")
    configuration = a_configuration("sleep 60")
    started = await worker_type.start(configuration, assignment)
    hidden = azure.groups.copy()
    azure.groups.clear()
    successor = AzureContainerInstanceWorker()

    claim = await successor.adopt(started, configuration, assignment)
    azure.groups |= hidden

    assert claim == "run:3"
    await successor.kill(started, 1)
    assert azure.groups == {}
    await successor.close()
