"""The worker types on a fake Google Cloud: ends and their reasons, and a cloud that misbehaves."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.oauth2.credentials import Credentials

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.base import Assignment, Outcome, StartFailed
from forebay_worker.worker_types import google_cloud_run, google_execution, google_worker
from forebay_worker.worker_types.cloud_run import CloudRunWorker
from forebay_worker.worker_types.cloud_run_v2 import CloudRunV2Worker
from forebay_worker.worker_types.google_session import GcpCredentials, GoogleSession
from forebay_worker.worker_types.google_worker import GoogleWorker
from forebay_worker.worker_types.vertex_ai import VertexAiWorker
from tests.worker.builders import Collector, a_run, an_assignment
from tests.worker.google.containers import RUNS
from tests.worker.google.executions import PROJECT
from tests.worker.google.fake import STATIC_TOKEN, Cloud

CLASSES: dict[str, type[GoogleWorker[Any]]] = {
    "cloud-run": CloudRunWorker,
    "cloud-run-v2": CloudRunV2Worker,
    "vertex-ai": VertexAiWorker,
}
CLOUD_RUN = ("cloud-run", "cloud-run-v2")

on_each = pytest.mark.parametrize("worker_type", [*CLASSES], indirect=True)
on_cloud_run = pytest.mark.parametrize("worker_type", CLOUD_RUN, indirect=True)


@pytest.fixture(autouse=True)
def a_static_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token has to be obtained, and nothing settles slowly."""

    def opened(given: GcpCredentials | None) -> GoogleSession:
        project = given.project if given and given.project else PROJECT
        return GoogleSession(Credentials(STATIC_TOKEN), project)  # type: ignore[no-untyped-call]

    monkeypatch.setattr(google_worker, "open_session", opened)
    monkeypatch.setattr(google_execution, "SETTLE_SECONDS", 0.1)
    monkeypatch.setattr(google_execution, "LOG_SECONDS", 0.2)


@pytest.fixture
async def worker_type(
    request: pytest.FixtureRequest, cloud: Cloud
) -> AsyncIterator[GoogleWorker[Any]]:
    """A worker type on the cloud."""
    made = CLASSES[request.param]()
    yield made
    await made.close()


def a_configuration(
    worker_type: GoogleWorker[Any], command: str | None = "true", **variables: Any
) -> Any:
    """A command in an image that runs."""
    given = {
        "image": RUNS,
        "region": "europe-west1",
        "env": {"PATH": "/usr/bin:/bin"},
        **({"command": command} if command else {}),
        **({"job_watch_poll_interval": 0.1} if isinstance(worker_type, VertexAiWorker) else {}),
        **variables,
    }
    values = job_configuration(default_template(worker_type.worker_type), given)
    return worker_type.configuration.model_validate(values)


async def carried_out(
    worker_type: GoogleWorker[Any], configuration: Any, assignment: Assignment
) -> Outcome:
    """Start an execution and wait for its end."""
    return await worker_type.wait(await worker_type.start(configuration, assignment))


def claimed(reporter: Collector | None = None) -> Assignment:
    """A run under a claim."""
    run = a_run()
    variables = {"FOREBAY_FLOW_RUN_ID": str(run.id), "FOREBAY_CLAIM": f"{run.id}:2"}
    return an_assignment(reporter or Collector(), run, **variables)


def waiting(gate: Path, then: str = "exit 5") -> str:
    """A command that waits for a file."""
    return f"sh -c 'echo waiting; while [ ! -e {gate} ]; do sleep 0.02; done; {then}'"


# Ends.


@on_each
async def test_exit_codes_are_told(worker_type: GoogleWorker[Any]) -> None:
    good, bad = (a_configuration(worker_type, f"sh -c 'exit {code}'") for code in (0, 7))

    outcomes = [await carried_out(worker_type, each, claimed()) for each in (good, bad)]

    assert [outcome.exit_code for outcome in outcomes] == [0, 7]
    assert outcomes[1].reason.endswith("ended with exit code 7")


@on_cloud_run
async def test_end_by_a_signal_is_told_with_the_cloud_s_reason(
    worker_type: GoogleWorker[Any],
) -> None:
    configuration = a_configuration(worker_type, "sh -c 'kill -9 $$'")

    outcome = await carried_out(worker_type, configuration, claimed())

    assert outcome.exit_code == 137
    assert "ended by signal 9: Memory limit of 512 MiB exceeded" in outcome.reason


