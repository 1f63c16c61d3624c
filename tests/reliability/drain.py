"""Two servers behind a balancer are restarted in turn under load: no request fails.

`python -m tests.reliability.drain --db postgres --servers 2`; workers are not meant here.
"""

import asyncio
import time
from collections import Counter
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import a_flow, client
from tests.reliability.ground import Figures, Ground, Server, main

CALLERS = 8
PROBE_SECONDS = 0.1
SETTLE_SECONDS = 2.0
DRAIN_BOUND_SECONDS = 15.0


class Balancer:
    """Sends each request to a server that its last probe found ready."""

    def __init__(self) -> None:
        self.apis: dict[str, httpx.AsyncClient] = {}
        self.ready: list[str] = []
        self._turn = 0

    async def probe(self) -> None:
        """Ask every server again and again whether it is ready."""
        while True:
            ready = []
            for url, api in [*self.apis.items()]:
                try:
                    if (await api.get("/ready", timeout=1.0)).status_code == 200:
                        ready.append(url)
                except httpx.TransportError:
                    continue
            self.ready = ready
            await asyncio.sleep(PROBE_SECONDS)

    def next(self) -> httpx.AsyncClient:
        """The server whose turn it is."""
        self._turn += 1
        return self.apis[self.ready[self._turn % len(self.ready)]]


async def roll(ground: Ground) -> Figures:
    """Restart the servers in turn until the time is up."""
    balancer = Balancer()
    servers = ground.servers()
    for server in servers:
        balancer.apis[server.api_url] = client(server.api_url)
    async with client(servers[0].api_url) as api:
        flow = await a_flow(api)
    balancer.ready = [*balancer.apis]
    probing = asyncio.create_task(balancer.probe())
    answers: Counter[str] = Counter()
    is_over = asyncio.Event()

    async def keep_calling() -> None:
        while not is_over.is_set():
            body = {"flow_id": flow, "name": str(uuid4())}
            try:
                answer = await balancer.next().post("/flow_runs/", json=body)
                answers["ok" if answer.is_success else str(answer.status_code)] += 1
            except httpx.TransportError as error:
                answers[type(error).__name__] += 1
            await asyncio.sleep(0.005)

    callers = [asyncio.create_task(keep_calling()) for _ in range(CALLERS)]
    exit_codes: Counter[int] = Counter()
    drains = []
    until = time.monotonic() + ground.options.seconds
    while time.monotonic() < until:
        oldest = servers.pop(0)
        began = time.monotonic()
        exit_codes[await asyncio.to_thread(oldest.stop)] += 1
        drains.append(time.monotonic() - began)
        await balancer.apis.pop(oldest.api_url).aclose()
        fresh: Server = await asyncio.to_thread(ground.server)
        balancer.apis[fresh.api_url] = client(fresh.api_url)
        servers.append(fresh)
        await asyncio.sleep(SETTLE_SECONDS)  # until the balancer has found it
    is_over.set()
    await asyncio.gather(*callers)
    probing.cancel()
    for api in balancer.apis.values():
        await api.aclose()
    failed = {what: number for what, number in answers.items() if what != "ok"}
    slowest = round(max(drains), 1)
    is_clean = set(exit_codes) == {0}
    return {
        "restarts": len(drains),
        "requests": answers.total(),
        "failed": failed,
        "exit_codes": {str(code): number for code, number in exit_codes.items()},
        "drain_max_s": slowest,
        "ok": not failed and is_clean and slowest <= DRAIN_BOUND_SECONDS,
    }


def play(ground: Ground) -> Figures:
    """Every figure of the rolling restarts."""
    return asyncio.run(roll(ground))


if __name__ == "__main__":
    main("drain", play, db="postgres", servers=2, seconds=40)
