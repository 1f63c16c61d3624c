"""The worker as a process: limits, signals, cancellation, an API that goes away, its options."""

import json
import socket
import time
from pathlib import Path
from uuid import uuid4

import httpx2 as httpx
import pytest

from forebay.calls import flow_runs, work_pools, work_queues
from forebay.wire.states import StateType
from forebay.wire.work_pools import WorkerStatus
from tests.conftest import start_server, stop_process
from tests.worker.builders import wait_until_gone
from tests.worker.conftest import LossyProxy, Site, WorkerProcess


def test_limit_is_never_exceeded(site: Site, tmp_path: Path) -> None:
    folder = tmp_path / "beside"
    folder.mkdir()
    deployment = site.deploy("count_beside_me", parameters={"folder": str(folder)})
    run_ids = [site.run(deployment) for _ in range(5)]

    worker = site.worker("--limit", "2")
    for _ in run_ids:
        worker.until(": COMPLETED")
    worker.stop()

    assert worker.end() == 0
    counts = [int(site.messages(run_id, "stdout")[0]) for run_id in run_ids]
    assert max(counts) <= 2
    assert {site.read(run_id).state_type for run_id in run_ids} == {StateType.COMPLETED}


def test_worker_that_asks_once_ends_without_work(site: Site) -> None:
    worker = site.serve_once()

    assert f"serves pool {site.name} (process)" in worker.output


def test_worker_is_online_while_it_serves(site: Site) -> None:
    worker = site.worker("--name", "wörker")
    worker.until("serves pool")
    run_id = site.run(site.deploy("greet"))
    worker.until(": COMPLETED")

    (found,) = site.client.send(work_pools.workers(site.name))

    assert found.name == "wörker"
    assert found.status is WorkerStatus.ONLINE
    assert found.heartbeat_interval_seconds == 5
    assert site.read(run_id).state_type is StateType.COMPLETED


@pytest.mark.scenario("process", "cancel")
def test_run_that_is_cancelled_is_killed(site: Site, tmp_path: Path) -> None:
    run_id = site.run(site.deploy("wait_for"), parameters={"gate": str(tmp_path / "never")})
    worker = site.worker()
    worker.until("| waiting")

    began = time.monotonic()
    site.propose(run_id, StateType.CANCELLING)
    worker.until(": CANCELLED")

    assert time.monotonic() - began < 5
    run = site.read(run_id)
    assert run.state_type is StateType.CANCELLED
    assert run.state is not None
    assert run.state.message == "Cancelled: the process ended with exit code 143."


@pytest.mark.scenario("process", "adopted-after-restart")
def test_run_does_not_outlive_a_worker_that_is_killed(site: Site, tmp_path: Path) -> None:
    run_id = site.run(site.deploy("wait_for"), parameters={"gate": str(tmp_path / "never")})
    worker = site.worker()
    worker.until("| waiting")
    pid = int((site.read(run_id).infrastructure_pid or "").rsplit(":", 1)[1])

    worker.kill()

    wait_until_gone(pid)
    run = site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert run.state.message == "The worker that started the run is gone."


