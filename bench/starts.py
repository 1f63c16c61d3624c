"""P13: from the command to the first answer, memory that the server keeps, disk that it takes."""

import asyncio
import time
from importlib import metadata
from pathlib import Path
from statistics import median

from packaging.requirements import Requirement

import forebay
import forebay_server
from bench.figures import Figure
from bench.lanes import Lane, drive
from bench.meter import cpu_ms, resident_mib
from bench.stage import Stage

POLLS = 100_000
POLL_SECONDS, LONGEST_SECONDS = 8.0, 900.0
MOST_COLD_S, MOST_WARM_S = 1.5, 0.8
MOST_IDLE_MIB, MOST_AFTER_MIB, MOST_INSTALLED_MIB = 90.0, 140.0, 90.0
LANES = 8
STARTS = 3


async def measure(stage: Stage) -> list[Figure]:
    """Memory of the running server; then further ones are started beside it."""
    async with stage.lane() as lane:
        await lane.ok("POST", "/work_pools/", {"name": "starts", "type": "process"})
    running = stage.servers[0]
    idle = resident_mib(running.pid)

    async def poll(lane: Lane, number: int) -> int:
        worker = {"x-prefect-worker-name": f"worker {number}"}
        await lane.ok("POST", "/work_pools/starts/get_scheduled_flow_runs", {}, worker)
        return 1

    seconds = LONGEST_SECONDS if stage.is_large else POLL_SECONDS
    cost = await drive(stage.urls[:1], LANES, seconds, stage.meter(), poll, most=POLLS)
    after = resident_mib(running.pid)
    figures = [
        Figure("P13", "resident, idle", stage.db, idle, "MiB", MOST_IDLE_MIB),
        Figure(
            "P13",
            f"resident after {cost.operations:,} polls",
            stage.db,
            after,
            "MiB",
            MOST_AFTER_MIB,
        ),
    ]
    starts = [await asyncio.to_thread(_starts, stage, number) for number in range(STARTS)]
    cold, warm = zip(*starts, strict=True)
    for how, took, most in (
        ("an empty database", cold, MOST_COLD_S),
        ("a migrated one", warm, MOST_WARM_S),
    ):
        cpu, wall = (median(column) for column in zip(*took, strict=True))
        figures += [
            Figure("P13", f"start on {how}: CPU", stage.db, cpu, "s", most),
            Figure("P13", f"start on {how}: to the first answer", stage.db, wall, "s"),
        ]
    extra = "postgres" if stage.db == "postgres" else "server"
    mib = installed_mib(extra)
    what = f"installed with the extra `{extra}`"
    return [*figures, Figure("P13", what, stage.db, mib, "MiB", MOST_INSTALLED_MIB)]


def _starts(stage: Stage, number: int) -> list[tuple[float, float]]:
    """CPU and wall seconds until a server answers, on an empty database and once more on it."""
    url = stage.new_database(f"start-{number}", is_empty=True)
    found = []
    for _ in range(2):
        began = time.perf_counter()
        started = stage.ground.server(database_url=url)
        wall = time.perf_counter() - began
        found.append((cpu_ms(started.pid) / 1000, wall))
        started.stop()
    return found


def installed_mib(extra: str) -> float:
    """Size of our packages for the server and of all that they need, without byte code."""
    files: set[Path] = set()
    for package in (forebay, forebay_server):
        files |= {path for folder in package.__path__ for path in Path(folder).rglob("*.*")}
    for name in _needed("forebay", frozenset({extra}), {}):
        files |= {Path(str(file.locate())) for file in metadata.files(name) or []}
    sizes = [path.stat().st_size for path in files if path.is_file() and path.suffix != ".pyc"]
    return sum(sizes) / 2**20


def _needed(name: str, extras: frozenset[str], seen: dict[str, frozenset[str]]) -> set[str]:
    """The names of a distribution and of those that it requires with these extras."""
    if extras <= seen.get(name, frozenset()) and name in seen:
        return set()
    seen[name] = seen.get(name, frozenset()) | extras
    for text in metadata.requires(name) or []:
        needed = Requirement(text)
        marker = needed.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            _needed(needed.name, frozenset(needed.extras), seen)
    return set(seen)
