"""The example of a worker type, installed as the package that it is."""

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from forebay.calls import flow_runs, work_pools
from forebay.wire.states import StateType
from tests.conftest import BIN
from tests.worker.builders import until
from tests.worker.conftest import Site, WorkerProcess

EXAMPLE = Path(__file__).parents[2] / "examples" / "worker_types" / "spool"


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the example."""
    folder = tmp_path_factory.mktemp("installed")
    install = ["install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", *install, "--target", folder, EXAMPLE], check=True
    )
    return folder


class Spool:
    """A pool of type `spool`, made by its worker, and the folder of its jobs."""

    def __init__(self, site: Site, installed: Path, folder: Path) -> None:
        self.site = site
        self.folder = folder
        self.installed = installed
        folder.mkdir()

    def worker(self, *options: str) -> WorkerProcess:
        """Start a worker named `one` with the package on its path."""
        return self.site.worker(
            *("--name", "one", *options), environment={"PYTHONPATH": str(self.installed)}
        )

    def job(self, run_id: UUID) -> Path:
        """The job of a run, as soon as it is there."""
        found = self.folder / f"{run_id}.job"
        until(found.exists)
        return found

    def carry_out(self, job: Path) -> None:
        """Do what the batch system would do."""
        content = json.loads(job.read_text())
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        done = subprocess.run(
            content["command"], env={**content["environment"], "PATH": path}, check=False
        )
        self.end(job, done.returncode)

    def end(self, job: Path, code: int) -> None:
        """Tell of the end."""
        job.with_suffix(".done").write_text(str(code))


@pytest.fixture
def spool(site: Site, installed: Path, tmp_path: Path) -> Spool:
    """The pool, in place of the process pool of the same name."""
    made = Spool(site, installed, tmp_path / "spool")
    site.client.send(work_pools.delete(site.name))
    maker = made.worker("--type", "spool", "--run-once")
    assert maker.end() == 0, maker.output
    return made


def a_run(spool: Spool, function: str = "greet", **variables: object) -> UUID:
    """A new run of the pool."""
    given = {"spool_dir": str(spool.folder), **variables}
    return spool.site.run(spool.site.deploy(function, job_variables=given))


def test_pool_has_the_template_that_the_type_s_fields_give(spool: Spool) -> None:
    pool = spool.site.client.send(work_pools.read(spool.site.name))

    assert pool.type == "spool"
    assert pool.base_job_template["job_configuration"]["priority"] == "{{ priority }}"
    assert pool.base_job_template["variables"]["required"] == ["spool_dir"]


def test_run_is_carried_out_and_completes(spool: Spool) -> None:
    run_id = a_run(spool, priority=7)
    worker = spool.worker("--run-once")
    job = spool.job(run_id)

    spool.carry_out(job)

    assert worker.end() == 0
    assert spool.site.read(run_id).state_type is StateType.COMPLETED
    assert spool.site.messages(run_id, "stdout") == ["hello you 0"]
    assert json.loads(job.read_text())["priority"] == 7


def test_exit_code_becomes_the_message(spool: Spool) -> None:
    run_id = a_run(spool)
    worker = spool.worker("--run-once")

    spool.end(spool.job(run_id), 5)

    assert worker.end() == 0
    run = spool.site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert "The batch job ended with exit code 5" in str(run.state.message)


def test_restarted_worker_goes_on_with_a_job_and_can_cancel_it(spool: Spool) -> None:
    run_id = a_run(spool)
    first = spool.worker()
    job = spool.job(run_id)
    until(lambda: spool.site.read(run_id).infrastructure_pid is not None)
    first.kill()

    spool.worker().until("taken over")
    spool.site.propose(run_id, StateType.CANCELLING)
    until(job.with_suffix(".cancel").exists)
    spool.end(job, 130)

    until(lambda: spool.site.read(run_id).state_type is StateType.CANCELLED)


def test_another_worker_goes_on_with_the_job_of_one_that_is_lost(spool: Spool) -> None:
    run_id = a_run(spool)
    first = spool.worker("--heartbeat", "2")
    job = spool.job(run_id)
    until(lambda: spool.site.read(run_id).infrastructure_pid is not None)
    second = spool.worker("--name", "other", "--heartbeat", "2")
    first.kill()

    second.until("taken over")
    spool.carry_out(job)  # under the claim of its start

    until(lambda: spool.site.read(run_id).state_type is StateType.COMPLETED)
    states = spool.site.client.send(flow_runs.states(run_id))
    assert [state.type for state in states].count(StateType.PENDING) == 1
