"""P1 to P3, P8: whole deliveries of runs, as stock clients and as our own worker drive them."""

from collections import Counter, deque
from uuid import uuid4

from bench import floors, seeds
from bench.figures import Figure
from bench.lanes import Lane, Work, drive
from bench.meter import Cost
from bench.stage import Stage

LANES = (1, 8, 32)
POLLED = 10
BATCH = 10
OWN_LANES = 8
BACKLOG = 10_000  # runs; more than are delivered in one measurement of seconds
MOST_SERVER_MS, MOST_DATABASE_MS = 5.0, 2.5
MOST_OWN_SERVER_MS, MOST_OWN_DATABASE_MS = 1.3, 1.5
MOST_WASTED = 0.25
LEAST_OF_FLOOR = {1: 0.5, 2: 0.8}  # by the number of servers
FLATNESS = 0.9


class StockWorker:
    """Polls, then proposes PENDING, RUNNING and COMPLETED for each run, one request at a time.

    What it counts in `counted`: runs that it `proposed`, those `wasted` because another had them,
    those `delivered`, polls that were `short` of runs, requests that `failed`.
    """

    def __init__(self, pool: str, number: int, counted: Counter[str]) -> None:
        self._poll_path = f"/work_pools/{pool}/get_scheduled_flow_runs"
        self._headers = {"x-prefect-worker-name": f"worker {number}"}
        self._counted = counted
        self._coming: deque[tuple[str, str]] = deque()  # runs and the states to propose for them

    async def step(self, lane: Lane) -> int:
        """The next request; 1 when a run is COMPLETED by it, else 0."""
        if not self._coming:
            await self._poll(lane)
            return 0
        run, type = self._coming.popleft()
        is_accepted = await self._propose(lane, run, type)
        if type == "PENDING":
            self._counted["proposed"] += 1
            self._counted["wasted"] += not is_accepted
        if not is_accepted:
            self._coming = deque(step for step in self._coming if step[0] != run)
        is_delivered = is_accepted and type == "COMPLETED"
        self._counted["delivered"] += is_delivered
        return int(is_delivered)

    async def _poll(self, lane: Lane) -> None:
        answer = await lane.send("POST", self._poll_path, {"limit": POLLED}, self._headers)
        if answer.status >= 300:
            self._counted["failed"] += 1
            return
        found = answer.json()
        self._counted["short"] += len(found) < POLLED
        for due in found:
            run = due["flow_run"]["id"]
            self._coming += [(run, type) for type in ("PENDING", "RUNNING", "COMPLETED")]

    async def _propose(self, lane: Lane, run: str, type: str) -> bool:
        details = {"transition_id": str(uuid4())}
        body = {"state": {"type": type, "state_details": details}, "force": False}
        headers = self._headers if type == "PENDING" else None  # the rest is the flow's process
        answer = await lane.send("POST", f"/flow_runs/{run}/set_state", body, headers)
        if answer.status >= 300:
            self._counted["failed"] += 1
            return False
        return bool(answer.json()["status"] == "ACCEPT")


def by_stock_protocol(lanes: int, pool: str, counted: Counter[str]) -> Work:
    """What `lanes` stock workers do."""
    workers = [StockWorker(pool, number, counted) for number in range(lanes)]

    async def step(lane: Lane, number: int) -> int:
        return await workers[number].step(lane)

    return step


def by_own_protocol(pool: str, counted: Counter[str]) -> Work:
    """Claim ten with a wait, report them all RUNNING, report them all COMPLETED."""

    async def report(lane: Lane, claimed: list[dict[str, str]], type: str, worker: str) -> int:
        reports = [{"claim": claim["claim"], "state": {"type": type}} for claim in claimed]
        body = {"worker_name": worker, "reports": reports}
        answer = await lane.ok("POST", f"/work_pools/{pool}/report", body)
        accepted = [verdict["status"] for verdict in answer["results"]].count("ACCEPT")
        counted["wasted"] += len(reports) - accepted
        return accepted

    async def deliver(lane: Lane, number: int) -> int:
        worker = f"worker {number}"
        body = {"worker_name": worker, "limit": BATCH, "wait_seconds": 1}
        claimed = (await lane.ok("POST", f"/work_pools/{pool}/claim", body))["runs"]
        counted["short"] += len(claimed) < BATCH
        counted["proposed"] += len(claimed)
        if not claimed:
            return 0
        await report(lane, claimed, "RUNNING", worker)
        return await report(lane, claimed, "COMPLETED", worker)

    return deliver


