"""An ecs pool from deployment to end: AWS's stand-in, a real server and a real worker."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import pytest

from forebay.wire.states import StateType
from tests.conftest import RunningServer
from tests.worker.ecs.conftest import EcsSite
from tests.worker.ecs.fake import QUOTA, Refused, running_aws
from tests.worker.served import VALUES, every_kind_of_value, handed_over, message, served

WRONG = {
    "aws_access_key_id": "AKIAWRONG",
    "aws_secret_access_key": "wrong-secret",
    "region_name": "eu-test-1",
}


@dataclass
class Together:
    """Runs that one worker has carried out."""

    site: EcsSite
    runs: dict[str, UUID]
    output: str


@pytest.fixture(scope="module")
def together(
    shared_server: RunningServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Together]:
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
            "values": {
                **every_kind_of_value(site),
                "cpu": 512,
                "capacity_provider_strategy": [
                    {"capacityProvider": "own", "weight": 1, "base": 0}
                ],
                "labels": {"team": "a"},
            },
        }
        with served(site, variables) as runs:
            yield Together(site, runs.runs, runs.output)


@pytest.mark.scenario("ecs", "deploy-run-logs")
def test_run_of_a_deployment_completes_with_its_log_lines(together: Together) -> None:
    site, run_id = together.site, together.runs["good"]

    run = site.read(run_id)

    assert run.state_type is StateType.COMPLETED
    cluster, _, task = (run.infrastructure_pid or "").partition("::")
    assert site.aws.tasks[task].description["clusterArn"] == cluster
    assert site.messages(run_id, "stdout") == ["hello somebody 0", "hello somebody 1"]
    assert site.messages(run_id, "flow") == ["said 0", "said 1"]


def test_definitions_know_nothing_of_a_run_or_its_token(together: Together) -> None:
    text = json.dumps(together.site.aws.definitions)

    run_id, key = str(together.runs["good"]), together.site.server.api_key
    assert not any(private in text for private in ("fbr_", key, run_id, "somebody"))


@pytest.mark.scenario("ecs", "failed-exit")
def test_output_and_exit_code_of_a_command_reach_run_and_log(together: Together) -> None:
    run_id = together.runs["bad"]

    assert "The task's container ended with exit code 3" in message(together.site, run_id)
    assert together.site.messages(run_id, "stdout") == ["said"]


@pytest.mark.scenario("ecs", "bad-credentials")
def test_credentials_that_aws_does_not_know_are_told(together: Together) -> None:
    assert message(together.site, together.runs["credentials"]) == (
        "AWS refuses: The security token included in the request is invalid "
        "(UnrecognizedClientException)."
    )
    assert "wrong-secret" not in together.output


@pytest.mark.scenario("ecs", "quota-or-throttling")
def test_throttled_run_starts_once_aws_lets_it(together: Together) -> None:
    aws = together.site.aws

    assert aws.refusals["RegisterTaskDefinition"] == aws.refusals["RunTask"] == []
    assert together.site.read(together.runs["good"]).state_type is StateType.COMPLETED
    claims = [task.claim for task in aws.tasks.values()]
    assert len(claims) == len(set(claims))


@pytest.mark.scenario("ecs", "quota-or-throttling")
def test_used_up_quota_is_named(together: Together) -> None:
    assert message(together.site, together.runs["quota"]) == f"AWS refuses: {QUOTA}."


def test_image_that_cannot_be_pulled_is_named(together: Together) -> None:
    told = message(together.site, together.runs["image"])

    assert told.startswith("The task could not start: CannotPullContainerError")
    assert "nowhere:2" in told


@pytest.mark.scenario("ecs", "template-values")
def test_values_of_every_kind_reach_the_container(together: Together) -> None:
    run_id = together.runs["values"]

    assert together.site.read(run_id).state_type is StateType.COMPLETED
    assert VALUES <= set(together.site.messages(run_id, "stdout"))
    *_, request = (  # the first may have been throttled
        body for body in together.site.aws.sent("RunTask") if "capacityProviderStrategy" in body
    )
    assert {"key": "team", "value": "a"} in request["tags"]
    assert request["overrides"]["cpu"] == "512"


@pytest.mark.scenario("ecs", "cancel")
@pytest.mark.scenario("ecs", "adopted-after-restart")
def test_worker_cancels_a_run_and_its_successor_goes_on_with_one_and_cancels_another(
    ecs_site: EcsSite,
) -> None:
    handed = handed_over(ecs_site)

    assert handed.second.output.count("taken over") == 2
    assert ecs_site.messages(handed.completed, "stdout") == ["waiting", "done"]
    assert ecs_site.messages(handed.cancelled_later, "stdout") == ["waiting"]
    assert "Ended by its Forebay worker" in handed.told
    ends = [task.description["lastStatus"] for task in ecs_site.aws.tasks.values()]
    assert ends == ["STOPPED"] * 3
