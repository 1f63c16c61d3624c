"""The disk below a SQLite database is full, then read-only: writes say so, reads go on, nothing breaks.

`python -m tests.reliability.full_disk`. The disk is a small tmpfs where one may be mounted;
elsewhere the server's files are kept from growing.
"""

import asyncio
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import a_flow, client, sent
from tests.reliability.ground import Figures, Ground, Server, main
from tests.reliability.observers import contradictions, key, looking

DISK_BYTES = 24 * 2**20
ROUNDS = {"quick": 3, "night": 100}
COPIES = {"quick": 10, "night": 500}
WRITERS = 6
READERS = 2
FULL_SECONDS = 1.5
RECOVERY_BOUND_SECONDS = 5.0
GIVE_UP_SECONDS = 30.0
PADDING = "x" * 2000  # so that writes need room
FILES = ("forebay.db", "forebay.db-wal")


class Disk(Protocol):
    """Where the database is."""

    folder: Path
    kind: str

    def fill(self, server: Server) -> None:
        """Leave not a byte."""
        ...

    def free(self, server: Server) -> None:
        """Give room again."""
        ...


class _Tmpfs:
    kind = "tmpfs"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    def fill(self, server: Server) -> None:
        with self._ballast.open("ab", buffering=0) as file, suppress(OSError):
            for size in (2**16, 2**12, 1):  # until not even one more byte fits
                while True:
                    try:
                        file.write(b"\0" * size)
                    except OSError:
                        break

    def free(self, server: Server) -> None:
        self._ballast.unlink()


class _Limited:
    kind = "limit on the size of files"

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, server: Server) -> None:
        size = max((self.folder / name).stat().st_size for name in FILES)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free(self, server: Server) -> None:
        unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)


