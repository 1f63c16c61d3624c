"""Many clients write to one SQLite database at once: nobody fails, nothing is ever "locked".

`python -m tests.reliability.sqlite_contention`
"""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import Json, a_flow, a_run, client, proposal, sent
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.observers import contradictions, looking

CLIENTS = (4, 8, 16, 64)
POOL = "contended"


@dataclass
class Load:
    """What so many clients were answered."""

    clients: int
    answers: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    locked: int = 0

    def figures(self, took: float) -> Figures:
        """The figures of this load."""
        slowest = sorted(self.seconds)
        bad = {what: n for what, n in self.answers.items() if what != "ok"}
        return {
            "clients": self.clients,
            "ok_per_s": round(self.answers["ok"] / took, 1),
            "failures": bad,
            "locked": self.locked,
            "p99_ms": round(1000 * slowest[int(0.99 * (len(slowest) - 1))]) if slowest else None,
        }


async def _one_client(api: httpx.AsyncClient, flow: str, load: Load, number: int) -> None:
    """What workers, engines and people write, in turn."""

    async def call(method: str, path: str, body: Json) -> None:
        began = time.monotonic()
        headers = {"X-Prefect-Worker-Name": f"w{number}"}
        try:
            answer = await api.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            load.answers[type(error).__name__] += 1
            return
        load.seconds.append(time.monotonic() - began)
        load.answers["ok" if answer.is_success else f"{method} {answer.status_code}"] += 1
        load.locked += "locked" in answer.text

    run = await a_run(api, flow, POOL)
    await call("PATCH", f"/flow_runs/{run}/labels", {"client": number})
    for type in ("PENDING", "RUNNING"):
        await call("POST", f"/flow_runs/{run}/set_state", proposal(type))
    heartbeat = {"name": f"w{number}", "heartbeat_interval_seconds": 30}
    await call("POST", f"/work_pools/{POOL}/workers/heartbeat", heartbeat)
    await call("POST", f"/work_pools/{POOL}/get_scheduled_flow_runs", {"limit": 5})
    line = {"name": "r", "level": 20, "message": "x", "timestamp": "2026-01-01T00:00:00Z"}
    await call("POST", "/logs/", [{**line, "flow_run_id": run} for _ in range(5)])  # type: ignore[arg-type]
    queue = f"q-{uuid4()}"
    await call("POST", f"/work_pools/{POOL}/queues", {"name": queue})
    await call("PATCH", f"/work_pools/{POOL}/queues/{queue}", {"is_paused": True})
    await call("DELETE", f"/work_pools/{POOL}/queues/{queue}", {})
    await call("POST", "/flow_runs/filter", {"limit": 10})
    await call("POST", f"/flow_runs/{run}/set_state", proposal("COMPLETED"))


async def contend(ground: Ground) -> Figures:
    """Let 4, 8, 16 and 64 clients write for their share of the time."""
    api_url = ground.server().api_url
    share = ground.options.seconds / len(CLIENTS)
    loads = []
    async with client(api_url) as api:
        flow = await a_flow(api)
        await sent(api, "POST", "/work_pools/", {"name": POOL, "type": "process"})
        for number in CLIENTS:
            load = Load(number)
            began = time.monotonic()

            async def keep_on(which: int, load: Load = load, until: float = began + share) -> None:
                while time.monotonic() < until:
                    await _one_client(api, flow, load, which)

            await asyncio.gather(*(keep_on(which) for which in range(number)))
            loads.append(load.figures(time.monotonic() - began))
    async with looking(ground.database_url) as eyes:
        lost = await contradictions(eyes)
    is_ok = not any(load["failures"] or load["locked"] for load in loads) and lost == 0
    return {"loads": loads, "contradictions": lost, "ok": is_ok}


def play(ground: Ground) -> Figures:
    """Every figure of the contention."""
    return asyncio.run(contend(ground))


if __name__ == "__main__":
    main("sqlite_contention", play, db="sqlite", seconds=40)
