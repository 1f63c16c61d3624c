"""What a container on Google Cloud writes, as Cloud Logging has it. Knows no state of a run.

Entries arrive seconds late and not in order, and reading them is a scarce quota of the project's:
they are read in few, large pages, each time from somewhat before the last one.
"""

import json
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

from forebay_worker.output import REMEMBERED_LINES, Output
from forebay_worker.worker_types.google_session import GoogleSession, Json, endpoint, moment

PAGE = 1000  # the API's largest
LATENESS = timedelta(seconds=20)  # by which an entry may come after later ones


class LogReader:
    """Hands on the entries that a filter chooses, each once and in the order of their times."""

    def __init__(
        self,
        session: GoogleSession,
        filter: str,
        output: Output,
        logged_until: datetime | None = None,
    ) -> None:
        self._session = session
        self._filter = filter
        self._output = output
        self._since = logged_until  # nothing up to here is new
        self._latest: datetime | None = None
        self._seen: dict[str, datetime] = {}

    async def read_on(self) -> bool:
        """Hand on what is new; whether there was anything. Raises `GoogleError`."""
        floors = [self._since, self._latest and self._latest - LATENESS]
        floor = max((time for time in floors if time), default=None)
        filter = self._filter + (f'\ntimestamp>="{floor.isoformat()}"' if floor else "")
        is_new = False
        async for entry in self._entries(filter):
            time = entry_time(entry)
            key = f"{entry.get('insertId')} {entry.get('timestamp')}"
            if key in self._seen or (self._since and time <= self._since):
                continue
            self._seen[key] = time
            self._latest = max(self._latest or time, time)
            for line in entry_text(entry).split("\n"):
                self._output.line(stream(entry), line, time)
            is_new = True
        if self._latest:
            oldest = self._latest - LATENESS
            self._seen = {key: time for key, time in self._seen.items() if time >= oldest}
        return is_new

    async def read_last(self) -> bool:
        """Hand on the last lines only, in one request; whether there are any.

        Raises `GoogleError`.
        """
        body = self._body(self._filter) | {
            "orderBy": "timestamp desc",
            "pageSize": REMEMBERED_LINES,
        }
        entries = (await self._list(body)).get("entries", ())
        for entry in reversed(entries):
            for line in entry_text(entry).split("\n"):
                self._output.line(stream(entry), line, entry_time(entry))
        return bool(entries)

    async def _entries(self, filter: str) -> AsyncIterator[Json]:
        body = self._body(filter) | {"orderBy": "timestamp asc", "pageSize": PAGE}
        while True:
            answer = await self._list(body)
            for entry in answer.get("entries", ()):
                yield entry
            if not (token := answer.get("nextPageToken")):
                return
            body = {**body, "pageToken": token}

    async def _list(self, body: Json) -> Json:
        return await self._session.send(
            "POST", f"{endpoint('logging')}/v2/entries:list", body=body
        )

    def _body(self, filter: str) -> Json:
        return {"resourceNames": [f"projects/{self._session.project}"], "filter": filter}


def stream(entry: Json) -> str:
    """The name under which lines of an entry are reported."""
    name = str(entry.get("logName", "")).rpartition("/")[2].rpartition("%2F")[2]
    return name if name in ("stdout", "stderr") else "stdout"


def entry_text(entry: Json) -> str:
    """What was written, without the end of the line."""
    payload = entry.get("jsonPayload")
    if isinstance(payload, dict):
        # A line that is JSON is stored as an object; its message is what people want to read.
        text = payload.get("message") or json.dumps(payload, ensure_ascii=False)
    else:
        text = entry.get("textPayload", "")
    return str(text).rstrip("\n")


def entry_time(entry: Json) -> datetime:
    """When it was written, to the microsecond."""
    return moment(str(entry["timestamp"]))