@contextmanager
def _disk(folder: Path) -> Iterator[Disk]:
    """A small disk of one's own, or the next best."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "forebay", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        yield _Limited(folder)
        return
    try:
        yield _Tmpfs(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@dataclass
class Load:
    """What callers were answered, and what was acknowledged to them."""

    answers: Counter[str] = field(default_factory=Counter)
    foul: set[str] = field(default_factory=set)
    ledger: set[str] = field(default_factory=set)  # runs
    refused_at: float = 0.0
    written_at: float = 0.0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)


async def _write(load: Load, api: httpx.AsyncClient, flow: str) -> None:
    while not load.is_over.is_set():
        name = str(uuid4())
        body = {"flow_id": flow, "name": name, "parameters": {"padding": PADDING}}
        answer = await api.post("/flow_runs/", json=body)
        load.answers[f"write {answer.status_code}"] += 1
        if answer.is_success:
            load.ledger.add(key(answer.json()["id"]))
            load.written_at = time.monotonic()
        elif answer.status_code == 507:
            load.refused_at = time.monotonic()
        else:
            load.foul.add(f"{answer.status_code}: {answer.text[:200]}")
        await asyncio.sleep(0.02)


async def _read(load: Load, api: httpx.AsyncClient) -> None:
    while not load.is_over.is_set():
        answer = await api.post("/work_pools/filter", json={"limit": 5})
        load.answers[f"read {answer.status_code}"] += 1
        if not answer.is_success:
            load.foul.add(f"read {answer.status_code}: {answer.text[:200]}")
        await asyncio.sleep(0.02)


async def _until(name: str, load: Load, since: float) -> float:
    """Seconds from `since` until this has happened to a writer."""
    while getattr(load, name) < since:
        if time.monotonic() - since > GIVE_UP_SECONDS:
            raise RuntimeError(f"no write was {name.removesuffix('_at')}")
        await asyncio.sleep(0.01)
    return float(getattr(load, name)) - since


def _is_whole(server: Server, disk: Disk, target: Path, ledger: set[str]) -> tuple[bool, int]:
    """What a crash at this instant would have left: whether it is sound, and what it lacks."""
    server.popen.send_signal(signal.SIGSTOP)
    try:
        os.waitid(os.P_PID, server.pid, os.WSTOPPED)
        acknowledged = set(ledger)
        target.mkdir()
        for name in FILES:
            with suppress(FileNotFoundError):
                shutil.copyfile(disk.folder / name, target / name)
    finally:
        server.popen.send_signal(signal.SIGCONT)
    with closing(sqlite3.connect(target / FILES[0])) as copy:
        verdict = copy.execute("PRAGMA integrity_check").fetchall()
        runs = {key(id) for (id,) in copy.execute("SELECT id FROM flow_run")}
    shutil.rmtree(target)
    return verdict == [("ok",)], len(acknowledged - runs)


def _start_read_only(ground: Ground, disk: Disk, url: str) -> list[str] | None:
    """What is wrong with how a server refuses a disk that cannot be written; None: not tried."""
    if not isinstance(disk, _Tmpfs):
        return None
    subprocess.run(["mount", "-o", "remount,ro", str(disk.folder)], check=True)
    try:
        ground.server(database_url=url)
    except RuntimeError as error:
        problems = ["a traceback"] if "Traceback" in str(error) else []
        return problems + ([] if "read-only" in str(error).lower() else ["no reason"])
    else:
        return ["it started"]
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(disk.folder)], check=True)


async def fill(ground: Ground, disk: Disk) -> Figures:
    """Fill the disk under load, again and again, with crash images taken all the while."""
    rng = random.Random(ground.options.seed)
    rounds, copies = ROUNDS[ground.options.tier], COPIES[ground.options.tier]
    url = f"sqlite+aiosqlite:///{disk.folder / FILES[0]}"
    server = await asyncio.to_thread(lambda: ground.server(database_url=url))
    load = Load()
    recoveries: list[float] = []
    unsound = lost = 0

    async def copy(number: int) -> None:
        nonlocal unsound, lost
        target = ground.folder / f"copy-{number}"
        is_sound, lacking = await asyncio.to_thread(
            lambda: _is_whole(server, disk, target, load.ledger)
        )
        unsound += not is_sound
        lost += lacking

    async with client(server.api_url) as api:
        flow = await a_flow(api)
        await sent(api, "POST", "/work_pools/", {"name": "full", "type": "process"})
        callers = [asyncio.create_task(_write(load, api, flow)) for _ in range(WRITERS)]
        callers += [asyncio.create_task(_read(load, api)) for _ in range(READERS)]
        taken = 0
        for number in range(rounds):
            await _until("written_at", load, time.monotonic())
            await asyncio.to_thread(disk.fill, server)
            await _until("refused_at", load, time.monotonic())
            while taken < copies * (number + 1) // rounds:
                await asyncio.sleep(rng.uniform(0, FULL_SECONDS / 10))
                await copy(taken)
                taken += 1
                if taken == copies * (2 * number + 1) // (2 * rounds):
                    await asyncio.to_thread(disk.free, server)
                    recoveries.append(await _until("written_at", load, time.monotonic()))
        load.is_over.set()
        await asyncio.gather(*callers)
    exit_code = await asyncio.to_thread(server.stop)
    refusals = await asyncio.to_thread(_start_read_only, ground, disk, url)
    again = await asyncio.to_thread(lambda: ground.server(database_url=url))
    async with client(again.api_url) as api:
        count = await sent(api, "POST", "/flow_runs/count", {})
    async with looking(url) as eyes:
        (verdict,) = await eyes.rows("PRAGMA integrity_check")
        unmatched = await contradictions(eyes)
    await asyncio.to_thread(again.stop)
    unsound += verdict[0] != "ok"
    lost += max(0, len(load.ledger) - count)
    slowest = round(max(recoveries), 2)
    return {
        "disk": disk.kind,
        "rounds": rounds,
        "copies": taken,
        "acknowledged": len(load.ledger),
        "lost": lost,
        "corrupt": unsound,
        "answers": dict(sorted(load.answers.items())),
        "foul": sorted(load.foul),
        "recovery_max_s": slowest,
        "exit_code": exit_code,
        "read_only_start": refusals,
        "contradictions": unmatched,
        "ok": not load.foul
        and not refusals
        and lost == unsound == exit_code == unmatched == 0
        and load.answers["write 507"] > 0
        and slowest <= RECOVERY_BOUND_SECONDS,
    }


def play(ground: Ground) -> Figures:
    """Every figure of the full disk."""
    with _disk(ground.folder / "disk") as disk:
        try:
            return asyncio.run(fill(ground, disk))
        finally:
            ground.end()  # while there is a disk


if __name__ == "__main__":
    main("full_disk", play)
