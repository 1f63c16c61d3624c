"""What the tests of the command line share: making runs, playing the worker, reading JSON."""

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from subprocess import CompletedProcess
from typing import Any
from uuid import UUID

from typer.testing import CliRunner

from forebay.calls import deployments, flow_runs, logs
from forebay.cli.failures import run as run_command
from forebay.cli.root import build
from forebay.client import Client
from forebay.wire.deployments import Deployment
from forebay.wire.flow_runs import DeploymentFlowRunCreate, FlowRun
from forebay.wire.logs import LogCreate
from forebay.wire.states import StateCreate, StateType, VerdictStatus

Run = Callable[..., CompletedProcess[str]]

SOURCE = '''
def say_hello(name: str, times: int = 1) -> None:
    """Greet somebody."""
'''


def run_here(*args: object, input: str = "") -> CompletedProcess[str]:
    """What the command line does and says when it is called within this process."""
    words = [str(arg) for arg in args]
    code: object = 0
    environment = dict(os.environ)  # `--profile` sets a variable for the rest of its process
    with CliRunner().isolation(input=input) as (out, errors, _):
        try:
            run_command(lambda: build()(args=words, prog_name="forebay"))
        except SystemExit as end:
            code = end.code or 0
        finally:
            os.environ.clear()
            os.environ.update(environment)
        sys.stdout.flush()
        sys.stderr.flush()
        told, complained = out.getvalue().decode(), errors.getvalue().decode()
    assert isinstance(code, int)
    return CompletedProcess(words, code, told, complained)


def register(run: Run, pool: str, *options: str) -> Any:
    """The deployment that `forebay deployment create` makes of `hello.py` in the folder."""
    made = run(
        *("deployment", "create", "hello.py:say_hello", "--pool", pool, "-o", "json"),
        *("--flow-name", f"flow of {pool}", *options),
    )
    return as_json(made)


def as_json(ended: CompletedProcess[str]) -> Any:
    """What a command that succeeded printed."""
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def start(client: Client, deployment: Deployment, **values: Any) -> FlowRun:
    """A new run of the deployment."""
    body = DeploymentFlowRunCreate(parameters={"name": "you"}, **values)
    return client.send(deployments.create_flow_run(deployment.id, body))


def propose(client: Client, run_id: UUID, state: StateType, message: str | None = None) -> None:
    """Propose a state, which must be accepted."""
    verdict = client.send(flow_runs.set_state(run_id, StateCreate(type=state, message=message)))
    assert verdict.status is VerdictStatus.ACCEPT


def write(client: Client, run_id: UUID, *messages: str) -> None:
    """Store log lines of the run, a millisecond apart."""
    begun = datetime.now(UTC)
    lines = [
        LogCreate(
            name="test",
            level=20,
            message=message,
            timestamp=begun + timedelta(milliseconds=number),
            flow_run_id=run_id,
        )
        for number, message in enumerate(messages)
    ]
    client.send(logs.create(lines))
