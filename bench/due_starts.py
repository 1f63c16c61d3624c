"""How long after its time a run is started, by an idle worker that waits for it.

    python -m bench.due_starts [--runs 60]

A server and one `forebay worker start` of a process pool, whose runs tell the time. Printed are
milliseconds after the scheduled time, of the process by its own clock and of the states, and the
processor's time that the worker spent on each run; a 95th percentile of processes above the target
ends this script with code 1. Runs are claimed before their time, hence PENDING is negative.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forebay.calls import deployments, flow_runs, flows, logs, work_pools
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.deployments import DeploymentCreate
from forebay.wire.flow_runs import DeploymentFlowRunCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay.wire.work_pools import WorkPoolCreate

FOREBAY = str(Path(sys.executable).parent / "forebay")
POOL = "bench"
FIRST_SECONDS, APART_SECONDS = 3.0, 0.3
TARGET_MS = 100
STATES = (StateType.PENDING, StateType.RUNNING)
NOT_ENDED = (StateType.SCHEDULED, *STATES)
STARTED = "started"
COMMAND = "date +%s.%N"  # seconds since 1970


def measured(client: Client, runs: int) -> tuple[dict[str, list[float]], float]:
    """How many milliseconds after its time each run came to each stage; CPU ms of each run."""
    variables = {"properties": {"command": {"type": "string", "default": COMMAND}}}
    template = {"job_configuration": {"command": "{{ command }}"}, "variables": variables}
    client.send(
        work_pools.create(WorkPoolCreate(name=POOL, type="process", base_job_template=template))
    )
    flow = client.send(flows.create(FlowCreate(name=POOL)))
    deployment = client.send(
        deployments.create(DeploymentCreate(name=POOL, flow_id=flow.id, work_pool_name=POOL))
    )
    worker = subprocess.Popen(
        [FOREBAY, "worker", "start", "--pool", POOL], stdout=subprocess.DEVNULL
    )
    try:
        while not client.send(work_pools.workers(POOL)):
            time.sleep(0.1)
        spent = cpu_seconds(worker.pid)
        first = datetime.now(UTC) + timedelta(seconds=FIRST_SECONDS)
        due = {}
        for number in range(runs):
            at = first + timedelta(seconds=APART_SECONDS * number)
            state = StateCreate(
                type=StateType.SCHEDULED, state_details=StateDetails(scheduled_time=at)
            )
            body = DeploymentFlowRunCreate(state=state)
            due[client.send(deployments.create_flow_run(deployment.id, body)).id] = at
        while client.send(flow_runs.filter(pool_names=[POOL], state_types=NOT_ENDED, limit=1)):
            time.sleep(1)
        spent = cpu_seconds(worker.pid) - spent
        late: dict[str, list[float]] = {name: [] for name in (*STATES, STARTED)}
        for id, at in due.items():
            for found in client.send(flow_runs.states(id)):
                if found.type in late:
                    late[found.type].append((found.timestamp - at).total_seconds() * 1000)
            told = client.send(logs.filter(flow_run_id=id))
            started = next(float(line.message) for line in told if line.name == "stdout")
            late[STARTED].append((started - at.timestamp()) * 1000)
        return late, spent * 1000 / runs
    finally:
        worker.terminate()
        worker.wait()


def cpu_seconds(pid: int) -> float:
    """The processor's time that a process has used, without its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name in [*os.environ]:
            if name.startswith(("FOREBAY_", "PREFECT_")):
                del os.environ[name]
        os.environ["FOREBAY_HOME"] = folder
        server = subprocess.Popen(
            [FOREBAY, "server", "start", "--port", "0"], stdout=subprocess.PIPE
        )
        try:
            assert server.stdout is not None
            server.stdout.readline()
            with Client(ClientSettings.load()) as client:
                late, cpu = measured(client, options.runs)
        finally:
            server.terminate()
            server.wait()
    print(f"{'state':<10} {'runs':>5} {'median ms':>10} {'p95 ms':>8} {'worst ms':>9}")
    for name, times in late.items():
        times.sort()
        middle, high = times[len(times) // 2], times[int(len(times) * 0.95)]
        print(f"{name:<10} {len(times):>5} {middle:>10.0f} {high:>8.0f} {times[-1]:>9.0f}")
    print(f"processor's time of the worker, a run: {cpu:.0f} ms")
    if high > TARGET_MS:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
