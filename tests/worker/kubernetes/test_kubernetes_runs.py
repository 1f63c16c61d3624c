"""A kubernetes pool from deployment to end: a fake cluster, a real server and a real worker."""

import time
from base64 import b64decode
from uuid import UUID

import pytest
import yaml

from forebay.wire.states import StateType
from tests.worker.kubernetes.conftest import KubernetesSite
from tests.worker.stored import Stored


def wait_for(site: KubernetesSite, run_id: UUID, state: StateType) -> str:
    """Wait until the run has the state; its message."""
    give_up_at = time.monotonic() + 30
    while (run := site.read(run_id)).state_type is not state:
        assert time.monotonic() < give_up_at, run.state
        time.sleep(0.05)
    assert run.state is not None
    return run.state.message or ""


def message(site: KubernetesSite, run_id: UUID) -> str:
    """Of the run's state, which must be CRASHED."""
    run = site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    return run.state.message or ""


@pytest.mark.scenario("kubernetes", "deploy-run-logs")
def test_run_of_a_deployment_completes_with_its_log_lines(
    kubernetes_site: KubernetesSite,
) -> None:
    run_id = kubernetes_site.run(kubernetes_site.deploy("greet", parameters={"times": 2}))

    kubernetes_site.serve_once()

    run = kubernetes_site.read(run_id)
    [job] = kubernetes_site.cluster.objects("Job")
    assert run.state_type is StateType.COMPLETED
    assert run.infrastructure_pid == f"default/{job['metadata']['name']}"
    assert kubernetes_site.messages(run_id, "stdout") == ["hello you 0", "hello you 1"]
    assert kubernetes_site.messages(run_id, "flow") == ["said 0", "said 1"]


def test_token_of_the_run_is_in_a_secret_and_nowhere_in_the_job(
    kubernetes_site: KubernetesSite,
) -> None:
    kubernetes_site.run(kubernetes_site.deploy("greet"))

    kubernetes_site.serve_once()

    [job] = kubernetes_site.cluster.objects("Job")
    [secret] = kubernetes_site.cluster.objects("Secret")
    token = b64decode(secret["data"]["FOREBAY_API_KEY"]).decode()
    assert token.startswith("fbr_")
    assert token not in yaml.safe_dump(job)
    assert kubernetes_site.server.api_key not in yaml.safe_dump([job, secret])
    assert [o["uid"] for o in secret["metadata"]["ownerReferences"]] == [job["metadata"]["uid"]]


@pytest.mark.scenario("kubernetes", "failed-exit")
def test_output_and_exit_code_of_a_command_reach_run_and_log(
    kubernetes_site: KubernetesSite,
) -> None:
    command = "sh -c 'echo said; exit 3'"
    deployment = kubernetes_site.deploy("greet", job_variables={"command": command})
    run_id = kubernetes_site.run(deployment)

    kubernetes_site.serve_once()

    assert "The job's pod ended with exit code 3" in message(kubernetes_site, run_id)
    assert kubernetes_site.messages(run_id, "stdout") == ["said"]


@pytest.mark.scenario("kubernetes", "cancel")
def test_cancelling_deletes_the_job_in_the_foreground(kubernetes_site: KubernetesSite) -> None:
    parameters = {"gate": str(kubernetes_site.folder / "gate")}
    run_id = kubernetes_site.run(kubernetes_site.deploy("wait_for", parameters=parameters))
    kubernetes_site.worker()
    wait_for(kubernetes_site, run_id, StateType.RUNNING)

    kubernetes_site.propose(run_id, StateType.CANCELLING)

    assert "the job was deleted" in wait_for(kubernetes_site, run_id, StateType.CANCELLED)
    assert kubernetes_site.cluster.objects("Job") == []
    assert kubernetes_site.cluster.objects("Pod") == []
    assert kubernetes_site.cluster.objects("Secret") == []


@pytest.mark.scenario("kubernetes", "adopted-after-restart")
def test_killed_worker_s_successor_goes_on_without_a_second_execution(
    kubernetes_site: KubernetesSite,
) -> None:
    gate = kubernetes_site.folder / "gate"
    deployment = kubernetes_site.deploy("wait_for", parameters={"gate": str(gate)})
    run_id = kubernetes_site.run(deployment)
    first = kubernetes_site.worker("--name", "one")
    wait_for(kubernetes_site, run_id, StateType.RUNNING)
    first.kill()

    second = kubernetes_site.worker("--name", "one")
    second.until("taken over")
    gate.touch()

    wait_for(kubernetes_site, run_id, StateType.COMPLETED)
    second.stop()
    assert second.end() == 0
    assert kubernetes_site.cluster.controller.executions == 1


