"""Several processes that serve one PostgreSQL database, and how serving ends."""

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx2 as httpx
import pytest
from sqlalchemy import select, update

from forebay_server.app import create_app
from forebay_server.claims.tables import claims
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.services import foreman, late_runs
from forebay_server.services.rescuer import Rescuer
from forebay_server.services.scheduler import SCHEDULER
from forebay_server.settings import ServerSettings
from tests.conftest import BIN, RunningServer, start_server, stop_process
from tests.postgres import Cluster
from tests.server.deployments.builders import a_deployment, runs
from tests.server.flow_runs.builders import a_place, a_run, a_running_run

pytestmark = pytest.mark.postgres

HOURLY = {"schedule": {"cron": "0 * * * *", "timezone": "UTC"}, "active": True}


@pytest.fixture
def pair(postgres_url: str, tmp_path: Path) -> Iterator[RunningServer]:
    """Two processes behind one address."""
    running = start_server(tmp_path, "--database-url", postgres_url, "--workers", "2")
    yield running
    stop_process(running.process)


def serving(server: RunningServer) -> set[int]:
    """The ids of the processes that the supervisor has started to serve."""
    supervisor = server.process.pid
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_text() for pid in children}
    return {pid for pid, line in lines.items() if "spawn_main" in line}


def is_there(pid: int) -> bool:
    """Whether a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: object, seconds: float = 20) -> None:
    """Wait for `condition()` to hold."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_a_process_that_dies_is_replaced_and_requests_go_on(pair: RunningServer) -> None:
    until(lambda: len(serving(pair)) == 2)
    victim, survivor = sorted(serving(pair))

    os.kill(victim, signal.SIGKILL)

    until(lambda: len(serving(pair) - {victim}) == 2)
    assert survivor in serving(pair)
    assert httpx.get(f"{pair.api_url}/ready", timeout=20).status_code == 200


def test_sigterm_ends_every_process_with_exit_code_0(pair: RunningServer) -> None:
    until(lambda: len(serving(pair)) == 2)
    processes = serving(pair)
    httpx.get(f"{pair.api_url}/ready", timeout=20).raise_for_status()

    stop_process(pair.process)

    assert pair.process.returncode == 0
    assert not any(map(is_there, processes))


def test_processes_whose_supervisor_was_killed_end_too(pair: RunningServer) -> None:
    until(lambda: len(serving(pair)) == 2)
    processes = serving(pair)

    pair.process.kill()

    until(lambda: not any(map(is_there, processes)))


def test_a_server_that_ends_says_so_before_it_refuses_connections(server: RunningServer) -> None:
    with httpx.Client(base_url=server.api_url) as client:
        assert client.get("/ready").status_code == 200

        server.process.send_signal(signal.SIGTERM)

        until(lambda: httpx.get(f"{server.api_url}/ready").status_code == 503, seconds=1)
        answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.headers["connection"] == "close"
    assert server.process.wait(timeout=15) == 0


def test_an_idle_connection_is_kept_for_longer_than_clients_keep_it(
    server: RunningServer,
) -> None:
    address = urlsplit(server.api_url)
    connection = HTTPConnection(str(address.hostname), address.port)
    connection.auto_open = 0  # no second connection unnoticed
    connection.connect()
    connection.request("GET", "/api/health")
    connection.getresponse().read()

    time.sleep(6)  # a second more than httpx keeps it

    connection.request("GET", "/api/health")
    assert connection.getresponse().status == 200
    connection.close()


def test_several_processes_on_sqlite_are_refused_with_the_reason(tmp_path: Path) -> None:
    done = subprocess.run(
        [BIN / "forebay", "server", "start", "--workers", "2"],
        env={**os.environ, "FOREBAY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert done.returncode == 2
    assert "PostgreSQL" in done.stderr


def test_four_servers_that_start_together_migrate_once_and_make_one_token(
    postgres_cluster: Cluster,
) -> None:
    url = postgres_cluster.new_database(is_empty=True)

    with tempfile.TemporaryDirectory() as home:
        # One after the other would wait for each to be ready, so these are started by hand.
        command = [BIN / "forebay", "server", "start", "--port", "0", "--no-services"]
        started = [
            subprocess.Popen(
                [*command, "--database-url", url],
                env={**os.environ, "FOREBAY_HOME": home},
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        lines = [process.stdout.readline() for process in started if process.stdout]
        addresses = [line.split()[-1] for line in lines if line.startswith("Forebay serves")]
        ready = [httpx.get(f"{address}/ready", timeout=60).status_code for address in addresses]
        for process in started:
            stop_process(process)

    async def count_tokens() -> int:
        connection = await asyncpg.connect(url.replace("+asyncpg", ""))
        try:
            return int(await connection.fetchval("SELECT count(*) FROM token"))
        finally:
            await connection.close()

    assert ready == [200] * 4
    assert asyncio.run(count_tokens()) == 1
    assert [process.returncode for process in started] == [0] * 4
    postgres_cluster.drop(url)


async def test_services_in_two_processes_at_once_do_everything_once(postgres_url: str) -> None:
    settings = ServerSettings(database_url=postgres_url, require_token=False, run_services=False)
    first, second = create_app(settings), create_app(settings)
    databases = [first.state.database, second.state.database]
    transport = httpx.ASGITransport(app=first)
    async with (
        first.router.lifespan_context(first),
        second.router.lifespan_context(second),
        httpx.AsyncClient(transport=transport, base_url="http://localhost/api") as api,
    ):
        place = await a_place(databases[0])
        lost = [await a_running_run(api, databases[0], place) for _ in range(5)]
        async with databases[0].write() as db:
            past = await db.now() - timedelta(minutes=1)
        late = [await a_run(databases[0], place.queue_id, due=past) for _ in range(5)]
        made = await a_deployment(api, schedules=[HOURLY])
        wanted = [run["next_scheduled_start_time"] for run in await runs(api, made["id"])]
        rescuers = [Rescuer(), Rescuer()]
        await asyncio.gather(*(r.tick(d) for r, d in zip(rescuers, databases, strict=True)))
        async with databases[0].write() as db:
            await db.execute(update(claims).values(expires_at=past))
            is_scheduled = flow_runs.c.deployment_id == UUID(made["id"])
            await db.execute(flow_runs.delete().where(is_scheduled))

        await asyncio.gather(
            *(r.tick(d) for r, d in zip(rescuers, databases, strict=True)),
            *(tick(d) for d in databases for tick in (SCHEDULER.tick, late_runs.tick)),
            *(foreman.tick(d) for d in databases),
        )

        async with databases[0].read() as db:
            ended = await db.rows(select(claims.c.ended_at))
        history = {
            run: (await api.get(f"/flow_run_states/?flow_run_id={run}")).json()
            for run in (*lost, *late)
        }
        scheduled = [run["next_scheduled_start_time"] for run in await runs(api, made["id"])]
    assert all(row.ended_at is not None for row in ended)
    for run in lost:
        names = [state["name"] for state in history[run]]
        assert sorted(names) == ["Crashed", "Pending", "Running", "Scheduled"]
    for run in late:
        assert sorted(state["name"] for state in history[run]) == ["Late", "Scheduled"]
    assert wanted
    assert scheduled == wanted
