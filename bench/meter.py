"""What work costs: wall time, and CPU of the processes that did it. Knows no API."""

import os
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """So many operations in so many seconds, with the CPU of the server and of its database."""

    operations: int
    seconds: float
    server_ms: float
    database_ms: float  # 0 where the database is in the server's process

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.seconds

    @property
    def server_each(self) -> float:
        """The server's CPU of one operation, in milliseconds."""
        return self.server_ms / max(self.operations, 1)

    @property
    def database_each(self) -> float:
        """The database's CPU of one operation, in milliseconds."""
        return self.database_ms / max(self.operations, 1)

    @property
    def each(self) -> float:
        """All CPU of one operation, in milliseconds."""
        return self.server_each + self.database_each


class Meter:
    """Reads the CPU of some processes, and of a database's with all its children."""

    def __init__(self, servers: Sequence[int], database: int | None = None) -> None:
        self._servers = servers
        self._database = database
        self._began = 0.0
        self._before = (0.0, 0.0)

    def start(self) -> None:
        """From now on."""
        self._before = self._read()
        self._began = time.perf_counter()

    def stop(self, operations: int) -> Cost:
        """What was spent since `start` on so many operations."""
        seconds = time.perf_counter() - self._began
        servers, database = self._read()
        return Cost(operations, seconds, servers - self._before[0], database - self._before[1])

    def _read(self) -> tuple[float, float]:
        servers = sum(cpu_ms(pid) for pid in self._servers)
        database = sum(cpu_ms(pid) for pid in tree(self._database)) if self._database else 0.0
        return servers, database


def cpu_ms(pid: int) -> float:
    """User and system time of a process and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0
    return sum(map(int, fields[11:15])) * 1000 / TICKS


def resident_mib(pid: int) -> float:
    """Memory of a process that is in RAM and not shared with its children, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def parent(pid: int) -> int:
    """The process that started `pid`."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def tree(root: int) -> Iterable[int]:
    """A process and its children."""
    children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    return [root, *map(int, children)]


def median(costs: Sequence[float]) -> float:
    """The middle of repeated measurements; one that a busy machine spoiled does not count."""
    return statistics.median(costs)


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
