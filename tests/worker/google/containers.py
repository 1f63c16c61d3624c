"""Containers of a fake cloud: real processes of this machine, and the log of what they write."""

import asyncio
import contextlib
import itertools
import os
import re
import signal
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]

RUNS = "flows:1"  # the one image there is
GRACE_SECONDS = 1.0  # between SIGTERM and SIGKILL


def now() -> str:
    """The time as Google writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Log:
    """Entries of Cloud Logging."""

    def __init__(self) -> None:
        self.entries: list[Json] = []
        self.page = 30  # entries of a page, if not asked for fewer
        self.late: list[Json] = []  # entries that nobody can read yet
        self.holds_back = 0  # how many of the next entries will be late
        self._ids = itertools.count()

    def write(self, origin: Json, text: str, stream: str) -> None:
        """Store a line; `origin` has the resource and what else is the same for all lines."""
        entry = {
            **origin,
            "logName": origin["logName"].format(stream),
            "insertId": f"{next(self._ids):08}",
            "timestamp": now(),
            "receiveTimestamp": now(),
            "textPayload": text,
        }
        if self.holds_back:
            self.holds_back -= 1
            self.late.append(entry)
        else:
            self.entries.append(entry)

    def catch_up(self) -> None:
        """Let late entries arrive."""
        self.entries += self.late
        self.late = []

    def list(self, body: Json) -> Json:
        """The page of entries that a request asks for."""
        found = [entry for entry in self.entries if _is_selected(entry, body.get("filter", ""))]
        found.sort(
            key=lambda entry: (entry["timestamp"], entry["insertId"]),
            reverse=body.get("orderBy") == "timestamp desc",
        )
        start = int(body.get("pageToken", 0))
        end = start + min(self.page, body.get("pageSize", 50))
        more = {"nextPageToken": str(end)} if end < len(found) else {}
        return {"entries": found[start:end], **more}


def _is_selected(entry: Json, filter: str) -> bool:
    return all(_holds(entry, term.strip()) for term in filter.split("\n"))


def _holds(entry: Json, term: str) -> bool:
    """One line of the query language, as far as it is used; everything else is an error."""
    if ids := re.findall(r'log_id\("([^"]+)"\)', term):
        name = entry["logName"].partition("/logs/")[2].replace("%2F", "/")
        return name in ids
    found = re.fullmatch(r'([\w.]+)(?:\."([^"]+)")?(=|!=|>=)"([^"]*)"', term)
    assert found, f"the fake cannot read the filter {term!r}"
    path, quoted, operator, value = found.groups()
    at: Any = entry
    for key in [*path.split("."), *([quoted] if quoted else [])]:
        at = at.get(key, {}) if isinstance(at, dict) else {}
    if operator == ">=":
        return bool(datetime.fromisoformat(at) >= datetime.fromisoformat(value))
    return bool((at == value) is (operator == "="))


class Container:
    """One process."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        log: Log,
        origin: Json,
    ) -> None:
        self._arguments = arguments
        self._environment = dict(environment)
        self._log = log
        self._origin = origin
        self._process: asyncio.subprocess.Process | None = None

    async def run(self) -> int:
        """Its exit code; negative for a signal."""
        self._process = process = await asyncio.create_subprocess_exec(
            *self._arguments,
            env=self._environment,
            cwd=tempfile.gettempdir(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        assert process.stdout and process.stderr
        await asyncio.gather(
            self._write(process.stdout, "stdout"), self._write(process.stderr, "stderr")
        )
        return await process.wait()

    async def terminate(self) -> None:
        """End it, by force after the grace."""
        if self._process is None:
            return
        _signal(self._process, signal.SIGTERM)
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            _signal(self._process, signal.SIGKILL)

    async def _write(self, stream: asyncio.StreamReader, name: str) -> None:
        async for line in stream:
            self._log.write(self._origin, line.decode().rstrip("\n"), name)


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
