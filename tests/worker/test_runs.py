"""Runs: a real worker carries them out against a real server."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from forebay.client import AsyncClient, Client
from forebay.wire.flow_runs import FlowRunPolicy
from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay_worker.base import Outcome
from forebay_worker.runs import WORKER_STOPPED, RunInHand, Surroundings
from forebay_worker.shipping import LogShipper
from forebay_worker.worker_types.process import ProcessWorker
from tests.worker.conftest import Site
from tests.worker.stored import Stored


@pytest.mark.scenario("process", "deploy-run-logs")
def test_run_is_carried_out_with_its_parameters(site: Site) -> None:
    deployment = site.deploy("greet", parameters={"name": "pool", "times": 1})
    run_id = site.run(deployment, parameters={"name": "wörld", "times": 3})

    worker = site.serve_once("--name", "wörker")

    run = site.read(run_id)
    assert run.state_type is StateType.COMPLETED
    assert run.run_count == 1
    assert run.infrastructure_pid
    assert run.start_time
    lines = [(line.name, line.message) for line in site.lines(run_id)]
    said = [
        pair for n in range(3) for pair in (("stdout", f"hello wörld {n}"), ("flow", f"said {n}"))
    ]
    assert lines == [*said, ("stderr", "no end")]
    states = [
        line.split(": ")[1] for line in worker.output.splitlines() if f"{run.name}: " in line
    ]
    assert states == ["PENDING", "RUNNING", "COMPLETED"]


def test_coroutine_takes_parameters_too_large_for_an_environment(site: Site) -> None:
    run_id = site.run(site.deploy("length"), parameters={"text": "größe日" * 30_000})

    site.serve_once()

    assert site.read(run_id).state_type is StateType.COMPLETED
    assert site.messages(run_id, "stdout") == ["180000 größe"]


def test_thousands_of_lines_are_complete_and_in_order(site: Site) -> None:
    run_id = site.run(site.deploy("greet"), parameters={"times": 3000})

    site.serve_once()

    assert site.messages(run_id, "stdout") == [f"hello you {n}" for n in range(3000)]
    assert site.messages(run_id, "flow") == [f"said {n}" for n in range(3000)]


def test_exception_makes_a_run_failed_and_its_traceback_is_in_the_logs(site: Site) -> None:
    run_id = site.run(site.deploy("fail"))

    site.serve_once()

    run = site.read(run_id)
    assert run.state_type is StateType.FAILED
    assert run.state is not None
    assert run.state.message == "ValueError: größer boom"
    (error,) = site.messages(run_id, "forebay.run")
    assert "Traceback" in error
    assert "flow.py" in error
    assert error.endswith("ValueError: größer boom")


def test_parameters_that_do_not_fit_fail_the_run_without_a_traceback(site: Site) -> None:
    run_id = site.run(site.deploy("length"), parameters={"txt": 1})

    site.serve_once()

    run = site.read(run_id)
    assert run.state_type is StateType.FAILED
    assert run.state is not None
    assert run.state.message == (
        "The parameters do not fit length(text): missing a required argument: 'text'."
    )
    assert site.messages(run_id, "forebay.run") == [run.state.message]


@pytest.mark.scenario("process", "failed-exit")
def test_process_that_dies_makes_a_run_crashed_with_its_last_lines_kept(site: Site) -> None:
    died = site.run(site.deploy("crash"))
    left = site.run(site.deploy("leave"), parameters={"code": 4})

    site.serve_once()

    for run_id, code in ((died, 9), (left, 4)):
        run = site.read(run_id)
        assert run.state_type is StateType.CRASHED
        assert run.state is not None
        assert run.state.message == (
            f"The process ended with exit code {code} before it reported an end."
        )
    assert site.messages(died, "stdout") == ["last words"]


def test_command_runs_instead_of_the_entrypoint(site: Site) -> None:
    code = "import json, os; print(json.loads(os.environ['FOREBAY_PARAMETERS'])['name'])"
    deployment = site.deploy("fail", job_variables={"command": f'python -c "{code}"'})
    run_id = site.run(deployment, parameters={"name": "größe"})

    worker = site.serve_once()

    run = site.read(run_id)
    assert run.state_type is StateType.COMPLETED
    assert run.start_time
    assert site.messages(run_id, "stdout") == ["größe"]
    assert f"{run.name}: RUNNING" in worker.output


@pytest.mark.scenario("process", "template-values")
def test_values_of_every_kind_reach_the_process(site: Site) -> None:
    stored = Stored(site)
    variables = {
        "command": "env",
        "env.PLAIN": "7",
        "env.FROM_BLOCK": f"{{{{ prefect.blocks.{stored.slug}.mine.hosts.main }}}}",
        "env.FROM_VARIABLE": f"zone {{{{ prefect.variables.{stored.name} }}}}",
        "env.FROM_WORKER": "{{ $CLUSTER }}",
        "env.BRACES": "{{ command }}",
    }
    run_id = site.run(site.deploy("greet", job_variables=variables))

    worker = site.worker("--run-once", environment={"CLUSTER": "blue"})

    assert worker.end() == 0
    assert {
        "PLAIN=7",
        "FROM_BLOCK=a.test",
        'FROM_VARIABLE=zone {"zone": 3}',
        "FROM_WORKER=blue",
        "BRACES={{ command }}",
    } <= set(site.messages(run_id, "stdout"))


def test_run_is_given_a_token_of_its_own_and_not_its_workers(site: Site) -> None:
    plain = site.run(site.deploy("greet", job_variables={"command": "env"}))
    given = {"command": "env", "env.FOREBAY_API_KEY": "another"}
    other = site.run(site.deploy("fail", job_variables=given))

    site.serve_once()

    (key,) = (each for each in site.messages(plain, "stdout") if each.startswith("FOREBAY_API_K"))
    assert key.startswith("FOREBAY_API_KEY=fbr_")
    assert site.server.api_key not in "".join(site.messages(plain, "stdout"))
    assert "FOREBAY_API_KEY=another" in site.messages(other, "stdout")


def test_command_may_execute_the_entrypoint_itself(site: Site) -> None:
    command = {"command": "python -m forebay_worker.execute"}
    good = site.run(site.deploy("greet"), job_variables=command)
    bad = site.run(site.deploy("fail"), job_variables=command)

    site.serve_once()

    assert site.read(good).state_type is StateType.COMPLETED
    assert site.read(good).run_count == 1
    assert site.read(bad).state_type is StateType.CRASHED


def test_command_that_cannot_be_started_crashes_the_run(site: Site) -> None:
    run_id = site.run(site.deploy("greet"), job_variables={"command": "no-such-program --now"})

    site.serve_once()

    run = site.read(run_id)
    assert run.state_type is StateType.CRASHED
    assert run.state is not None
    assert run.state.message == (
        "The program 'no-such-program' cannot be started: No such file or directory."
    )


def test_failed_run_is_tried_again_in_its_process(site: Site, tmp_path: Path) -> None:
    run_id = site.run(
        site.deploy("fail_once"),
        parameters={"marker": str(tmp_path / "marker")},
        empirical_policy=FlowRunPolicy(retries=1, retry_delay=1),
    )

    site.serve_once()

    run = site.read(run_id)
    assert run.state_type is StateType.COMPLETED
    assert run.run_count == 2
    assert site.messages(run_id, "stdout") == ["now"]


def test_run_that_is_prefetched_starts_at_its_time(site: Site) -> None:
    due = datetime.now(UTC) + timedelta(seconds=4)
    run_id = site.run(
        site.deploy("greet"),
        state=StateCreate(
            type=StateType.SCHEDULED, state_details=StateDetails(scheduled_time=due)
        ),
    )

    site.serve_once("--prefetch-seconds", "60")

    run = site.read(run_id)
    assert run.state_type is StateType.COMPLETED
    assert run.start_time is not None
    assert run.start_time >= due


def test_execution_under_a_claim_that_has_ended_stops_quietly(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    environment = {
        **site.server.environment,
        "FOREBAY_FLOW_RUN_ID": str(run_id),
        "FOREBAY_CLAIM": f"{run_id}:99",
    }

    ended = subprocess.run(
        [sys.executable, "-m", "forebay_worker.execute"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0
    assert "The run is not started here: Claim 99 of this run has ended" in ended.stdout
    assert site.read(run_id).state_type is StateType.SCHEDULED
    assert site.messages(run_id, "stdout") == []


def test_execution_without_a_worker_stores_and_shows_its_own_lines(site: Site) -> None:
    run_id = site.run(site.deploy("greet"), parameters={"times": 2})
    environment = {**site.server.environment, "FOREBAY_FLOW_RUN_ID": str(run_id)}

    ended = subprocess.run(
        [sys.executable, "-m", "forebay_worker.execute"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 0
    assert site.read(run_id).state_type is StateType.COMPLETED
    lines = ["hello you 0", "said 0", "hello you 1", "said 1", "no end"]
    assert ended.stdout.splitlines() == lines
    assert [line.message for line in site.lines(run_id)] == lines


def test_execution_of_no_run_says_so() -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "forebay_worker.execute"],
        env={"FOREBAY_FLOW_RUN_ID": "nonsense"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1
    assert ended.stderr == "FOREBAY_FLOW_RUN_ID must name a flow run.\n"


async def test_claim_without_infrastructure_is_handed_back_when_the_worker_stops(
    site: Site,
) -> None:
    run_id = site.run(site.deploy("greet"))

    async with surrounded(site) as surroundings:
        surroundings.stopping.set()
        await RunInHand(site.read(run_id), surroundings).carry_out()

    history = site.read(run_id)
    assert history.state_type is StateType.SCHEDULED
    assert history.infrastructure_pid is None
    assert history.state is not None
    assert "stopped before it started the run" in (history.state.message or "")
    site.serve_once()
    assert site.read(run_id).state_type is StateType.COMPLETED


async def test_a_run_that_ends_while_its_worker_stops_has_ended(site: Site) -> None:
    run_id = site.run(site.deploy("greet", job_variables={"command": "true"}))

    class StopsThen(ProcessWorker):
        """Its worker's patience is over in the moment in which the process ends."""

        async def wait(self, infrastructure_id: str) -> Outcome:
            outcome = await super().wait(infrastructure_id)
            run.end(WORKER_STOPPED)
            return outcome

    async with surrounded(site, StopsThen()) as surroundings:
        run = RunInHand(site.read(run_id), surroundings)
        await run.carry_out()

    assert site.read(run_id).state_type is StateType.COMPLETED


@asynccontextmanager
async def surrounded(
    site: Site, worker_type: ProcessWorker | None = None
) -> AsyncIterator[Surroundings]:
    """What a worker's runs share, without the worker."""
    settings = site.client.settings
    async with AsyncClient(settings) as client:
        with Client(settings) as log_client:
            shipper = LogShipper(log_client)
            yield Surroundings(
                client,
                shipper,
                worker_type or ProcessWorker(),
                f"worker-{uuid4()}",
                site.name,
                asyncio.Event(),
            )
            shipper.close(5)
