"""A queue of log lines: some in memory, the rest in a file. Knows no API and no thread."""

import tempfile
from collections import deque
from typing import IO

from forebay.wire.logs import LogCreate

LINE_OVERHEAD = 200  # bytes that a line costs beside its message, roughly


class Backlog:
    """First in, first out. What does not fit in memory goes to a file without a name."""

    def __init__(self, *, memory_bytes: int = 4 << 20, file_bytes: int = 256 << 20) -> None:
        self._memory_bytes = memory_bytes
        self._file_bytes = file_bytes
        self._lines: deque[LogCreate] = deque()
        self._held = 0  # bytes of `_lines`
        self._count = 0  # lines in memory and in the file
        self._file: IO[bytes] | None = None
        self._read_at = 0
        self._written_to = 0

    def __len__(self) -> int:
        return self._count

    def put(self, line: LogCreate) -> bool:
        """Add a line; false when it could not be kept, because disk and memory are full."""
        size = _size(line)
        if self._read_at == self._written_to and self._held + size <= self._memory_bytes:
            self._lines.append(line)
            self._held += size
        elif not self._write(line):
            return False
        self._count += 1
        return True

    def take(self, most_lines: int, most_characters: int) -> list[LogCreate]:
        """The oldest lines, removed: as many as fit both bounds, but at least one."""
        taken: list[LogCreate] = []
        characters = 0
        while self._lines or self._read_back():
            characters += len(self._lines[0].message)
            if taken and (len(taken) == most_lines or characters > most_characters):
                break
            line = self._lines.popleft()
            self._held -= _size(line)
            taken.append(line)
        self._count -= len(taken)
        return taken

    def close(self) -> None:
        """Remove the file with what is in it."""
        if self._file:
            self._file.close()

    def _write(self, line: LogCreate) -> bool:
        data = line.model_dump_json().encode() + b"\n"
        if self._written_to - self._read_at + len(data) > self._file_bytes:
            return False
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="forebay-logs-")  # noqa: SIM115 - `close`
            self._file.seek(self._written_to)
            self._file.write(data)
            self._file.flush()
        except OSError:
            return False
        self._written_to += len(data)
        return True

    def _read_back(self) -> bool:
        """Move lines from the file to memory; false when the file holds none."""
        if not self._file or self._read_at == self._written_to:
            return False
        self._file.seek(self._read_at)
        while self._read_at < self._written_to and (
            not self._lines or self._held < self._memory_bytes / 2
        ):
            data = self._file.readline()
            self._read_at += len(data)
            line = LogCreate.model_validate_json(data)
            self._lines.append(line)
            self._held += _size(line)
        if self._read_at == self._written_to:
            self._read_at = self._written_to = 0
            self._file.truncate(0)
        return True


def _size(line: LogCreate) -> int:
    return len(line.message) + LINE_OVERHEAD
