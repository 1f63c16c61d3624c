"""The whole way: Terraform makes the pool, a worker takes a run and executes real Python."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.acceptance.conftest import Terraform
from tests.conftest import BIN, RunningServer, stop_process

pytestmark = pytest.mark.terraform

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart"


def forebay(server: RunningServer, *arguments: str) -> str:
    """Standard output of a command of the real CLI, which must succeed."""
    done = subprocess.run(
        [BIN / "forebay", *arguments],
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
    return done.stdout


def test_a_run_on_a_pool_that_terraform_made_ends_completed_with_its_logs(
    terraform: Terraform, server: RunningServer
) -> None:
    terraform.folder.joinpath("main.tf").write_text((QUICKSTART / "main.tf").read_text())
    terraform.run("apply", "-auto-approve", "-input=false", "-no-color")
    forebay(
        server,
        *("deployment", "create", f"{QUICKSTART / 'greet.py'}:greet", "--name", "test"),
        *("--pool", "quickstart", "--work-queue", "urgent"),
    )
    worker = subprocess.Popen(
        [BIN / "forebay", "worker", "start", "--pool", "quickstart"],
        env=server.environment,
        stdout=subprocess.DEVNULL,
        text=True,
    )

    try:
        parameters = ["--param", "name=test", "--param", "times=2"]
        forebay(server, "deployment", "run", "greet/test", *parameters, "--watch")
    finally:
        stop_process(worker)

    (run,) = json.loads(forebay(server, "flow-run", "ls", "-o", "json"))
    assert run["state_type"] == "COMPLETED"
    assert run["work_queue_name"] == "urgent"
    assert run["parameters"] == {"name": "test", "times": 2}
    logs = json.loads(forebay(server, "flow-run", "logs", run["id"], "-o", "json"))
    messages = [log["message"] for log in logs]
    greetings = [message for message in messages if message.startswith("Hello, test!")]
    assert greetings == ["Hello, test! (1 of 2)", "Hello, test! (2 of 2)"]
    assert worker.returncode == 0


def test_the_demonstration_succeeds_and_reaches_its_end() -> None:
    done = subprocess.run(
        [BIN / "python", QUICKSTART / "demo.py"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "No changes." in done.stdout
    assert "Completed" in done.stdout
    assert "What to try next" in done.stdout
