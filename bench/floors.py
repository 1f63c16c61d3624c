"""Starts the floor server beside a stage and measures it as our own is measured."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.lanes import Lane, drive
from bench.meter import Cost, Meter
from bench.stage import Stage

START_SECONDS = 20.0


@asynccontextmanager
async def floor(stage: Stage) -> AsyncIterator[tuple[str, Meter]]:
    """The floor server's address and a meter over it, on the stage's PostgreSQL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = stage.ground.database_url.replace("+asyncpg", "")
    command = [sys.executable, "-m", "uvicorn", "bench.floor_app:app", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        *command, "--log-level", "warning", env={**os.environ, "FLOOR_DATABASE": url}
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            while True:
                try:
                    async with Lane(f"http://127.0.0.1:{port}") as lane:
                        await lane.ok("POST", "/empty")
                    break
                except OSError:
                    await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}", Meter([process.pid], stage.database_pid)
    finally:
        process.terminate()
        await process.wait()


async def calls(stage: Stage, path: str, lanes: int) -> Cost:
    """What it costs to call `path` of the floor server, which tells the runs that it took, or
    their number; without an answer a call is one operation.
    """
    async with floor(stage) as (url, meter):

        async def call(lane: Lane, _number: int) -> int:
            done = await lane.ok("POST", path)
            if done is None:
                return 1
            return len(done) if isinstance(done, list) else int(done)

        return await drive([url], lanes, stage.seconds, meter, call)
