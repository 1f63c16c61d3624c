"""P9: creating runs, singly and a hundred at a time."""

from collections import Counter
from datetime import UTC, datetime

from bench import seeds
from bench.figures import Figure
from bench.lanes import Lane, Work, drive
from bench.stage import Stage

LANES = 8
BULK = 100


def singly(deployment: str, counted: Counter[str]) -> Work:
    """Create a run; those `created` are counted, and `failed` requests."""

    async def create(lane: Lane, _number: int) -> int:
        path = f"/deployments/{deployment}/create_flow_run"
        answer = await lane.send("POST", path, _new_run())
        counted["created" if answer.status < 300 else "failed"] += 1
        return int(answer.status < 300)

    return create


def in_bulk(deployment: str, counted: Counter[str]) -> Work:
    """Create a hundred runs; those `created` are counted, and the others as `failed`."""

    async def create(lane: Lane, _number: int) -> int:
        path = f"/deployments/{deployment}/create_flow_run/bulk"
        answer = await lane.send("POST", path, [_new_run() for _ in range(BULK)])
        results = answer.json()["results"] if answer.status < 300 else []
        made = [result["status"] for result in results].count("CREATED")
        counted["created"] += made
        counted["failed"] += BULK - made
        return made

    return create


async def rows(lane: Lane, deployment: str) -> int:
    """How many runs of a deployment the server knows."""
    body = {"deployments": {"id": {"any_": [deployment]}}}
    return int(await lane.ok("POST", "/flow_runs/count", body))


async def measure(stage: Stage) -> list[Figure]:
    """Rate and CPU of one created run each way."""
    figures = []
    async with stage.lane() as lane:
        await seeds.pool(lane, "creates")
        deployment = await seeds.deployment(lane, "creates")
        for how, make in (("singly", singly), (f"{BULK} at a time", in_bulk)):
            counted: Counter[str] = Counter()
            before = await rows(lane, deployment)
            work = make(deployment, counted)
            cost = await drive(stage.urls, LANES, stage.seconds, stage.meter(), work)
            differ = await rows(lane, deployment) - before - counted["created"]
            what = f"runs created {how} by {LANES} clients"
            figures += [
                Figure("P9", f"{what}: rate", stage.db, cost.rate, "/s"),
                Figure("P9", f"{what}: CPU of one", stage.db, cost.each, "ms"),
                Figure("P9", f"{what}: failed", stage.db, counted["failed"], bound=0),
                Figure("P9", f"{what}: miscounted", stage.db, differ, bound=0),
            ]
    return figures


def _new_run() -> dict[str, object]:
    details = {"scheduled_time": datetime.now(UTC).isoformat()}
    return {"state": {"type": "SCHEDULED", "state_details": details}}
