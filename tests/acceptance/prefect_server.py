"""The real Prefect's server as a process of its own. Knows no test."""

import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx

from tests.conftest import RunningServer

START_SECONDS = 120  # it migrates an empty database through its whole history
CREDENTIALS = "somebody:a password"


@dataclass(frozen=True)
class GuardedServer(RunningServer):
    """One that asks for a password and for CSRF tokens, found as Prefect's own clients find it."""

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which clients find this server."""
        return {
            **os.environ,
            "FOREBAY_HOME": str(self.home),
            "PREFECT_API_URL": self.api_url,
            "PREFECT_API_AUTH_STRING": CREDENTIALS,
        }


def start_guarded_server(prefect: Path, home: Path) -> GuardedServer:
    """Start one of these; returns once it answers."""
    guards = {
        "PREFECT_SERVER_API_AUTH_STRING": CREDENTIALS,
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
    }
    running = start_prefect_server(prefect, home, **guards)
    return GuardedServer(running.api_url, "", home, running.process)


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
        # It would ask its makers for newer worker types than those it comes with.
        "https_proxy": "http://127.0.0.1:1",
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
