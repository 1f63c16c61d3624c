"""The real Prefect's server as a process of its own. Knows no test."""

import os
import socket
import subprocess
import time
from pathlib import Path

import httpx2 as httpx

from tests.conftest import RunningServer

START_SECONDS = 120  # it migrates an empty database through its whole history


def start_prefect_server(prefect: Path, home: Path, **changed: str | None) -> RunningServer:
    """Start it on SQLite and a free port, without services; returns once it answers.

    `changed` are settings that are to be otherwise, by the names of their variables; None leaves
    one out.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    api_url = f"http://127.0.0.1:{port}/api"
    # A server for the whole session starts before a test has cleaned the environment.
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FOREBAY_", "PREFECT_"))}
    settings = {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_UI_ENABLED": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
    }
    log = home / "server.log"
    environment = {**kept, **settings, **changed}
    with log.open("w") as output:
        process = subprocess.Popen(
            [prefect, "server", "start", "--port", str(port), "--no-services"],
            env={name: value for name, value in environment.items() if value is not None},
            stdout=output,
            stderr=output,
            text=True,
        )
    give_up_at = time.monotonic() + START_SECONDS
    while not _is_ready(api_url):
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < give_up_at, log.read_text()
        time.sleep(0.2)
    return RunningServer(api_url, "", home, process)


def _is_ready(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/health", timeout=5).is_success
    except httpx.TransportError:
        return False
