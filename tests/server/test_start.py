"""Starting the server: what the first start makes, and why a start is refused."""

import os
import sqlite3
import stat
import subprocess
import tomllib
from pathlib import Path

import httpx2 as httpx
import pytest

from tests.conftest import BIN, RunningServer, start_server, stop_process


def refuse(home: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A start that must end by itself, without a traceback."""
    done = subprocess.run(
        [BIN / "forebay", "server", "start", "--port", "0", *options],
        env={**os.environ, "FOREBAY_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done


def profile(home: Path) -> dict[str, str]:
    profiles = tomllib.loads((home / "profiles.toml").read_text())
    local: dict[str, str] = profiles["profiles"]["local"]
    return local


def test_the_first_start_makes_a_token_that_only_its_owner_can_read(
    server: RunningServer,
) -> None:
    path = server.home / "profiles.toml"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert profile(server.home)["FOREBAY_API_URL"] == server.api_url
    stored = (server.home / "forebay.db").read_bytes()
    assert server.api_key.encode() not in stored


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer wrong"}, 401),
        ({"authorization": "Basic wrong"}, 401),
        ({"authorization": "Bearer {key}"}, 200),
    ],
)
def test_a_route_asks_for_the_token_and_health_does_not(
    server: RunningServer, headers: dict[str, str], status: int
) -> None:
    filled = {name: value.format(key=server.api_key) for name, value in headers.items()}

    answer = httpx.get(f"{server.api_url}/hello", headers=filled)

    assert answer.status_code == status
    assert httpx.get(f"{server.api_url}/health").status_code == 200


def test_a_later_start_keeps_the_token_and_corrects_the_address(server: RunningServer) -> None:
    stop_process(server.process)

    again = start_server(server.home, "--no-services")

    try:
        assert again.api_key == server.api_key
        assert profile(server.home)["FOREBAY_API_URL"] == again.api_url
    finally:
        stop_process(again.process)
    assert again.process.returncode == 0


def test_other_profiles_outlive_a_start(server: RunningServer) -> None:
    stop_process(server.process)
    path = server.home / "profiles.toml"
    path.write_text(path.read_text() + '\n[profiles.other]\nFOREBAY_API_URL = "http://x/api"\n')

    again = start_server(server.home, "--no-services")

    stop_process(again.process)
    profiles = tomllib.loads(path.read_text())["profiles"]
    assert profiles["other"] == {"FOREBAY_API_URL": "http://x/api"}


def test_a_second_server_on_the_same_file_refuses_to_start(server: RunningServer) -> None:
    done = refuse(server.home)

    assert done.returncode == 3
    assert "served by another process" in done.stderr


def test_a_newer_schema_is_left_alone(server: RunningServer) -> None:
    stop_process(server.process)
    with sqlite3.connect(server.home / "forebay.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")

    done = refuse(server.home)

    assert done.returncode == 4
    assert "install a newer Forebay" in done.stderr


@pytest.mark.parametrize(
    ("options", "exit_code", "reason"),
    [
        (["--database-url", "nonsense"], 2, "database URL"),
        (["--database-url", "mysql://x/y"], 2, "not on mysql"),
        (["--database-url", "postgresql://u:hidden@127.0.0.1:1/d"], 1, "cannot be opened"),
        (["--database-url", "sqlite:////proc/absent/f.db"], 1, "cannot be opened"),
        (["--no-auth", "--host", "0.0.0.0"], 2, "loopback"),
        (["--port", "70000"], 2, "port"),
    ],
)
def test_a_start_that_cannot_be_says_why(
    tmp_path: Path, options: list[str], exit_code: int, reason: str
) -> None:
    done = refuse(tmp_path, *options)

    assert done.returncode == exit_code
    assert reason in done.stderr
    assert "hidden" not in done.stderr


def test_a_taken_port_is_named_with_the_next_step(server: RunningServer, tmp_path: Path) -> None:
    port = server.api_url.split(":")[2].split("/")[0]

    done = refuse(tmp_path, "--port", port)

    assert done.returncode == 1
    assert port in done.stderr
    assert "--port" in done.stderr
