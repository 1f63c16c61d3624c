"""What work costs: wall time, and CPU of the processes that did it. Knows no API."""

import os
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
CHILDREN = slice(13, 15)  # fields of /proc/PID/stat after the name: CPU of those that have ended


@dataclass(frozen=True)
class Cost:
    """So many operations in so many seconds, with the CPU of the server and of its database."""

    operations: int
    seconds: float
    server_ms: float
    database_ms: float  # 0 where the database is in the server's process
    middle_ms: float = 0.0  # median time of a request, as its client sees it

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
    """Reads the CPU of some processes and of a database's, each with all its children."""

    def __init__(self, servers: Sequence[int], database: int | None = None) -> None:
        self._servers = servers
        self._database = database
        self._began = 0.0
        self._before = (0.0, 0.0)

    def start(self) -> None:
        """From now on."""
        self._before = self._read()
        self._began = time.perf_counter()

    def stop(self, operations: int, middle_ms: float = 0.0) -> Cost:
        """What was spent since `start` on so many operations."""
        seconds = time.perf_counter() - self._began
        servers, database = self._read()
        spent = servers - self._before[0], database - self._before[1]
        return Cost(operations, seconds, *spent, middle_ms)

    def _read(self) -> tuple[float, float]:
        servers = sum(cpu_ms(pid) for server in self._servers for pid in tree(server))
        database = sum(cpu_ms(pid) for pid in tree(self._database)) if self._database else 0.0
        return servers, database


def cpu_ms(pid: int) -> float:
    """User and system time of a process and of its children that have ended; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        own = time.clock_gettime(process_clock(pid))
    except OSError:
        return 0.0
    return own * 1000 + sum(map(int, fields[CHILDREN])) * 1000 / TICKS


def process_clock(pid: int) -> int:
    """The clock of a process's own CPU on Linux; in nanoseconds, where `stat` has ticks."""
    return (~pid << 3) | 2


def resident_mib(pid: int) -> float:
    """Memory of a process that is in RAM and not shared with its children, in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def parent(pid: int) -> int:
    """The process that started `pid`."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def tree(root: int) -> list[int]:
    """A process and all that descend from it."""
    try:
        children = Path(f"/proc/{root}/task/{root}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [root, *(pid for child in children for pid in tree(int(child)))]


def percentile(values: Sequence[float], part: float) -> float:
    """The value that `part` of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


async def in_turns(
    rounds: int, measures: Mapping[str, Callable[[], Awaitable[Cost]]]
) -> dict[str, list[Cost]]:
    """Each measure so many times, one after the other, so that all have the same machine."""
    costs: dict[str, list[Cost]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            costs[name].append(await measure())
    return costs


def middle(costs: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    """The median; one that a busy machine spoiled does not count."""
    return statistics.median(of(cost) for cost in costs)
