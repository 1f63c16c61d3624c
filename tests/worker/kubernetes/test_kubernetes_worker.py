"""The worker type on a fake cluster: ends and their reasons, and a cluster that misbehaves."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.base import Outcome, StartFailed
from forebay_worker.worker_types.kubernetes import KubernetesWorker
from forebay_worker.worker_types.kubernetes_manifest import KubernetesConfiguration
from tests.worker.builders import Collector, a_run, an_assignment
from tests.worker.kubernetes.fake import Cluster
from tests.worker.kubernetes.pods import DIES_OF_MEMORY, EVICTION, IS_EVICTED, RUNS


def a_configuration(command: str = "true", **variables: Any) -> KubernetesConfiguration:
    """A command in an image that runs."""
    given = {"image": RUNS, "env": {"PATH": "/usr/bin:/bin"}, "command": command, **variables}
    values = job_configuration(default_template("kubernetes"), given)
    return KubernetesConfiguration.model_validate(values)


async def carried_out(
    worker_type: KubernetesWorker, configuration: KubernetesConfiguration, reporter: Collector
) -> Outcome:
    """Start a job and wait for its end."""
    infrastructure_id = await worker_type.start(configuration, an_assignment(reporter))
    return await worker_type.wait(infrastructure_id)


ENDS = {
    "good": ({}, Outcome(0, "the job's pod ended with exit code 0")),
    "bad": ({"command": "sh -c 'exit 7'"}, Outcome(7, "the job's pod ended with exit code 7")),
    "memory": (
        {"image": DIES_OF_MEMORY, "command": "sh -c 'kill -9 $$'"},
        Outcome(137, "the pod ran out of memory (OOMKilled, exit code 137)"),
    ),
    "eviction": (
        {"image": IS_EVICTED, "command": "false"},
        Outcome(None, f"the pod was evicted: {EVICTION}"),
    ),
}


@pytest.mark.parametrize("end", ENDS)
async def test_end_of_a_job_is_told_with_its_reason(
    worker_type: KubernetesWorker, end: str
) -> None:
    variables, expected = ENDS[end]

    assert await carried_out(worker_type, a_configuration(**variables), Collector()) == expected


async def test_failed_pod_is_followed_by_another_as_the_backoff_limit_says(
    worker_type: KubernetesWorker, cluster: Cluster, tmp_path: Path
) -> None:
    marker = tmp_path / "tried"
    command = f"sh -c '[ -e {marker} ] || {{ touch {marker}; exit 1; }}'"

    outcome = await carried_out(
        worker_type, a_configuration(command, backoff_limit=1), Collector()
    )

    assert outcome.exit_code == 0
    assert cluster.controller.executions == 2


async def test_every_line_is_reported_once_although_reading_breaks_off(
    worker_type: KubernetesWorker, cluster: Cluster
) -> None:
    reporter = Collector()
    cluster.cut_logs = 2

    await carried_out(worker_type, a_configuration("seq 1 200"), reporter)

    assert reporter.messages("stdout") == [str(number) for number in range(1, 201)]


async def test_last_lines_of_a_run_that_logs_by_itself_are_told_when_it_dies(
    worker_type: KubernetesWorker,
) -> None:
    reporter = Collector()
    configuration = a_configuration("").model_copy(update={"command": None})
    container = configuration.job_manifest["spec"]["template"]["spec"]["containers"][0]
    container["args"] = ["sh", "-c", "echo no such module; exit 1"]

    await carried_out(worker_type, configuration, reporter)

    assert reporter.messages("stdout") == []
    assert reporter.messages("forebay.worker") == [
        "The last lines of its output were:\nno such module"
    ]


# A cluster that misbehaves.


@pytest.mark.parametrize("forget", [False, True], ids=["broken", "gone"])
async def test_job_lives_on_when_its_watches_break_off(
    worker_type: KubernetesWorker, cluster: Cluster, tmp_path: Path, forget: bool
) -> None:
    reporter = Collector()
    waiting = reporter.seen("waiting")
    gate = tmp_path / "gate"
    command = f"sh -c 'echo waiting; while [ ! -e {gate} ]; do sleep 0.02; done; exit 5'"
    infrastructure_id = await worker_type.start(a_configuration(command), an_assignment(reporter))
    await waiting.wait()

    cluster.break_watches(forget=forget)
    ended = asyncio.create_task(worker_type.wait(infrastructure_id))
    await asyncio.wait({ended}, timeout=0.2)
    is_over = ended.done()
    gate.touch()

    assert not is_over
    assert (await ended).exit_code == 5


async def test_job_lives_on_while_its_cluster_does_not_answer(
    worker_type: KubernetesWorker, cluster: Cluster, tmp_path: Path
) -> None:
    reporter = Collector()
    waiting = reporter.seen("waiting")
    gate = tmp_path / "gate"
    command = f"sh -c 'echo waiting; while [ ! -e {gate} ]; do sleep 0.02; done; exit 5'"
    infrastructure_id = await worker_type.start(a_configuration(command), an_assignment(reporter))
    await waiting.wait()

    cluster.is_down = True
    cluster.break_watches()
    gate.touch()
    ended = asyncio.create_task(worker_type.wait(infrastructure_id))
    await asyncio.wait({ended}, timeout=0.5)
    is_over = ended.done()
    cluster.is_down = False

    assert not is_over
    assert (await ended).exit_code == 5


async def test_job_whose_making_was_not_answered_is_made_once(
    worker_type: KubernetesWorker, cluster: Cluster
) -> None:
    cluster.lost_answers = 1

    outcome = await carried_out(worker_type, a_configuration(), Collector())

    assert outcome.exit_code == 0
    assert len(cluster.objects("Job")) == cluster.controller.executions == 1


async def test_killed_job_is_gone_with_all_that_it_had(
    worker_type: KubernetesWorker, cluster: Cluster
) -> None:
    reporter = Collector()
    started = reporter.seen("started")
    command = "sh -c 'echo started; sleep 60'"
    infrastructure_id = await worker_type.start(a_configuration(command), an_assignment(reporter))
    await started.wait()

    await worker_type.kill(infrastructure_id, 1)

    assert await worker_type.wait(infrastructure_id) == Outcome(None, "the job was deleted")
    assert cluster.objects("Job") == cluster.objects("Pod") == []


async def test_job_that_is_removed_right_after_its_end_has_still_ended_well(
    worker_type: KubernetesWorker, cluster: Cluster
) -> None:
    outcome = await carried_out(worker_type, a_configuration(finished_job_ttl=0), Collector())

    assert outcome.exit_code == 0
    assert cluster.created("Job")[0]["spec"]["ttlSecondsAfterFinished"] == 0


async def test_warnings_of_the_cluster_are_told(worker_type: KubernetesWorker) -> None:
    reporter = Collector()

    await carried_out(worker_type, a_configuration(labels={"odd": "label"}), reporter)

    assert reporter.messages("forebay.worker") == ["unknown field"]


# What cannot start, or takes too long.

HINDRANCES: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": "nowhere:1"}, "within pod_watch_timeout_seconds (1): ImagePullBackOff"),
    "never": (
        {"image": "nowhere:1", "image_pull_policy": "Never", "pod_watch_timeout_seconds": 60},
        "cannot start: ErrImageNeverPull",
    ),
    "account": (
        {"service_account_name": "nobody"},
        'FailedCreate: service account "nobody" not found',
    ),
}


@pytest.mark.parametrize("hindrance", HINDRANCES)
async def test_pod_that_does_not_start_is_given_up_with_the_cluster_s_reason(
    worker_type: KubernetesWorker, cluster: Cluster, hindrance: str
) -> None:
    variables, expected = HINDRANCES[hindrance]

    outcome = await carried_out(
        worker_type, a_configuration(**{"pod_watch_timeout_seconds": 1, **variables}), Collector()
    )

    assert outcome.exit_code is None
    assert expected in outcome.reason


async def test_job_beyond_its_time_is_ended(
    worker_type: KubernetesWorker, cluster: Cluster
) -> None:
    configuration = a_configuration("sleep 60", job_watch_timeout_seconds=1)

    outcome = await carried_out(worker_type, configuration, Collector())

    assert outcome == Outcome(None, "the job ran longer than job_watch_timeout_seconds (1)")


async def test_job_that_the_cluster_refuses_is_told_with_its_reason(
    worker_type: KubernetesWorker,
) -> None:
    with pytest.raises(StartFailed, match=r'refuses: namespaces "nowhere" not found'):
        await worker_type.start(a_configuration(namespace="nowhere"), an_assignment(Collector()))


@pytest.mark.scenario("kubernetes", "quota-or-throttling")
async def test_quota_that_is_used_up_is_told(
    worker_type: KubernetesWorker, cluster: Cluster
) -> None:
    cluster.store.quotas["default"] = 0

    with pytest.raises(StartFailed, match=r"exceeded quota: jobs.*used: count/jobs.batch=0"):
        await worker_type.start(a_configuration(), an_assignment(Collector()))

    assert cluster.objects("Secret") == []


async def test_name_that_another_job_has_is_told(
    worker_type: KubernetesWorker, cluster: Cluster
) -> None:
    run = a_run()
    first = await worker_type.start(a_configuration(), an_assignment(Collector(), run))
    await worker_type.wait(first)
    [job] = cluster.objects("Job")
    job["metadata"]["annotations"]["forebay.io/worker"] = "another"

    with pytest.raises(StartFailed, match="already exists"):
        await worker_type.start(a_configuration(), an_assignment(Collector(), run))


async def test_adopted_job_is_one_s_own(worker_type: KubernetesWorker) -> None:
    assignment = an_assignment(Collector(), FOREBAY_CLAIM="run:3")
    configuration = a_configuration("sleep 60")
    started = await worker_type.start(configuration, assignment)
    successor = KubernetesWorker()

    claim = await successor.adopt(started, configuration, assignment)
    another_run = await successor.adopt(started, configuration, an_assignment(Collector()))
    gone = await successor.adopt("default/gone", configuration, assignment)

    assert (claim, another_run, gone) == ("run:3", None, None)
    await successor.kill(started, 1)
    assert (await successor.wait(started)).reason == "the job was deleted"
    await successor.close()
