"""Runs of one pool from deployment to end: carried out together, or handed from worker to worker.

Where infrastructure outlives its worker, the story is the same for every type.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from forebay.wire.states import StateType
from tests.worker.conftest import Site, WorkerProcess
from tests.worker.stored import Stored

# What `every_kind_of_value` has to become in a container, for a worker with CLUSTER=blue.
VALUES = {
    "PLAIN=7",
    "FROM_BLOCK=a.test",
    'FROM_VARIABLE=zone {"zone": 3}',
    "FROM_WORKER=blue",
    "BRACES={{ image }}",
}


def wait_for(site: Site, run_id: UUID, state: StateType) -> str:
    """Wait until the run has the state; its message."""
    give_up_at = time.monotonic() + 60
    while (run := site.read(run_id)).state_type is not state:
        assert time.monotonic() < give_up_at, run.state
        time.sleep(0.05)
    assert run.state is not None
    return run.state.message or ""


def message(site: Site, run_id: UUID) -> str:
    """Of the run's state, which must be CRASHED."""
    run = site.read(run_id)
    assert run.state_type is StateType.CRASHED, run.state
    assert run.state is not None
    return run.state.message or ""


def every_kind_of_value(site: Site) -> dict[str, Any]:
    """Job variables that refer to all that can be referred to."""
    stored = Stored(site)
    return {
        "command": "sh -c 'env; exit 0'",
        "env.PLAIN": "7",
        "env.FROM_BLOCK": f"{{{{ prefect.blocks.{stored.slug}.mine.hosts.main }}}}",
        "env.FROM_VARIABLE": f"zone {{{{ prefect.variables.{stored.name} }}}}",
        "env.FROM_WORKER": "{{ $CLUSTER }}",
        "env.BRACES": "{{ image }}",
    }


@dataclass
class Served:
    """Runs that one worker has carried out, and what it wrote."""

    runs: dict[str, UUID]
    output: str


@contextmanager
def served(site: Site, variables: dict[str, dict[str, Any]]) -> Iterator[Served]:
    """A worker has carried out a run for each set of job variables; the pool goes afterwards."""
    deployment = site.deploy("greet", parameters={"times": 2, "name": "somebody"})
    runs = {name: site.run(deployment, job_variables=given) for name, given in variables.items()}
    worker = site.worker("--run-once", environment={"CLUSTER": "blue"})
    assert worker.end() == 0, worker.output
    yield Served(runs, worker.output)
    site.close()


@dataclass
class HandedOver:
    """Three runs: one cancelled by its worker, two taken over when that worker was killed."""

    cancelled_first: UUID
    cancelled_later: UUID
    completed: UUID
    told: str  # message of the run that its own worker cancelled
    second: WorkerProcess


def handed_over(site: Site) -> HandedOver:
    """A worker starts three runs, cancels one and is killed; its successor sees to the others."""
    gate = site.folder / "gate"
    command = f"sh -c 'echo waiting; while [ ! -e {gate} ]; do sleep 0.02; done; echo done'"
    deployment = site.deploy("greet", job_variables={"command": command})
    early, later, completed = (site.run(deployment) for _ in range(3))
    first = site.worker("--name", "one")
    first.until("RUNNING")
    for run_id in (early, later, completed):
        wait_for(site, run_id, StateType.RUNNING)
        while not site.messages(run_id, "stdout"):
            time.sleep(0.05)
    site.propose(early, StateType.CANCELLING)
    told = wait_for(site, early, StateType.CANCELLED)
    first.kill()
    site.propose(later, StateType.CANCELLING)

    second = site.worker("--name", "one")
    wait_for(site, later, StateType.CANCELLED)
    gate.touch()
    wait_for(site, completed, StateType.COMPLETED)
    second.stop()
    assert second.end() == 0
    return HandedOver(early, later, completed, told, second)
