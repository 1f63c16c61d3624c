"""The worker type on AWS's stand-in: ends and their reasons, definitions, and faults."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from forebay_worker.base import Outcome, StartFailed
from forebay_worker.worker_types.ecs import EcsWorker
from forebay_worker.worker_types.ecs_request import EcsConfiguration
from tests.worker.builders import Collector, a_run, an_assignment
from tests.worker.ecs.builders import a_configuration
from tests.worker.ecs.fake import FakeAws, Refused
from tests.worker.ecs.tasks import DIES_OF_MEMORY, NEVER_STARTS, PULL_ERROR


@pytest.fixture(autouse=True)
def lines_arrive_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in's log has every line at once."""
    monkeypatch.setattr("forebay_worker.worker_types.ecs_task.LATE_LINES_SECONDS", 0.05)
    monkeypatch.setattr("forebay_worker.worker_types.ecs_task.STOPPING_INTERVAL", 0.05)


async def carried_out(
    worker_type: EcsWorker, configuration: EcsConfiguration, reporter: Collector | None = None
) -> Outcome:
    """Start a task and wait for its end."""
    assignment = an_assignment(reporter or Collector(), FOREBAY_CLAIM=str(a_run().id))
    return await worker_type.wait(await worker_type.start(configuration, assignment))


ENDS: dict[str, tuple[dict[str, Any], Outcome]] = {
    "good": ({"command": "true"}, Outcome(0, "the task's container ended with exit code 0")),
    "bad": (
        {"command": "sh -c 'exit 7'"},
        Outcome(7, "the task's container ended with exit code 7"),
    ),
    "signal": (
        {"command": "sh -c 'kill -9 $$'"},
        Outcome(137, "the task's container was ended by SIGKILL (exit code 137)"),
    ),
    "memory": (
        {"image": DIES_OF_MEMORY, "command": "sh -c 'kill -9 $$'"},
        Outcome(
            137,
            "the task's container ended with exit code 137: "
            "OutOfMemoryError: Container killed due to memory usage",
        ),
    ),
    "image": (
        {"image": "nowhere:1"},
        Outcome(None, f"the task could not start: {PULL_ERROR.format('nowhere:1')}"),
    ),
    "stuck": (
        {"image": NEVER_STARTS, "task_start_timeout_seconds": 0},
        Outcome(None, "the task did not start within task_start_timeout_seconds (0)"),
    ),
}


@pytest.mark.parametrize("end", ENDS)
async def test_end_of_a_task_is_told_with_its_reason(worker_type: EcsWorker, end: str) -> None:
    variables, expected = ENDS[end]

    assert await carried_out(worker_type, a_configuration(**variables)) == expected


async def test_every_line_is_reported_once_and_in_order(worker_type: EcsWorker) -> None:
    reporter = Collector()

    await carried_out(worker_type, a_configuration("seq 1 200"), reporter)

    assert reporter.messages("stdout") == [str(number) for number in range(1, 201)]
    times = [line.timestamp for line in reporter.lines]
    assert times == sorted(set(times))


async def test_last_lines_of_a_run_that_logs_by_itself_are_told_when_it_dies(
    worker_type: EcsWorker,
) -> None:
    reporter = Collector()
    configuration = a_configuration()
    overrides = {"containerOverrides": [{"command": ["sh", "-c", "echo no such module; exit 1"]}]}
    configuration.task_run_request["overrides"] = overrides

    await carried_out(worker_type, configuration, reporter)

    assert reporter.messages("stdout") == []
    assert reporter.messages("forebay.worker") == [
        "The last lines of its output were:\nno such module"
    ]


async def test_output_is_shown_where_it_is_to_be_streamed(
    worker_type: EcsWorker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "forebay_worker.output")
    configuration = a_configuration(
        "echo shown", configure_cloudwatch_logs=None, stream_output=True
    )

    await carried_out(worker_type, configuration)

    assert "calm-otter | shown" in caplog.messages


