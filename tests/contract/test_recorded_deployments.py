"""Recorded exchanges of Prefect 3.8.4 about flows, deployments, schedules and logs, replayed.

Same status, same keys, same kinds of values: `deploy` twice, `deployment inspect`, `schedule …`,
`run` and `delete` of the unchanged client, then direct requests about validation. Where Forebay
answers otherwise it says so here, with the reason.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

EXCHANGES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "recordings" / "deployments.json").read_text("utf-8")
)["exchanges"]

# Exchange (its place in the file, from 0) → the status here, and why it is not the recorded one.
OTHER_STATUS = {
    45: (422, "a name that is empty or no segment of a path is 422"),
    46: (422, "a name that is empty or no segment of a path is 422"),
    79: (404, "an unknown pool is 404, not 500"),
    82: (409, "job variables are checked whenever they are set"),
}
# Exchange → why the objects in its answer are others; they must have the same keys.
OTHER_OBJECTS = {
    93: "the recorded server had more deployments",
    94: "the recorded order is that of times that have passed",
}
# Keys whose values are not compared, and why.
FREE = {
    "last_polled": "the recorded server was polled in between",
    "status": "follows last_polled",
    "request_body": "an answer never repeats what may hold a secret",
    "exception_detail": "the sentences are our own; the shape is checked apart",
}
EXACT = ("type", "state_type")  # of states and of verdicts, compared by value
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


async def test_recorded_exchanges_are_answered_alike(api: httpx.AsyncClient) -> None:
    created = await api.post("/work_pools/", json={"name": "wp-d", "type": "process"})
    assert created.status_code == 201
    replay = Replay(OTHER_STATUS, OTHER_OBJECTS, FREE)

    for place, exchange in enumerate(EXCHANGES):
        await replay.send(api, place, exchange)

    assert not replay.differences, "\n".join(replay.differences)


def test_every_deviation_is_one() -> None:
    for place, (status, _) in OTHER_STATUS.items():
        assert EXCHANGES[place]["status"] != status


class Replay:
    """Which id here stands for which recorded one, and what was answered differently."""

    def __init__(
        self,
        other_status: Mapping[int, tuple[int, str]],
        other_objects: Mapping[int, str],
        free: Mapping[str, str],
    ) -> None:
        self.other_status = other_status
        self.other_objects = other_objects
        self.free = free
        self.ids: dict[str, str] = {}
        self.differences: list[str] = []

    async def send(self, api: httpx.AsyncClient, place: int, exchange: dict[str, Any]) -> None:
        """Send one request and note how its answer differs from the recorded one."""
        body = None
        if "request" in exchange:
            body = self._translated(json.dumps(exchange["request"]))
        answer = await api.request(
            exchange["method"],
            self._translated(exchange["path"]),
            params=json.loads(self._translated(json.dumps(exchange.get("query")))),
            content=body,
            headers={"content-type": "application/json", **exchange.get("headers", {})},
        )
        where = f"{place} {exchange['scenario']} {exchange['method']} {exchange['path']}"
        status, _ = self.other_status.get(place, (exchange["status"], ""))
        if answer.status_code != status:
            told = f"{answer.status_code} instead of {status}: {answer.text[:200]}"
            self.differences.append(f"{where}: {told}")
        elif place in self.other_status:
            is_told = answer.is_success or answer.json().keys() & {"detail", "exception_detail"}
            assert is_told, where
        elif place in self.other_objects:
            missing = first(exchange["response"]).keys() - first(answer.json()).keys()
            self.differences.extend(f"{where}: no {key}" for key in sorted(missing))
        elif answer.content or "response" in exchange:
            self._compare(where, exchange.get("response"), answer.json())

    def _translated(self, text: str) -> str:
        for recorded, here in self.ids.items():
            text = text.replace(recorded, here)
        return text

    def _compare(self, where: str, recorded: Any, here: Any) -> None:
        if isinstance(recorded, dict) and isinstance(here, dict):
            for key in sorted(recorded.keys() - here.keys()):
                self.differences.append(f"{where}: no {key}")
            for key in sorted(recorded.keys() & here.keys() - self.free.keys()):
                self._compare(f"{where}.{key}", recorded[key], here[key])
                if key in EXACT and recorded[key] != here[key]:
                    self.differences.append(f"{where}.{key}: {here[key]} for {recorded[key]}")
        elif isinstance(recorded, list) and isinstance(here, list):
            # Other deployments of the recorded server are not part of the recording.
            for index, (before, now) in enumerate(zip(recorded, here, strict=False)):
                self._compare(f"{where}[{index}]", before, now)
            if recorded and not here:
                self.differences.append(f"{where}: empty")
        elif kind(recorded) != kind(here):
            self.differences.append(f"{where}: {here!r} instead of {recorded!r}")
        elif kind(recorded) == "id" and self.ids.setdefault(recorded, here) != here:
            self.differences.append(f"{where}: another object")


def first(answer: Any) -> dict[str, Any]:
    """The first object of a list or of a page."""
    found: dict[str, Any] = (answer["results"] if isinstance(answer, dict) else answer)[0]
    return found


def kind(value: Any) -> str:
    """What sort of value it is; of texts, whether an id or a time."""
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, int | float):
        return "number"
    if not isinstance(value, str):
        return type(value).__name__
    try:
        return "id" if UUID(value) else "text"
    except ValueError:
        return "time" if TIME.fullmatch(value) else "text"


@pytest.mark.parametrize("place", [47, 48, 67, 68, 69, 70, 72, 74, 84, 85])
async def test_invalid_bodies_are_told_in_prefects_shape(
    api: httpx.AsyncClient, place: int
) -> None:
    exchange = EXCHANGES[place]

    answer = await api.request(exchange["method"], exchange["path"], json=exchange["request"])

    assert answer.status_code == 422
    problem = answer.json()["exception_detail"][0]
    recorded = exchange["response"]["exception_detail"][0]
    assert problem["loc"][:2] == recorded["loc"][:2]
    assert isinstance(problem["msg"], str) and isinstance(problem["type"], str)
