"""A worker type of another package: what the loop asks of it, and what it may rely on."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import pytest

from forebay.calls import flow_runs, work_pools
from forebay.client import AsyncClient, Client
from forebay.settings import ClientSettings
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import StateCreate, StateType
from forebay_worker.base import Assignment, JobConfiguration, Outcome, StartFailed, WorkerType
from forebay_worker.loop import Worker, WorkerOptions
from forebay_worker.runs import Surroundings
from forebay_worker.shipping import LogShipper
from forebay_worker.sources import HeldRun
from tests.worker.conftest import Site


class Cloud(WorkerType[JobConfiguration]):
    """Infrastructure that runs until a test ends it."""

    worker_type = "cloud"
    outlives_worker = True
    configuration = JobConfiguration

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.waited_for = asyncio.Event()
        self.ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.killed: list[str] = []
        self.assignment: Assignment | None = None
        self.failure: Exception | None = None

    async def start(self, configuration: JobConfiguration, assignment: Assignment) -> str:
        if self.failure:
            raise self.failure
        self.assignment = assignment
        self.started.set()
        return "cloud/1"

    async def wait(self, infrastructure_id: str) -> Outcome:
        self.waited_for.set()
        return await self.ended

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        self.killed.append(infrastructure_id)
        self.ended.set_result(Outcome(None, "the instance was deleted"))


class Bench:
    """A worker of type `cloud` in this process, against a real server."""

    def __init__(self, site: Site, client: AsyncClient, worker: Worker, cloud: Cloud) -> None:
        self.site, self.client, self.worker, self.cloud = site, client, worker, cloud

    async def until(self, run_id: UUID, state: StateType) -> FlowRun:
        """The run as soon as it has this state."""
        run = await self.client.send(flow_runs.read(run_id))
        async with asyncio.timeout(20):
            while run.state_type is not state:
                await asyncio.sleep(0.05)
                run = await self.client.send(flow_runs.read(run_id))
        return run


@asynccontextmanager
async def serving(site: Site, **options: float) -> AsyncIterator[Bench]:
    settings = site.client.settings
    async with AsyncClient(settings) as client:
        with Client(settings) as log_client:
            shipper = LogShipper(log_client)
            cloud = Cloud()
            name = f"worker-{uuid4()}"
            at = Surroundings(client, shipper, cloud, name, site.name, asyncio.Event())
            worker = Worker(at, WorkerOptions(**options))  # type: ignore[arg-type]
            task = asyncio.create_task(worker.run())
            yield Bench(site, client, worker, cloud)
            worker.stop()
            worker.stop()
            await task
            shipper.close(5)


async def test_infrastructure_is_reported_before_it_is_waited_for(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    async with serving(site) as bench:
        await bench.cloud.started.wait()
        run = await bench.until(run_id, StateType.PENDING)
        async with asyncio.timeout(10):
            while run.infrastructure_pid is None:
                await asyncio.sleep(0.05)
                run = await bench.until(run_id, StateType.PENDING)

        assert not bench.cloud.ended.done()
        assert run.infrastructure_pid == "cloud/1"


async def test_type_learns_where_the_api_is_and_which_run_it_starts(site: Site) -> None:
    run_id = site.run(site.deploy("greet", parameters={"name": "a"}))
    async with serving(site) as bench:
        await bench.cloud.started.wait()

    assignment = bench.cloud.assignment
    assert assignment is not None
    assert assignment.run.id == run_id
    assert assignment.environment["FOREBAY_FLOW_RUN_ID"] == str(run_id)
    assert assignment.environment["FOREBAY_CLAIM"] == f"{run_id}:1"
    assert assignment.credentials["FOREBAY_API_URL"] == site.server.api_url
    assert assignment.credentials["FOREBAY_API_KEY"].startswith("fbr_")  # the run's own token


async def test_infrastructure_that_ends_without_a_report_is_reported_crashed(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    async with serving(site) as bench:
        await bench.cloud.started.wait()
        bench.cloud.ended.set_result(Outcome(0, "the task was evicted"))
        run = await bench.until(run_id, StateType.CRASHED)

    assert run.state is not None
    assert run.state.message == "The task was evicted before it reported an end."


async def test_infrastructure_that_nobody_can_wait_for_is_killed(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    async with serving(site) as bench:
        await bench.cloud.waited_for.wait()
        ended, bench.cloud.ended = bench.cloud.ended, asyncio.Future()
        ended.set_exception(ConnectionError("no route"))
        run = await bench.until(run_id, StateType.CRASHED)

    assert bench.cloud.killed == ["cloud/1"]
    assert run.state is not None
    assert run.state.message == "Cloud failed with ConnectionError('no route')."


async def test_cancelled_run_is_killed_by_its_infrastructure_id(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    async with serving(site) as bench:
        await bench.cloud.started.wait()
        proposed = StateCreate(type=StateType.CANCELLING)
        await bench.client.send(flow_runs.set_state(run_id, proposed))
        run = await bench.until(run_id, StateType.CANCELLED)

    assert bench.cloud.killed == ["cloud/1"]
    assert run.state is not None
    assert run.state.message == "Cancelled: the instance was deleted."


async def test_infrastructure_that_outlives_its_worker_is_left_running(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    async with serving(site, grace_seconds=0.0) as bench:
        await bench.cloud.started.wait()

    assert bench.cloud.killed == []
    assert site.read(run_id).state_type is StateType.PENDING


async def test_claim_of_what_is_left_running_is_kept_for_a_successor(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    async with serving(site, grace_seconds=0.0) as bench:
        await bench.cloud.started.wait()

    [worker] = site.client.send(work_pools.workers(site.name))
    with sqlite3.connect(site.server.home / "forebay.db") as database:
        [[lease_seconds]] = database.execute(
            "SELECT lease_seconds FROM claim WHERE flow_run_id = ?", [run_id.hex]
        )
    assert lease_seconds == 900
    assert worker.heartbeat_interval_seconds == 5


async def test_cancelled_run_is_ended_although_its_worker_stops(site: Site) -> None:
    run_id = site.run(site.deploy("greet"))
    async with serving(site, grace_seconds=20.0) as bench:
        await bench.cloud.waited_for.wait()
        bench.worker.stop()
        site.propose(run_id, StateType.CANCELLING)
        await bench.until(run_id, StateType.CANCELLED)

    assert bench.cloud.killed == ["cloud/1"]


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        (StartFailed("The region is full."), "The region is full."),
        (KeyError("vpc"), "Cloud failed with KeyError('vpc')."),
    ],
)
async def test_run_that_cannot_be_started_is_reported_crashed_and_the_worker_goes_on(
    site: Site, failure: Exception, message: str
) -> None:
    deployment = site.deploy("greet")
    broken = site.run(deployment)
    async with serving(site) as bench:
        bench.cloud.failure = failure
        run = await bench.until(broken, StateType.CRASHED)
        bench.cloud.failure = None
        site.run(deployment)
        async with asyncio.timeout(20):
            await bench.cloud.started.wait()

    assert run.state is not None
    assert run.state.message == message


class Trouble(logging.Handler):
    """Tells when the worker has logged that something does not work."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.told = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.told.set()


class Idle:
    """A source that has nothing."""

    pause_seconds = 1.0

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self, free: int | None, awaited: int) -> list[FlowRun]:
        self.asked += 1
        return []

    async def unheard(self) -> list[HeldRun]:
        return []


async def test_worker_whose_heartbeats_fail_asks_for_no_work(
    site: Site, unused_tcp_port: int
) -> None:
    source = Idle()
    settings = ClientSettings(api_url=f"http://127.0.0.1:{unused_tcp_port}/api", max_tries=1)
    async with AsyncClient(settings) as client:
        with Client(settings) as log_client:
            shipper = LogShipper(log_client)
            at = Surroundings(client, shipper, Cloud(), "w", site.name, asyncio.Event())
            worker = Worker(at, WorkerOptions(), source)
            trouble = Trouble()
            logging.getLogger("forebay_worker.loop").addHandler(trouble)
            task = asyncio.create_task(worker.run())
            async with asyncio.timeout(10):
                await trouble.told.wait()
            worker.stop()
            await task
            shipper.close(1)
    logging.getLogger("forebay_worker.loop").removeHandler(trouble)

    assert source.asked == 0
    assert not worker.is_healthy