def test_stopping_worker_lets_its_runs_end(site: Site, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    run_id = site.run(site.deploy("wait_for"), parameters={"gate": str(gate)})
    worker = site.worker()
    worker.until("| waiting")

    worker.stop()
    worker.until("stopping; waiting for 1 run")
    later = site.run(site.deploy("greet"))
    gate.touch()

    assert worker.end() == 0
    assert site.read(run_id).state_type is StateType.COMPLETED
    assert site.read(later).state_type is StateType.SCHEDULED


def test_stopping_worker_ends_its_runs_after_the_grace(site: Site, tmp_path: Path) -> None:
    run_id = site.run(site.deploy("wait_for"), parameters={"gate": str(tmp_path / "never")})
    worker = site.worker("--grace", "0.2")
    worker.until("| waiting")

    worker.stop()

    assert worker.end() == 0
    assert_stopped(site, run_id)


def test_second_signal_skips_the_grace(site: Site, tmp_path: Path) -> None:
    run_id = site.run(site.deploy("wait_for"), parameters={"gate": str(tmp_path / "never")})
    worker = site.worker("--grace", "3600")
    worker.until("| waiting")

    worker.stop()
    worker.until("stopping; waiting for 1 run")
    worker.stop()

    assert worker.end() == 0
    assert_stopped(site, run_id)


def test_worker_that_is_asked_to_drain_takes_no_more_and_ends_after_its_runs(
    site: Site, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    run_id = site.run(site.deploy("wait_for"), parameters={"gate": str(gate)})
    worker = site.worker("--name", "one", "--grace", "0.1")
    worker.until("| waiting")

    site.client.send(work_pools.drain_worker(site.name, "one"))
    worker.until("stopping; waiting for 1 run")
    later = site.run(site.deploy("greet"))
    gate.touch()

    assert worker.end() == 0
    assert site.read(run_id).state_type is StateType.COMPLETED
    assert site.read(later).state_type is StateType.SCHEDULED


def assert_stopped(site: Site, run_id: object) -> None:
    run = site.read(run_id)  # type: ignore[arg-type]
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert run.state.message == "worker stopped"


def test_api_that_is_away_for_a_while_costs_no_run(own_site: Site, tmp_path: Path) -> None:
    site, gate = own_site, tmp_path / "gate"
    before = site.run(site.deploy("wait_for"), parameters={"gate": str(gate)})
    worker = site.worker()
    worker.until("| waiting")
    port = site.server.api_url.rsplit(":", 1)[1].removesuffix("/api")

    stop_process(site.server.process)
    worker.until("WARNING")
    gate.touch()
    again = start_server(site.server.home, "--no-services", "--port", port)
    try:
        worker.until(": COMPLETED")
        after = site.run(site.deploy("greet"))
        worker.until(": COMPLETED")
        worker.stop()

        assert worker.end() == 0
        assert site.read(before).state_type is StateType.COMPLETED
        assert site.read(after).state_type is StateType.COMPLETED
        assert site.messages(before, "stdout") == ["waiting"]
    finally:
        stop_process(again.process)


def test_answers_that_are_lost_neither_stop_nor_double_a_run(
    site: Site, lossy: LossyProxy
) -> None:
    run_id = site.run(site.deploy("greet"))

    worker = site.worker("--run-once", environment={"FOREBAY_API_URL": lossy.api_url})

    assert worker.end() == 0
    assert lossy.lost == ["PENDING", "RUNNING", "COMPLETED"]
    run = site.read(run_id)
    assert run.state_type is StateType.COMPLETED
    assert run.run_count == 1
    assert site.messages(run_id, "stdout") == ["hello you 0"]


def test_queues_that_are_missing_are_made_and_only_they_are_served(site: Site) -> None:
    mine = site.run(site.deploy("greet", work_queue_name="mine"))
    other = site.run(site.deploy("length", work_queue_name="other"))

    site.serve_once("-q", "mine", "-q", "new")

    assert site.read(mine).state_type is StateType.COMPLETED
    assert site.read(other).state_type is StateType.SCHEDULED
    names = {queue.name for queue in site.client.send(work_queues.filter(site.name))}
    assert names == {"default", "mine", "new", "other"}


def test_pool_that_is_missing_is_made_with_the_types_template(site: Site) -> None:
    name = f"pool-{uuid4().hex}"

    site.serve_once("--pool", name, "--type", "process")

    pool = site.client.send(work_pools.read(name))
    assert pool.type == "process"
    assert "command" in pool.base_job_template["variables"]["properties"]


def test_pool_is_made_with_the_template_that_is_given(site: Site, tmp_path: Path) -> None:
    name = f"pool-{uuid4().hex}"
    template = {
        "job_configuration": {"command": "{{ what }}"},
        "variables": {"properties": {"what": {"type": "string", "default": "true"}}},
    }
    (tmp_path / "template.json").write_text(json.dumps(template))

    site.serve_once(
        *("--pool", name, "--type", "process"),
        *("--base-job-template", str(tmp_path / "template.json")),
    )

    assert site.client.send(work_pools.read(name)).base_job_template == template


@pytest.mark.parametrize(
    ("options", "code", "told"),
    [
        (["--pool", "missing"], 3, "forebay work-pool create missing --type process"),
        (
            ["--pool", "missing", "--type", "process", "--no-create-pool-if-not-found"],
            3,
            "There is no work pool 'missing'",
        ),
        (["--type", "docker"], 4, "is of type 'process'; a worker of type 'docker'"),
        (["--name", "a/b"], 2, "--name: a name must not contain /"),
        (["--base-job-template", "missing.json"], 2, "cannot read missing.json"),
    ],
)
def test_what_cannot_work_is_told_before_it_begins(
    site: Site, options: list[str], code: int, told: str
) -> None:
    worker = site.worker(*options)

    assert worker.end() == code
    assert told in " ".join(worker.output.split())
    assert "Traceback" not in worker.output


@pytest.mark.scenario("process", "bad-credentials")
def test_wrong_token_is_told(site: Site) -> None:
    worker = site.worker(environment={"FOREBAY_API_KEY": "wrong"})

    assert worker.end() == 1
    assert "Set FOREBAY_API_KEY to a valid token" in worker.output


def test_api_that_cannot_be_reached_is_told(site: Site, unused_tcp_port: int) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}/api"

    worker = site.worker(environment={"FOREBAY_API_URL": url})

    assert worker.end() == 5
    assert "Start a server with `forebay server start`" in worker.output


def test_health_tells_of_the_last_poll(site: Site) -> None:
    worker = site.worker("--with-healthcheck", "--health-port", "0", "--name", "probed")
    url = worker.until("health: ").split()[-1]
    run_id = site.run(site.deploy("greet"))
    worker.until(": COMPLETED")

    answer = httpx.get(url)

    assert answer.status_code == 200
    assert answer.json()["is_healthy"]
    assert answer.json()["name"] == "probed"
    assert answer.json()["last_poll"]
    assert site.read(run_id).state_type is StateType.COMPLETED


def test_health_port_that_is_taken_is_told(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        worker = site.worker("--with-healthcheck", "--health-port", str(taken.getsockname()[1]))

        assert worker.end() == 2
    assert "choose another port with FOREBAY_WORKER_HEALTH_PORT" in worker.output


def test_two_workers_share_the_runs_and_double_none(site: Site) -> None:
    deployment = site.deploy("greet")
    run_ids = [site.run(deployment) for _ in range(6)]

    workers: list[WorkerProcess] = [site.worker("--run-once") for _ in range(2)]

    assert [worker.end() for worker in workers] == [0, 0]
    found = site.client.send(flow_runs.filter(ids=run_ids))
    assert [(run.state_type, run.run_count) for run in found] == [(StateType.COMPLETED, 1)] * 6
    for run_id in run_ids:
        assert site.messages(run_id, "stdout") == ["hello you 0"]
