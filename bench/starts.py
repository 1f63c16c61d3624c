"""P13: from the command to the first answer, and how much memory the server keeps."""

import asyncio
import time

from bench.lanes import Lane, drive
from bench.meter import cpu_ms, resident_mib
from bench.stage import Figure, Stage

POLL_SECONDS = 20.0
MOST_COLD_S, MOST_WARM_S = 1.5, 0.8
MOST_IDLE_MIB, MOST_AFTER_MIB = 90.0, 140.0
LANES = 8


async def measure(stage: Stage) -> list[Figure]:
    """Starts beside the running server where there can be two; memory of that one."""
    async with stage.lane() as lane:
        await lane.ok("POST", "/work_pools/", {"name": "starts", "type": "process"})
    running = stage.servers[0]
    idle = resident_mib(running.pid)

    async def poll(lane: Lane, number: int) -> int:
        worker = {"x-prefect-worker-name": f"worker {number}"}
        await lane.ok("POST", "/work_pools/starts/get_scheduled_flow_runs", {}, worker)
        return 1

    await drive(stage.urls, LANES, POLL_SECONDS, stage.meter(), poll)
    after = resident_mib(running.pid)
    cpu, wall = await asyncio.to_thread(_restart, stage)
    return [
        Figure("P13", "resident, idle", stage.db, idle, "MiB", MOST_IDLE_MIB),
        Figure("P13", "resident after polls", stage.db, after, "MiB", MOST_AFTER_MIB),
        Figure("P13", "start on a migrated database: CPU", stage.db, cpu, "s", MOST_WARM_S),
        Figure("P13", "start on a migrated database: to the first answer", stage.db, wall, "s"),
    ]


def _restart(stage: Stage) -> tuple[float, float]:
    """End the server and start another: CPU and wall seconds until it answers."""
    stage.servers.pop(0).stop()
    began = time.perf_counter()
    started = stage.ground.server()
    wall = time.perf_counter() - began
    stage.servers.insert(0, started)
    return cpu_ms(started.pid) / 1000, wall
