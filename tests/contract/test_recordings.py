"""Recorded exchanges of Prefect 3.8.4 replayed here: same status, same keys, same values.

`commands` are the requests of `prefect work-pool` and `prefect work-queue` in the order in which
they were recorded; `probes` are direct requests about validation. Ids are compared by what they
stand for, times and sentences by being such. Answers may have keys more.
"""

import json
import re
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

RECORDINGS = Path(__file__).parent / "recordings"
CUT = "…"  # what the recording left out
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")

LOOKING = "looking changes nothing"

# Exchange (its number in the file, from 0) → the status here, and why it is not the recorded one.
OTHER_STATUS: dict[str, dict[int, tuple[int, str]]] = {
    "commands": {},
    "probes": {
        18: (422, "a name has at most 255 characters"),
        29: (422, "defaults of a template are checked as on creation"),
        93: (409, "deleting a default queue is 409, not 500"),
    },
}
# Exchange → why its answer has another shape or other values.
OTHER_ANSWER: dict[str, dict[int, str]] = {
    "commands": {},
    "probes": {
        32: "the recorded server had more pools",
        35: "an offset out of bounds is refused in the words of a limit out of bounds",
        108: "an interval of 0 means that the worker named none",
        109: "an interval of 0 means that the worker named none",
        125: LOOKING,
    },
}
# Keys whose values are not compared, and why.
FREE: dict[str, dict[str, str]] = {
    "commands": {"last_polled": LOOKING, "status": "follows last_polled"},
    "probes": {"base_job_template": "a change of it was refused: see OTHER_STATUS"},
}


@pytest.mark.parametrize("recording", ["commands", "probes"])
async def test_recorded_exchanges_are_answered_alike(
    api: httpx.AsyncClient, recording: str
) -> None:
    replay = Replay(recording)

    differences = [
        difference
        for number, exchange in enumerate(replay.exchanges)
        for difference in await replay.differences(api, number, exchange)
    ]

    assert not differences, "\n".join(differences)


class Replay:
    """One recording, and which id here stands for which recorded one."""

    def __init__(self, recording: str) -> None:
        data = json.loads((RECORDINGS / f"{recording}.json").read_text("utf-8"))
        self.templates: dict[str, Any] = data["templates"]
        self.exchanges: list[dict[str, Any]] = [self.whole(e) for e in data["exchanges"]]
        self.other_status = OTHER_STATUS[recording]
        self.other_answer = OTHER_ANSWER[recording]
        self.free = FREE[recording]
        self.ids: dict[str, str] = {}
        self.pools: set[str] = set()

    def whole(self, value: Any) -> Any:
        """`value` with its templates put back."""
        if isinstance(value, dict):
            if set(value) == {"$template"}:
                return self.templates[value["$template"]]
            return {key: self.whole(item) for key, item in value.items()}
        return [self.whole(item) for item in value] if isinstance(value, list) else value

    def translated(self, text: str) -> str:
        """`text` with recorded ids replaced by the ids here."""
        for recorded, here in self.ids.items():
            text = text.replace(recorded, here)
        return text

    async def differences(
        self, api: httpx.AsyncClient, number: int, exchange: dict[str, Any]
    ) -> list[str]:
        """Send one request and tell how its answer differs from the recorded one."""
        request = exchange.get("request")
        text = None
        if request is not None:
            is_raw = isinstance(request, dict) and "__text__" in request
            text = request["__text__"] if is_raw else self.translated(json.dumps(request))
        answer = await api.request(
            exchange["method"],
            self.translated(exchange["path"]),
            params=exchange.get("query"),
            content=text,
            headers={"content-type": "application/json", **exchange.get("headers", {})},
        )
        where = f"{number} {exchange['scenario']}: {exchange['method']} {exchange['path']}"
        status = self.other_status.get(number, (exchange["status"], ""))[0]
        if answer.status_code != status:
            return [f"{where}: {answer.status_code} instead of {status}: {answer.text[:200]}"]
        if number in self.other_status or number in self.other_answer:
            return []
        if exchange["path"] == "/work_pools/" and answer.status_code == 201:
            self.pools.add(exchange["request"]["name"])
        recorded = exchange.get("response")
        if not answer.content or exchange["path"].endswith("/count"):
            return [] if answer.content or recorded is None else [f"{where}: no body"]
        found: list[str] = []
        self.compare(where, recorded, answer.json(), found)
        return found

    def compare(self, where: str, recorded: Any, here: Any, found: list[str]) -> None:
        """Add to `found` how `here` differs from `recorded`."""
        if recorded == here or (recorded == CUT and here is not None):
            return
        if isinstance(recorded, dict) and isinstance(here, dict):
            for key in recorded.keys() - here.keys():
                found.append(f"{where}: no {key}")
            for key in recorded.keys() & here.keys() - self.free.keys():
                self.compare(f"{where}.{key}", recorded[key], here[key], found)
        elif isinstance(recorded, list) and isinstance(here, list):
            kept = [item for item in recorded if self.is_known(item)]
            if len(kept) != len(here):
                found.append(f"{where}: {len(here)} items instead of {len(kept)}")
            for index, (before, now) in enumerate(zip(kept, here, strict=False)):
                self.compare(f"{where}[{index}]", before, now, found)
        elif is_id(recorded) and is_id(here):
            if self.ids.setdefault(recorded, here) != here:
                found.append(f"{where}: another object")
        elif not (is_time(recorded) and is_time(here)):
            found.append(f"{where}: {here!r} instead of {recorded!r}")

    def is_known(self, item: Any) -> bool:
        """Whether a listed pool or queue was made in this replay; the recorded server had more."""
        if not isinstance(item, dict):
            return not str(item).startswith(CUT)
        if "default_queue_id" in item:
            return item["name"] in self.pools
        return item.get("work_pool_name") in self.pools or "work_pool_name" not in item


def is_id(value: Any) -> bool:
    """Whether `value` is a UUID in text."""
    try:
        return isinstance(value, str) and bool(UUID(value))
    except ValueError:
        return False


def is_time(value: Any) -> bool:
    """Whether `value` is a time in text."""
    return isinstance(value, str) and TIME.fullmatch(value) is not None
