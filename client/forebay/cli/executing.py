"""Executes a run in a process of this environment. Knows the worker's package only by name."""

import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from uuid import UUID

from forebay.cli.failures import MissingPackage
from forebay.cli.output import Output

MODULE = "forebay_worker.execute"


def execute_here(run_id: UUID, output: Output, entrypoint: str | None = None) -> int:
    """The exit code of a process that executes the run; its lines never mix with JSON."""
    if find_spec(MODULE.partition(".")[0]) is None:
        raise MissingPackage(
            "Executing runs needs forebay's worker: pip install 'forebay[worker]'"
        )
    environment = {**os.environ, "FOREBAY_FLOW_RUN_ID": str(run_id)}
    if entrypoint is not None:
        environment["FOREBAY_ENTRYPOINT"] = entrypoint
    stdout = sys.stderr if output is Output.JSON else None
    command = [sys.executable, "-m", MODULE]
    process = subprocess.Popen(command, env=environment, stdout=stdout)
    # What started this signals this process, and means that one.
    before = signal.signal(signal.SIGTERM, lambda number, _: process.send_signal(number))
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGTERM, before)
