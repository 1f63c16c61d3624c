"""P1 to P3, P8: whole deliveries of runs, as stock clients and as our own worker drive them."""

from collections import Counter
from uuid import uuid4

from bench import floors, seeds
from bench.lanes import Lane, drive
from bench.meter import Cost
from bench.stage import Figure, Stage

LANES = (1, 8, 32)
POLLED = 10
BATCH = 10
ENOUGH = 8_000  # runs; more than are delivered in one measurement
MOST_SERVER_MS, MOST_DATABASE_MS = 5.0, 2.5
MOST_OWN_SERVER_MS, MOST_OWN_DATABASE_MS = 1.3, 1.5
MOST_WASTED = 0.25
LEAST_OF_FLOOR = 0.5
FLATNESS = 0.9


async def by_stock_protocol(stage: Stage, lanes: int, pool: str) -> tuple[Cost, Counter[str]]:
    """Poll, then propose PENDING, RUNNING and COMPLETED for each run; what was delivered."""
    counted: Counter[str] = Counter()

    async def propose(lane: Lane, run: str, type: str, worker: dict[str, str]) -> bool:
        details = {"transition_id": str(uuid4())}
        body = {"state": {"type": type, "state_details": details}, "force": False}
        verdict = await lane.ok("POST", f"/flow_runs/{run}/set_state", body, worker)
        return bool(verdict["status"] == "ACCEPT")

    async def deliver(lane: Lane, number: int) -> int:
        worker = {"x-prefect-worker-name": f"worker {number}"}
        due = await lane.ok(
            "POST", f"/work_pools/{pool}/get_scheduled_flow_runs", {"limit": POLLED}, worker
        )
        counted["polls"] += 1
        done = 0
        for found in due:
            run = found["flow_run"]["id"]
            counted["proposed"] += 1
            if not await propose(lane, run, "PENDING", worker):
                counted["wasted"] += 1
                continue
            await propose(lane, run, "RUNNING", {})
            done += await propose(lane, run, "COMPLETED", {})
        return done

    cost = await drive(stage.urls, lanes, stage.seconds, stage.meter(), deliver)
    return cost, counted


async def by_own_protocol(stage: Stage, lanes: int, pool: str) -> Cost:
    """Claim ten, report them all RUNNING, report them all COMPLETED."""

    async def report(lane: Lane, claimed: list[dict[str, str]], type: str, worker: str) -> int:
        reports = [{"claim": claim["claim"], "state": {"type": type}} for claim in claimed]
        body = {"worker_name": worker, "reports": reports}
        answer = await lane.ok("POST", f"/work_pools/{pool}/report", body)
        return sum(verdict["status"] == "ACCEPT" for verdict in answer["results"])

    async def deliver(lane: Lane, number: int) -> int:
        worker = f"worker {number}"
        body = {"worker_name": worker, "limit": BATCH}
        claimed = (await lane.ok("POST", f"/work_pools/{pool}/claim", body))["runs"]
        if not claimed:
            return 0
        await report(lane, claimed, "RUNNING", worker)
        return await report(lane, claimed, "COMPLETED", worker)

    return await drive(stage.urls, lanes, stage.seconds, stage.meter(), deliver)


async def measure(stage: Stage) -> list[Figure]:
    """Rates and CPU of one delivered run."""
    figures: list[Figure] = []
    number = "P1" if stage.db == "postgres" else "P2"
    async with stage.lane() as lane:
        await seeds.pool(lane, "stock", queues=4)
        run = await seeds.due_run(lane, await seeds.deployment(lane, "stock", "queue-1"))
        rates = {}
        for lanes in LANES:
            await seeds.backlog(stage.database, run, ENOUGH)
            cost, counted = await by_stock_protocol(stage, lanes, "stock")
            rates[lanes] = cost.rate
            what = f"a run by the stock protocol, {lanes} workers"
            is_alone = len(stage.servers) == 1 and stage.db == "postgres"
            figures += [
                Figure(number, f"{what}: runs", stage.db, cost.rate, "/s"),
                Figure(
                    number,
                    f"{what}: server",
                    stage.db,
                    cost.server_each,
                    "ms",
                    MOST_SERVER_MS if is_alone else None,
                ),
            ]
            if stage.db == "postgres":
                most = MOST_DATABASE_MS if is_alone else None
                each = cost.database_each
                figures.append(Figure(number, f"{what}: database", stage.db, each, "ms", most))
            wasted = counted["wasted"] / max(counted["proposed"], 1)
            most = MOST_WASTED if lanes == max(LANES) else None
            figures.append(Figure("P8", f"{what}: wasted", stage.db, wasted, "", most))
        flat = rates[32] / rates[8]
        what = "rate at 32 workers by that at 8"
        figures.append(Figure(number, what, stage.db, flat, "", FLATNESS, is_least=True))
        figures += await _own(stage, lane)
    return figures


async def _own(stage: Stage, lane: Lane) -> list[Figure]:
    await seeds.pool(lane, "own", queues=4)
    deployment = await seeds.deployment(lane, "own", "queue-1", name="own")
    run = await seeds.due_run(lane, deployment)
    await seeds.backlog(stage.database, run, 3 * ENOUGH)
    cost = await by_own_protocol(stage, 8, "own")
    what = "a run by our own protocol, 8 workers"
    floor = None
    if stage.db == "postgres":
        await seeds.backlog(stage.database, run, 6 * ENOUGH)
        floor = (await floors.calls(stage, f"/deliver/own/{BATCH}", 8, BATCH)).rate
    figures = [Figure("P3", f"{what}: runs", stage.db, cost.rate, "/s", floor=floor)]
    if floor:
        share = cost.rate / floor
        least = LEAST_OF_FLOOR if len(stage.servers) == 1 else None
        what_share = f"{what}: rate by the hand-written one's"
        figures.append(
            Figure("P3", what_share, stage.db, share, "", least, is_least=True, floor=floor)
        )
    is_alone = len(stage.servers) == 1 and stage.db == "postgres"
    server, database = cost.server_each, cost.database_each
    figures.append(
        Figure(
            "P3",
            f"{what}: server",
            stage.db,
            server,
            "ms",
            MOST_OWN_SERVER_MS if is_alone else None,
        )
    )
    if stage.db == "postgres":
        most = MOST_OWN_DATABASE_MS if is_alone else None
        figures.append(Figure("P3", f"{what}: database", stage.db, database, "ms", most))
    return figures