async def test_task_without_a_log_of_cloudwatch_is_not_asked_for_lines(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    await carried_out(worker_type, a_configuration("true", configure_cloudwatch_logs=False))

    assert aws.sent("GetLogEvents") == []


# Definitions.


async def test_definition_is_registered_once_for_runs_that_start_together(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    await asyncio.gather(
        *(
            carried_out(worker_type, a_configuration(f"echo {number}", family="one"))
            for number in range(4)
        )
    )

    assert len(aws.sent("RegisterTaskDefinition")) == 1
    assert len(aws.tasks) == 4


async def test_definitions_of_a_family_are_registered_one_after_another(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    await asyncio.gather(
        *(
            carried_out(worker_type, a_configuration("true", family="one", cpu=cpu))
            for cpu in (256, 512, 1024)
        )
    )

    assert len(aws.sent("RegisterTaskDefinition")) == 3
    assert len(aws.definitions["one"]) == 3


@pytest.mark.parametrize("is_matched", [False, True], ids=["registered", "matched"])
async def test_new_worker_uses_the_family_s_last_revision_if_it_may(
    worker_type: EcsWorker, aws: FakeAws, is_matched: bool
) -> None:
    configuration = a_configuration("true", match_latest_revision_in_family=is_matched)
    run = a_run()
    started = await worker_type.start(configuration, an_assignment(Collector(), run))
    await worker_type.wait(started)
    another = EcsWorker()

    await another.wait(
        await another.start(configuration, an_assignment(Collector(), run, FOREBAY_CLAIM="2"))
    )

    await another.close()
    assert len(aws.sent("RegisterTaskDefinition")) == (1 if is_matched else 2)


async def test_definition_that_was_deregistered_meanwhile_is_registered_again(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    await carried_out(worker_type, a_configuration("true", family="one"))
    aws.definitions["one"][0]["status"] = "INACTIVE"

    outcome = await carried_out(worker_type, a_configuration("true", family="one"))

    assert outcome.exit_code == 0
    assert len(aws.definitions["one"]) == 2


async def test_definition_is_deregistered_after_its_run_if_wanted(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    configuration = a_configuration("true", auto_deregister_task_definition=True)

    await carried_out(worker_type, configuration)
    first = aws.definition["status"]
    await carried_out(worker_type, configuration)

    assert first == "INACTIVE"
    assert len(aws.sent("DeregisterTaskDefinition")) == 2


async def test_definition_of_the_user_s_own_is_used_and_kept(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    await carried_out(worker_type, a_configuration("true", family="own"))
    configuration = a_configuration(
        "echo own", task_definition_arn="own:1", auto_deregister_task_definition=True
    )
    reporter = Collector()

    await carried_out(worker_type, configuration, reporter)

    assert reporter.messages("stdout") == ["own"]
    assert len(aws.sent("RegisterTaskDefinition")) == 1
    assert aws.definition["status"] == "ACTIVE"


# Networks.


async def test_task_is_in_the_default_vpc_unless_another_is_named(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    for variables in ({}, {"vpc_id": "vpc-other"}):
        await carried_out(worker_type, a_configuration("true", **variables))

    assert [
        body["networkConfiguration"]["awsvpcConfiguration"] for body in aws.sent("RunTask")
    ] == [
        {"subnets": subnets, "securityGroups": [], "assignPublicIp": "ENABLED"}
        for subnets in (["subnet-a", "subnet-b"], ["subnet-c"])
    ]


async def test_subnet_of_another_vpc_is_named(worker_type: EcsWorker) -> None:
    configuration = a_configuration(
        "true", vpc_id="vpc-other", network_configuration={"subnets": ["subnet-a"]}
    )

    with pytest.raises(StartFailed, match="subnet-a of network_configuration are not in the VPC"):
        await worker_type.start(configuration, an_assignment(Collector()))


async def test_vpc_without_subnets_is_named(worker_type: EcsWorker) -> None:
    with pytest.raises(StartFailed, match="the VPC 'vpc-none' has no subnets"):
        await worker_type.start(
            a_configuration("true", vpc_id="vpc-none"), an_assignment(Collector())
        )


# Faults.


async def test_task_is_started_once_although_the_answer_was_lost(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    aws.lost_answers = 1

    outcome = await carried_out(worker_type, a_configuration("true"))

    assert outcome.exit_code == 0
    assert len(aws.tasks) == 1
    assert len(aws.sent("RunTask")) == 2


async def test_task_that_ecs_does_not_know_yet_is_looked_for_again(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    aws.unknown_for = 3

    outcome = await carried_out(worker_type, a_configuration("sh -c 'exit 4'"))

    assert outcome.exit_code == 4


async def test_task_that_ecs_does_not_know_yet_is_stopped_as_soon_as_it_does(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    aws.unknown_for = 3
    started = await worker_type.start(a_configuration("sleep 60"), an_assignment(Collector()))

    await worker_type.kill(started, 1)

    assert "Ended by its Forebay worker" in (await worker_type.wait(started)).reason
    assert [task.description["lastStatus"] for task in aws.tasks.values()] == ["STOPPED"]


async def test_task_lives_on_while_ecs_throttles_looks_at_it(
    worker_type: EcsWorker, aws: FakeAws, tmp_path: Path
) -> None:
    aws.refusals["DescribeTasks"] += [Refused("ThrottlingException", "Rate exceeded")]
    aws.refusals["DescribeTasks"] += [Refused("AccessDeniedException", "Not now")]

    outcome = await carried_out(worker_type, a_configuration("sh -c 'exit 5'"))

    assert outcome.exit_code == 5
    assert aws.refusals["DescribeTasks"] == []


async def test_full_cluster_is_asked_until_it_has_room(
    worker_type: EcsWorker, aws: FakeAws
) -> None:
    aws.failures.append({"reason": "RESOURCE:MEMORY"})

    outcome = await carried_out(worker_type, a_configuration("true"))

    assert outcome.exit_code == 0
    assert len(aws.sent("RunTask")) == 2


async def test_cluster_that_there_is_not_is_told(worker_type: EcsWorker) -> None:
    with pytest.raises(StartFailed, match=r"Cluster not found \(ClusterNotFoundException\)"):
        await worker_type.start(
            a_configuration("true", cluster="nowhere"), an_assignment(Collector())
        )


async def test_credentials_of_the_pool_are_used_with_their_address(
    worker_type: EcsWorker, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name)
    credentials = {
        "aws_access_key_id": aws.environment["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": "secret",
        "region_name": "eu-test-1",
        "aws_client_parameters": {"endpoint_url": aws.url, "config": {"read_timeout": 5}},
    }

    outcome = await carried_out(worker_type, a_configuration("true", aws_credentials=credentials))

    assert outcome.exit_code == 0


@pytest.mark.scenario("ecs", "bad-credentials")
async def test_missing_credentials_are_told(
    worker_type: EcsWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)

    with pytest.raises(StartFailed, match="no credentials were found; set aws_credentials"):
        await worker_type.start(a_configuration("true"), an_assignment(Collector()))


async def test_missing_region_is_told(
    worker_type: EcsWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")

    with pytest.raises(StartFailed, match="no region is set"):
        await worker_type.start(a_configuration("true"), an_assignment(Collector()))


# Adopted tasks.


async def test_adopted_task_is_one_s_own(worker_type: EcsWorker, aws: FakeAws) -> None:
    assignment = an_assignment(Collector(), FOREBAY_CLAIM="run:3")
    configuration = a_configuration("sleep 60")
    started = await worker_type.start(configuration, assignment)
    successor = EcsWorker()

    claim = await successor.adopt(started, configuration, assignment)
    another_run = await successor.adopt(started, configuration, an_assignment(Collector()))
    gone = await successor.adopt(f"{started[:-3]}000", configuration, assignment)

    assert (claim, another_run, gone) == ("run:3", None, None)
    await successor.kill(started, 1)
    outcome = await successor.wait(started)
    assert "Ended by its Forebay worker" in outcome.reason
    assert [task.description["lastStatus"] for task in aws.tasks.values()] == ["STOPPED"]
    await successor.close()