@on_cloud_run
async def test_time_limit_is_the_execution_s_own(worker_type: GoogleWorker[Any]) -> None:
    configuration = a_configuration(worker_type, "sleep 60", timeout=1)
    configuration = configuration.model_copy(update={"timeout": 900})

    outcome = await carried_out(worker_type, configuration, claimed())

    assert outcome == Outcome(None, "the execution's task ran longer than its timeout of 1 s")


@on_each
async def test_image_that_cannot_be_had_is_named(worker_type: GoogleWorker[Any]) -> None:
    configuration = a_configuration(worker_type, image="nowhere:2")

    try:
        told = (await carried_out(worker_type, configuration, claimed())).reason
    except StartFailed as error:
        told = str(error)

    assert "Image 'nowhere:2'" in told


@on_each
async def test_last_lines_of_a_run_that_logs_by_itself_are_told_when_it_dies(
    worker_type: GoogleWorker[Any],
) -> None:
    reporter = Collector()
    configuration = a_configuration(worker_type, None, env={"PATH": "/nowhere"})
    body = configuration.model_dump()
    replaced = _with_command(body, ["/bin/sh", "-c", "echo no such module; exit 1"])

    outcome = await carried_out(
        worker_type, worker_type.configuration.model_validate(replaced), claimed(reporter)
    )

    assert outcome.exit_code == 1
    assert reporter.messages("stdout") == []
    assert reporter.messages("forebay.worker") == [
        "The last lines of its output were:\nno such module"
    ]


def _with_command(values: Any, command: list[str]) -> Any:
    """A template's job whose container has a command of its own."""
    if isinstance(values, dict):
        if "image" in values or "imageUri" in values:
            return {**values, "command": command}
        return {key: _with_command(item, command) for key, item in values.items()}
    if isinstance(values, list):
        return [_with_command(item, command) for item in values]
    return values


# What is kept.


@pytest.mark.parametrize("keep", [False, True], ids=["deleted", "kept"])
@on_cloud_run
async def test_job_is_deleted_after_its_end_unless_it_is_kept(
    worker_type: GoogleWorker[Any], cloud: Cloud, keep: bool
) -> None:
    await carried_out(worker_type, a_configuration(worker_type, keep_job=keep), claimed())

    assert bool(cloud.cloud_run.jobs) is keep


@on_cloud_run
async def test_job_that_could_not_be_run_is_deleted(
    worker_type: GoogleWorker[Any], cloud: Cloud
) -> None:
    with pytest.raises(StartFailed, match="Image 'nowhere:2' not found"):
        await worker_type.start(a_configuration(worker_type, image="nowhere:2"), claimed())

    assert cloud.cloud_run.jobs == {}


@on_cloud_run
async def test_job_that_its_worker_could_not_delete_is_deleted_later(
    worker_type: GoogleWorker[Any], cloud: Cloud, tmp_path: Path
) -> None:
    async def ended(keep: bool) -> None:
        configuration = a_configuration(worker_type, keep_job=keep)
        infrastructure_id = await worker_type.start(configuration, claimed())
        await worker_type.wait(infrastructure_id)

    cloud.cloud_run.is_undeletable = True
    await ended(False)
    await ended(True)
    running = await worker_type.start(
        a_configuration(worker_type, waiting(tmp_path / "gate")), claimed()
    )
    cloud.cloud_run.is_undeletable = False
    _, kept, busy = [job.name for job in cloud.cloud_run.all("europe-west1")]
    patient = type(worker_type)()
    hasty = type(worker_type)(orphaned_seconds=0.0)  # type: ignore[call-arg]
    for each in (patient, hasty):
        await each.adopt(running, a_configuration(worker_type), claimed())

    await patient.clean_up()
    all_there = len(cloud.cloud_run.jobs)
    await hasty.clean_up()

    assert all_there == 3
    assert [job.name for job in cloud.cloud_run.all("europe-west1")] == [kept, busy]
    await worker_type.kill(running, 1)
    for each in (patient, hasty):
        await each.close()


# A cloud that misbehaves.


@on_each
async def test_execution_whose_start_was_not_answered_is_the_only_one(
    worker_type: GoogleWorker[Any], cloud: Cloud
) -> None:
    cloud.lost_answers = {".jobs.create": 1, ".jobs.run": 1, ".customJobs.create": 1}

    outcome = await carried_out(worker_type, a_configuration(worker_type), claimed())

    assert outcome.exit_code == 0
    assert cloud.executed == 1