def test_successor_cancels_what_another_worker_started(kubernetes_site: KubernetesSite) -> None:
    parameters = {"gate": str(kubernetes_site.folder / "gate")}
    run_id = kubernetes_site.run(kubernetes_site.deploy("wait_for", parameters=parameters))
    first = kubernetes_site.worker("--name", "one")
    wait_for(kubernetes_site, run_id, StateType.RUNNING)
    first.kill()
    kubernetes_site.propose(run_id, StateType.CANCELLING)

    kubernetes_site.worker("--name", "one")

    wait_for(kubernetes_site, run_id, StateType.CANCELLED)
    assert kubernetes_site.cluster.objects("Job") == []


@pytest.mark.scenario("kubernetes", "bad-credentials")
def test_cluster_that_does_not_know_the_worker_is_told_of(
    kubernetes_site: KubernetesSite,
) -> None:
    run_id = kubernetes_site.run(kubernetes_site.deploy("greet"))
    wrong = kubernetes_site.cluster.kubeconfig_with("wrong")
    kubernetes_site.kubeconfig.write_text(yaml.safe_dump(wrong))

    kubernetes_site.serve_once()

    assert message(kubernetes_site, run_id) == "The Kubernetes cluster refuses: Unauthorized."


def test_image_that_cannot_be_pulled_is_named(kubernetes_site: KubernetesSite) -> None:
    variables = {"image": "nowhere:2", "pod_watch_timeout_seconds": 1}
    run_id = kubernetes_site.run(kubernetes_site.deploy("greet", job_variables=variables))

    kubernetes_site.serve_once()

    told = message(kubernetes_site, run_id)
    assert told.startswith("The job's pod did not start within pod_watch_timeout_seconds (1)")
    assert 'ImagePullBackOff: Back-off pulling image "nowhere:2"' in told
    assert kubernetes_site.cluster.objects("Job") == []


def test_cluster_of_the_pool_is_used_before_the_worker_s_own(
    kubernetes_site: KubernetesSite,
) -> None:
    config = {"config": kubernetes_site.cluster.kubeconfig, "context_name": "test"}
    variables = {"cluster_config": config, "namespace": "flows"}
    run_id = kubernetes_site.run(kubernetes_site.deploy("greet", job_variables=variables))

    worker = kubernetes_site.worker("--run-once", environment={"KUBECONFIG": "/nowhere"})

    assert worker.end() == 0
    assert kubernetes_site.read(run_id).state_type is StateType.COMPLETED
    assert [job["metadata"]["namespace"] for job in kubernetes_site.cluster.objects("Job")] == [
        "flows"
    ]


def test_worker_without_a_cluster_says_what_is_missing(kubernetes_site: KubernetesSite) -> None:
    run_id = kubernetes_site.run(kubernetes_site.deploy("greet"))

    worker = kubernetes_site.worker("--run-once", environment={"KUBECONFIG": "/nowhere"})

    assert worker.end() == 0
    assert message(kubernetes_site, run_id).startswith("No Kubernetes cluster can be used")


@pytest.mark.scenario("kubernetes", "template-values")
def test_values_of_every_kind_reach_the_pod(kubernetes_site: KubernetesSite) -> None:
    stored = Stored(kubernetes_site)
    block = f"prefect.blocks.{stored.slug}.mine"
    variables = {
        "command": "sh -c 'env; exit 0'",
        "env.PLAIN": "7",
        "env.FROM_BLOCK": f"{{{{ {block}.hosts.main }}}}",
        "env.FROM_VARIABLE": f"zone {{{{ prefect.variables.{stored.name} }}}}",
        "env.FROM_WORKER": "{{ $CLUSTER }}",
        "env.BRACES": "{{ image }}",
    }
    run_id = kubernetes_site.run(kubernetes_site.deploy("greet", job_variables=variables))

    worker = kubernetes_site.worker("--run-once", environment={"CLUSTER": "blue"})

    assert worker.end() == 0
    assert kubernetes_site.read(run_id).state_type is StateType.COMPLETED
    assert {
        "PLAIN=7",
        "FROM_BLOCK=a.test",
        'FROM_VARIABLE=zone {"zone": 3}',
        "FROM_WORKER=blue",
        "BRACES={{ image }}",
    } <= set(kubernetes_site.messages(run_id, "stdout"))
