"""P7: how long after its time a run is started, by an idle worker that waits for it.

A server and one `forebay worker start` of a process pool, whose runs tell the time. Found are
milliseconds after the scheduled time, of the process by its own clock and of the states, and the
processor's time that the worker spent on each run. Runs are claimed before their time, hence
PENDING is negative.
"""

import subprocess
import time
from datetime import UTC, datetime, timedelta

from bench.commands import FOREBAY, URL, serving
from bench.figures import Figure
from bench.meter import percentile, process_clock
from forebay.calls import deployments, flow_runs, flows, logs, work_pools
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.deployments import DeploymentCreate
from forebay.wire.flow_runs import DeploymentFlowRunCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay.wire.work_pools import WorkPoolCreate

POOL = "bench"
STARTED = "started"
FIRST_SECONDS, APART_SECONDS = 3.0, 0.3
RUNS_EACH_SECOND = 10  # of the time of other measurements
MOST_MS = {StateType.PENDING: {50: 20, 99: 100}, STARTED: {95: 100}}  # by the hundredth of runs
STATES = (StateType.PENDING, StateType.RUNNING)
NOT_ENDED = (StateType.SCHEDULED, *STATES)
COMMAND = "date +%s.%N"  # seconds since 1970


def started(
    client: Client, environment: dict[str, str], runs: int
) -> tuple[dict[str, list[float]], float]:
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
        [FOREBAY, "worker", "start", "--pool", POOL], env=environment, stdout=subprocess.DEVNULL
    )
    try:
        while not client.send(work_pools.workers(POOL)):
            time.sleep(0.1)
        spent = _own_ms(worker.pid)
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
        spent = _own_ms(worker.pid) - spent
        late: dict[str, list[float]] = {name: [] for name in (*STATES, STARTED)}
        for id, at in due.items():
            for found in client.send(flow_runs.states(id)):
                if found.type in late:
                    late[found.type].append((found.timestamp - at).total_seconds() * 1000)
            told = client.send(logs.filter(flow_run_id=id))
            told_at = next(float(line.message) for line in told if line.name == "stdout")
            late[STARTED].append((told_at - at.timestamp()) * 1000)
        return late, spent / runs
    finally:
        worker.terminate()
        worker.wait()


def _own_ms(pid: int) -> float:
    """The processor's time that a process has used, without its children."""
    return time.clock_gettime(process_clock(pid)) * 1000


def measure(seconds: float) -> list[Figure]:
    """How late processes start and states come, and what a run costs the worker."""
    runs = max(20, int(RUNS_EACH_SECOND * seconds))
    with (
        serving("--no-auth") as environment,
        Client(ClientSettings(api_url=environment[URL])) as client,
    ):
        late, cpu = started(client, environment, runs)
    figures = []
    for name, times in late.items():
        for hundredth in (50, 95, 99):
            most = MOST_MS.get(name, {}).get(hundredth)
            line = f"run due → {name} by `forebay worker start`: p{hundredth}"
            value = percentile(times, hundredth / 100)
            figures.append(Figure("P7", line, "sqlite", value, "ms", most))
    line = "the worker's own CPU, a run"
    return [*figures, Figure("P7", line, "sqlite", cpu, "ms")]