@on_each
async def test_execution_whose_start_is_throttled_starts_later(
    worker_type: GoogleWorker[Any], cloud: Cloud
) -> None:
    cloud.throttled = 2

    outcome = await carried_out(worker_type, a_configuration(worker_type), claimed())

    assert outcome.exit_code == 0
    assert cloud.executed == 1


@on_cloud_run
async def test_job_that_never_gets_ready_is_given_up_and_deleted(
    worker_type: GoogleWorker[Any], cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(google_cloud_run, "READY_SECONDS", 0.3)
    cloud.cloud_run.is_slow = True

    with pytest.raises(StartFailed, match="the job was not ready within"):
        await worker_type.start(a_configuration(worker_type), claimed())

    assert cloud.cloud_run.jobs == {}


@on_each
async def test_execution_lives_on_while_the_cloud_does_not_answer(
    worker_type: GoogleWorker[Any], cloud: Cloud, tmp_path: Path
) -> None:
    reporter = Collector()
    seen = reporter.seen("waiting")
    gate = tmp_path / "gate"
    configuration = a_configuration(worker_type, waiting(gate))
    infrastructure_id = await worker_type.start(configuration, claimed(reporter))
    await seen.wait()

    cloud.is_down = True
    gate.touch()
    ended = asyncio.create_task(worker_type.wait(infrastructure_id))
    await asyncio.wait({ended}, timeout=0.5)
    is_over = ended.done()
    cloud.is_down = False

    assert not is_over
    assert (await ended).exit_code == 5


@on_each
async def test_killed_execution_has_ended(worker_type: GoogleWorker[Any]) -> None:
    reporter = Collector()
    seen = reporter.seen("started")
    configuration = a_configuration(worker_type, "sh -c 'echo started; sleep 60'")
    infrastructure_id = await worker_type.start(configuration, claimed(reporter))
    await seen.wait()

    await worker_type.kill(infrastructure_id, 1)

    outcome = await worker_type.wait(infrastructure_id)
    assert outcome.exit_code is None
    assert outcome.reason.endswith("was cancelled")


@on_cloud_run
async def test_execution_that_somebody_deleted_has_ended(
    worker_type: GoogleWorker[Any], cloud: Cloud, tmp_path: Path
) -> None:
    configuration = a_configuration(worker_type, waiting(tmp_path / "gate"))
    infrastructure_id = await worker_type.start(configuration, claimed())

    cloud.cloud_run.jobs.clear()

    outcome = await worker_type.wait(infrastructure_id)
    assert outcome == Outcome(None, "the execution was deleted")


@on_each
async def test_execution_is_adopted_under_its_claim_by_its_worker_only(
    worker_type: GoogleWorker[Any], cloud: Cloud, tmp_path: Path
) -> None:
    assignment = claimed()
    configuration = a_configuration(worker_type, waiting(tmp_path / "gate"))
    started = await worker_type.start(configuration, assignment)
    successor = type(worker_type)()

    claim = await successor.adopt(started, configuration, assignment)
    another_run = await successor.adopt(started, configuration, claimed())
    gone = await successor.adopt(started + "9", configuration, assignment)
    foreign = await successor.adopt("../../x", configuration, assignment)

    assert claim == assignment.environment["FOREBAY_CLAIM"]
    assert (another_run, gone, foreign) == (None, None, None)
    await successor.kill(started, 1)
    assert (await successor.wait(started)).reason.endswith("was cancelled")
    await successor.close()


@on_each
async def test_execution_that_is_let_go_is_reported_by_its_holder_only(
    worker_type: GoogleWorker[Any], tmp_path: Path
) -> None:
    holder, other = Collector(), Collector()
    seen, gate = holder.seen("waiting"), tmp_path / "gate"
    assignment = claimed(holder)
    configuration = a_configuration(worker_type, waiting(gate, "echo more"))
    started = await worker_type.start(configuration, assignment)
    successor = type(worker_type)()
    await seen.wait()
    await successor.adopt(started, configuration, replace(assignment, reporter=other))
    letting_go = asyncio.create_task(successor.wait(started))
    await asyncio.sleep(0)
    letting_go.cancel()

    gate.touch()
    outcome = await worker_type.wait(started)

    assert outcome.exit_code == 0
    assert holder.messages("stdout") == ["waiting", "more"]
    assert "more" not in other.messages("stdout")
    await successor.close()
