"""P5: how many statements an operation takes, by what PostgreSQL's own log says."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from statistics import median

from bench import seeds
from bench.claims import claiming
from bench.creates import singly
from bench.figures import Figure
from bench.heartbeats import beats
from bench.lanes import Lane
from bench.stage import Stage, connect

POOL = "statements"
TIMES = 15  # of each operation; the median leaves out what the services do meanwhile
STATEMENT = re.compile(
    r"LOG:  (?:execute [^:]*|statement): (?!BEGIN|COMMIT|ROLLBACK|SET |SELECT pg_notify\()"
)
RELOAD_SECONDS = 0.5  # until every backend has read its configuration again
MOST = {"poll": 2, "set_state": 3, "claim of 10": 3, "heartbeat": 1, "create": 3}
Operation = Callable[[], Awaitable[object]]


class StatementLog:
    """PostgreSQL's log while it tells every statement."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_to = path.stat().st_size

    def new(self) -> int:
        """Statements since the last look.

        None are beginnings and ends of transactions, and what tells other processes of news:
        that goes out by itself, later, and for many requests together.
        """
        with self._path.open() as file:
            file.seek(self._read_to)
            text = file.read()
            self._read_to = file.tell()
        return len(STATEMENT.findall(text))


@asynccontextmanager
async def telling(stage: Stage) -> AsyncIterator[StatementLog]:
    """Let a stage's PostgreSQL write every statement of the block to its log."""
    assert stage.database_pid is not None
    connection = await connect(stage.ground.database_url)
    try:
        await connection.execute("ALTER SYSTEM SET log_statement = 'all'")
        await connection.execute("SELECT pg_reload_conf()")
        await asyncio.sleep(RELOAD_SECONDS)
        # The file that the server was started with as its standard error.
        yield StatementLog(Path(f"/proc/{stage.database_pid}/fd/2"))
    finally:
        await connection.execute("ALTER SYSTEM RESET log_statement")
        await connection.execute("SELECT pg_reload_conf()")
        await connection.close()


async def _counted(log: StatementLog, operation: Operation) -> float:
    """Statements of one operation."""
    counts = []
    for _ in range(TIMES):
        log.new()
        await operation()
        counts.append(log.new())
    return median(counts)


async def measure(stage: Stage) -> list[Figure]:
    """The statements of each operation of the hot path; none on SQLite, which has no such log."""
    if stage.db != "postgres":
        return []
    async with stage.lane() as lane, telling(stage) as log:
        await seeds.pool(lane, POOL, queues=4)
        deployment = await seeds.deployment(lane, POOL, "queue-1")
        example = await seeds.due_run(lane, stage.database, deployment)
        await seeds.backlog(stage.database, example, 1_000)
        figures = []
        for name, operation in (await _operations(lane, deployment)).items():
            await operation()  # once uncounted: what is remembered from then on
            found = await _counted(log, operation)
            most = MOST[name.partition(",")[0]]
            what = f"statements of one {name}"
            figures.append(Figure("P5", what, stage.db, found, bound=most))
        return figures


async def _operations(lane: Lane, deployment: str) -> dict[str, Operation]:
    """What is counted, by its name, in an order in which each finds what it needs."""
    worker = {"x-prefect-worker-name": "worker 0"}
    path = f"/work_pools/{POOL}/get_scheduled_flow_runs"

    async def poll() -> list[str]:
        found = await lane.ok("POST", path, {"limit": TIMES + 1}, worker)
        return [due["flow_run"]["id"] for due in found]

    runs = await poll()

    def proposing(type: str) -> Operation:
        left = iter(runs)
        headers = worker if type == "PENDING" else None

        async def propose() -> None:
            body = {"state": {"type": type}}
            verdict = await lane.ok("POST", f"/flow_runs/{next(left)}/set_state", body, headers)
            assert verdict["status"] == "ACCEPT", verdict

        return propose

    states = ("PENDING", "RUNNING", "COMPLETED")
    return {
        "poll": poll,
        **{f"set_state, {type}": proposing(type) for type in states},
        "claim of 10": partial(claiming(POOL, 10), lane, 0),
        "heartbeat": partial(beats(POOL, 1, Counter()), lane, 0),
        "create": partial(singly(deployment, Counter()), lane, 0),
    }
