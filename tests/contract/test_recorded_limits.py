"""Recorded exchanges of Prefect 3.8.4 about concurrency limits and blocks, replayed in order.

`prefect gcl`, `prefect concurrency-limit` and the lookup of a block by `prefect work-pool storage
configure`, then direct requests about slots, leases and validation. Same status, same keys, same
values; ids are compared by what they stand for, times by being such. Answers may have keys more.
"""

import json
from pathlib import Path
from typing import Any

import httpx2 as httpx

from tests.contract.test_recordings import is_id, is_time

EXCHANGES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "recordings" / "limits.json").read_text("utf-8")
)["exchanges"]

# Exchange (its place in the file, from 0) → why its answer has other values.
OTHER_ANSWER = {
    45: "the original cuts the page before it leaves out others",
}
# Keys whose values are not compared, and why.
FREE = {
    "detail": "sentences are our own, and name the object or the limit",
    "exception_detail": "sentences are our own, without the input; the places are compared",
    "request_body": "an answer never repeats what may hold a secret",
}


async def test_recorded_exchanges_are_answered_alike(api: httpx.AsyncClient) -> None:
    replay = Replay()

    for place, exchange in enumerate(EXCHANGES):
        await replay.send(api, place, exchange)

    assert not replay.differences, "\n".join(replay.differences)


async def test_limits_of_tags_are_listed_beside_others(api: httpx.AsyncClient) -> None:
    """What the original answers wrongly: see exchange 45."""
    for name in ("a", "b"):
        await api.post("/v2/concurrency_limits/", json={"name": name, "limit": 1})
    await api.post("/concurrency_limits/", json={"tag": "ht", "concurrency_limit": 1})

    answer = await api.post("/concurrency_limits/filter", json={"limit": 1})

    assert [limit["tag"] for limit in answer.json()] == ["ht"]


class Replay:
    """Which id here stands for which recorded one, and what was answered differently."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.names: set[str] = set()  # of the limits made; the recorded server had more
        self.differences: list[str] = []

    async def send(self, api: httpx.AsyncClient, place: int, exchange: dict[str, Any]) -> None:
        """Send one request and note how its answer differs from the recorded one."""
        request = exchange.get("request")
        content = None if request is None else self._translated(json.dumps(request))
        answer = await api.request(
            exchange["method"],
            self._translated(exchange["path"]),
            content=content,
            headers={"content-type": "application/json"},
        )
        where = f"{place} {exchange['scenario']} {exchange['method']} {exchange['path']}"
        if answer.status_code != exchange["status"]:
            told = f"{answer.status_code} instead of {exchange['status']}: {answer.text[:200]}"
            self.differences.append(f"{where}: {told}")
            return
        if answer.status_code == 201:
            self.names.add(request.get("name", ""))
        if "retry-after" in exchange.get("headers", {}):
            assert 0 < float(answer.headers["retry-after"]) <= 30
        if place in OTHER_ANSWER:
            return
        here = answer.json() if answer.content else None
        if answer.status_code == 422 and "exception_detail" in exchange["response"]:
            self._compare_places(where, exchange["response"], here)
        self._compare(where, exchange.get("response"), here)

    def _translated(self, text: str) -> str:
        for recorded, here in self.ids.items():
            text = text.replace(recorded, here)
        return text

    def _compare_places(self, where: str, recorded: Any, here: Any) -> None:
        def places(answer: Any) -> list[Any]:
            return [problem["loc"] for problem in answer["exception_detail"]]

        if places(recorded) != places(here):
            self.differences.append(f"{where}: {places(here)} instead of {places(recorded)}")

    def _compare(self, where: str, recorded: Any, here: Any) -> None:
        if isinstance(recorded, dict) and isinstance(here, dict):
            for key in sorted(recorded.keys() - here.keys()):
                self.differences.append(f"{where}: no {key}")
            for key in sorted(recorded.keys() & here.keys() - FREE.keys()):
                self._compare(f"{where}.{key}", recorded[key], here[key])
        elif isinstance(recorded, list) and isinstance(here, list):
            kept = [item for item in recorded if item.get("name", "") in {"", *self.names}]
            if len(kept) != len(here):
                self.differences.append(f"{where}: {len(here)} items instead of {len(kept)}")
            for index, (before, now) in enumerate(zip(kept, here, strict=False)):
                self._compare(f"{where}[{index}]", before, now)
        elif is_id(recorded) and is_id(here):
            if self.ids.setdefault(recorded, here) != here:
                self.differences.append(f"{where}: another object")
        elif recorded != here and not (is_time(recorded) and is_time(here)):
            self.differences.append(f"{where}: {here!r} instead of {recorded!r}")
