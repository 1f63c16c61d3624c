"""Fixtures that every part of the suite shares: databases, the app, a running server, tools."""

import asyncio
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import httpx2 as httpx
import pytest
from fastapi import FastAPI

from forebay_server.app import create_app
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings
from forebay_server.start import prepare
from tests.postgres import Cluster, cluster
from tests.scripted import ScriptedApi

BIN = Path(sys.executable).parent


def require_tool(*names: str) -> str:
    """Path of the first of `names` on this machine; without any, skip here and fail in CI."""
    for name in names:
        if path := shutil.which(name):
            return path
    missing(f"{' or '.join(names)} is not installed")


def missing(reason: str) -> NoReturn:
    """Skip here, and fail in CI, which has everything."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the whole suite can be told, whichever part of it runs."""
    parser.addoption(
        "--both-servers",
        action="store_true",
        help="run every acceptance test that can on the real Prefect's server too, not only "
        "the most telling ones",
    )


@pytest.fixture(autouse=True)
def own_environment(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test reads the settings, profiles or credentials of whoever runs it."""
    for name in [*os.environ]:
        if name.startswith(("FOREBAY_", "PREFECT_", "TF_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("FOREBAY_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path_factory.mktemp("prefect")))
    # The provider switches logging off in its process, which is this one where it is tested.
    monkeypatch.setattr(logging.root.manager, "disable", logging.NOTSET)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    """Children end when they are interrupted, also where the tests run in the background: whoever
    starts them there has that signal ignored, which children inherit."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite database to copy from."""
    path = tmp_path_factory.mktemp("template") / "forebay.db"
    url = f"sqlite+aiosqlite:///{path}"
    asyncio.run(prepare(ServerSettings(database_url=url, require_token=False)))
    return path


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL cluster for this run."""
    with ExitStack() as stack:
        try:
            running = stack.enter_context(cluster())
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            missing(f"PostgreSQL cannot be started: {error}")
        yield running


@pytest.fixture
def postgres_url(postgres_cluster: Cluster) -> Iterator[str]:
    """A migrated, empty PostgreSQL database of the test's own."""
    url = postgres_cluster.new_database()
    yield url
    postgres_cluster.drop(url)


@pytest.fixture
def settings(migrated_sqlite: Path, tmp_path: Path) -> ServerSettings:
    """Settings of a quiet server without authentication, over an empty database of its own."""
    path = tmp_path / "forebay.db"
    shutil.copy(migrated_sqlite, path)
    return ServerSettings(
        home=tmp_path,
        database_url=f"sqlite+aiosqlite:///{path}",
        require_token=False,
        run_services=False,
    )


@pytest.fixture
async def app(settings: ServerSettings) -> AsyncIterator[FastAPI]:
    """The application, started."""
    application = create_app(settings)
    async with application.router.lifespan_context(application):
        yield application


@pytest.fixture
def database(app: FastAPI) -> Database:
    """The application's own database."""
    found = app.state.database
    assert isinstance(found, Database)
    return found


@pytest.fixture
async def api(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the application in this process; paths are below `/api`."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost/api") as client:
        yield client


@dataclass(frozen=True)
class RunningServer:
    """A server process of its own, with its folder and the token that it made."""

    api_url: str
    api_key: str
    home: Path
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which clients find this server."""
        return {
            **os.environ,
            "FOREBAY_HOME": str(self.home),
            "FOREBAY_API_URL": self.api_url,
            "FOREBAY_API_KEY": self.api_key,
        }


def start_server(home: Path, *options: str) -> RunningServer:
    """Start `forebay server` on a free port; returns once it listens."""
    # A server for the whole session starts before a test has cleaned the environment.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FOREBAY_", "PREFECT_"))}
    process = subprocess.Popen(
        [BIN / "forebay", "server", "start", "--port", "0", *options],
        env={**kept, "FOREBAY_HOME": str(home)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("Forebay serves "), line
    api_url = line.split()[-1]
    # The socket listens already, so this waits until the application behind it is ready.
    httpx.get(f"{api_url}/health", timeout=60).raise_for_status()
    profiles = tomllib.loads((home / "profiles.toml").read_text())
    key = profiles["profiles"]["local"]["FOREBAY_API_KEY"]
    return RunningServer(api_url, key, home, process)


def stop_process(process: subprocess.Popen[str]) -> None:
    """End a process, by force when it does not end by itself."""
    process.send_signal(signal.SIGTERM)
    try:
        process.communicate(timeout=15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A real server on SQLite, with authentication and without background services."""
    running = start_server(tmp_path_factory.mktemp("server"), "--no-services")
    yield running
    stop_process(running.process)


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The same, one for all tests that use names of their own and do not mind others' objects."""
    running = start_server(tmp_path_factory.mktemp("server"), "--no-services")
    yield running
    stop_process(running.process)


@pytest.fixture
def scripted() -> Iterator[ScriptedApi]:
    """An API on a free port whose answers the test writes."""
    api = ScriptedApi()
    threading.Thread(target=api.server.serve_forever, args=(0.01,), daemon=True).start()
    yield api
    api.released.set()
    api.server.shutdown()
    api.server.server_close()