async def completed(lane: Lane) -> int:
    """How many runs the server knows that are COMPLETED."""
    body = {"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    return int(await lane.ok("POST", "/flow_runs/count", body))


async def measure(stage: Stage) -> list[Figure]:
    """Rates and CPU of one delivered run, and what was proposed in vain."""
    return [*await _stock(stage), *await _own(stage)]


async def _stock(stage: Stage) -> list[Figure]:
    target = "P1" if stage.db == "postgres" else "P2"
    figures: list[Figure] = []
    rates = {}
    async with stage.lane() as lane:
        await seeds.pool(lane, "stock", queues=4)
        deployment = await seeds.deployment(lane, "stock", "queue-1")
        example = await seeds.due_run(lane, stage.database, deployment)
        for lanes in LANES:
            await seeds.backlog(stage.database, example, BACKLOG)
            counted: Counter[str] = Counter()
            before = await completed(lane)
            work = by_stock_protocol(lanes, "stock", counted)
            cost = await drive(stage.urls, lanes, stage.seconds, stage.meter(), work)
            differ = await completed(lane) - before - counted["delivered"]
            rates[lanes] = cost.rate
            what = f"a run by the stock protocol, {lanes} workers"
            figures += _costs(stage, target, what, cost, MOST_SERVER_MS, MOST_DATABASE_MS)
            wasted = counted["wasted"] / max(counted["proposed"], 1)
            most = MOST_WASTED if lanes == max(LANES) else None
            figures += [
                Figure("P8", f"{what}: wasted", stage.db, wasted, bound=most),
                Figure("P8", f"{what}: short polls", stage.db, counted["short"], bound=0),
                Figure("P8", f"{what}: failed", stage.db, counted["failed"], bound=0),
                Figure("P8", f"{what}: miscounted", stage.db, differ, bound=0),
            ]
    flat = rates[32] / rates[8]
    what = "rate at 32 workers by that at 8"
    figures.append(Figure(target, what, stage.db, flat, bound=FLATNESS, is_least=True))
    return figures


async def _own(stage: Stage) -> list[Figure]:
    async with stage.lane() as lane:
        await seeds.pool(lane, "own", queues=4)
        deployment = await seeds.deployment(lane, "own", "queue-1", name="own")
        example = await seeds.due_run(lane, stage.database, deployment)
    await seeds.backlog(stage.database, example, 2 * BACKLOG)
    counted: Counter[str] = Counter()
    work = by_own_protocol("own", counted)
    cost = await drive(stage.urls, OWN_LANES, stage.seconds, stage.meter(), work)
    what = f"a run by our own protocol, {OWN_LANES} workers"
    figures = [
        *_costs(stage, "P3", what, cost, MOST_OWN_SERVER_MS, MOST_OWN_DATABASE_MS),
        Figure("P8", f"{what}: wasted", stage.db, counted["wasted"], bound=0),
        Figure("P8", f"{what}: short answers", stage.db, counted["short"], bound=0),
    ]
    if stage.db == "postgres":
        for batch in (BATCH, 1):
            await seeds.backlog(stage.database, example, 2 * BACKLOG)
            path = f"/deliver/own/{batch}"
            floor = (await floors.calls(stage, path, OWN_LANES)).rate
            share = cost.rate / floor
            what_share = f"{what}: rate by the hand-written one's, {batch} a request"
            least = LEAST_OF_FLOOR.get(len(stage.servers))
            figures.append(
                Figure("P3", what_share, stage.db, share, "", least, is_least=True, floor=floor)
            )
    return figures


def _costs(
    stage: Stage, target: str, what: str, cost: Cost, server_ms: float, database_ms: float
) -> list[Figure]:
    """The rate and CPU of a run. The bounds are those of one process; on SQLite of both in one."""
    figures = [Figure(target, f"{what}: rate", stage.db, cost.rate, "/s")]
    is_alone = len(stage.servers) == 1
    if stage.db == "sqlite":
        both = server_ms + database_ms
        return [*figures, Figure(target, f"{what}: CPU", stage.db, cost.each, "ms", both)]
    for name, each, most in (
        ("server", cost.server_each, server_ms),
        ("database", cost.database_each, database_ms),
    ):
        bound = most if is_alone else None
        figures.append(Figure(target, f"{what}: CPU, {name}", stage.db, each, "ms", bound))
    return figures
