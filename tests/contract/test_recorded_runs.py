"""Recorded probes of Prefect 3.8.4 about polls, claims and states of runs, replayed.

Several pollers of one pool, limits at the moment of the claim, the bodies that runs refuse, and
the transitions with a rule of their own. Times in requests are moved to now, as what is due
depends on them; what tidied up after an earlier try is left out.
"""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from tests.contract.test_recorded_deployments import Replay

SCENARIOS: dict[str, dict[str, Any]] = {
    each["scenario"]: each
    for each in json.loads(
        (Path(__file__).parent / "recordings" / "runs.json").read_text("utf-8")
    )["scenarios"]
}
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)")

NO_SLOT = "a run without a free slot is rejected with AwaitingConcurrencySlot"
ONE_START = "a second start of one claim is aborted"
QUEUE_NAME = "the name of a run's queue is told for the default queue too"
MORE_RUNS = "the recorded server had more runs and lines"

# Scenario → exchange (its place, from 0) → the status here, and why it is not the recorded one.
OTHER_STATUS: dict[str, dict[int, tuple[int, str]]] = {
    "g11_race": {14: (201, NO_SLOT)},
    "k02_special_transitions": {11: (200, ONE_START)},
}
# Scenario → exchange → why its answer has other values.
OTHER_ANSWER: dict[str, dict[int, str]] = {
    "g10_polling": {29: NO_SLOT, 31: NO_SLOT},
    "g11_race": {7: QUEUE_NAME, 8: QUEUE_NAME, 12: NO_SLOT},
    "g12_race_two_queues": {11: NO_SLOT},
    "g13_race_reorder": {4: QUEUE_NAME, 6: QUEUE_NAME, 8: NO_SLOT},
    "h06_flow_runs": dict.fromkeys((21, 22, 23, 25, 33), MORE_RUNS),
    "k02_special_transitions": {12: "the recorded run had been started twice", 43: QUEUE_NAME},
}
# Keys whose values are not compared, and why.
FREE = {
    "last_polled": "only polls of workers count",
    "status": "follows last_polled",
    "base_job_template": "not part of the recording",
    "request_body": "an answer never repeats what may hold a secret",
    "exception_detail": "the sentences are our own; the shape is checked apart",
}


@pytest.mark.parametrize("name", SCENARIOS)
async def test_recorded_probes_are_answered_alike(api: httpx.AsyncClient, name: str) -> None:
    scenario = SCENARIOS[name]
    replay = Exact(OTHER_STATUS.get(name, {}), {}, FREE)
    delay = datetime.now(UTC) - datetime.fromisoformat(scenario["began"])

    for place, exchange in enumerate(scenario["exchanges"]):
        await replay.send(api, place, {**moved(exchange, delay), "scenario": name})

    assert not replay.differences, "\n".join(replay.differences)


class Exact(Replay):
    """A replay for which lists have the recorded lengths too."""

    async def send(self, api: httpx.AsyncClient, place: int, exchange: dict[str, Any]) -> None:
        self._is_other = place in OTHER_ANSWER.get(exchange["scenario"], {})
        await super().send(api, place, exchange)

    def _compare(self, where: str, recorded: Any, here: Any) -> None:
        if self._is_other:
            assert type(recorded) is type(here), where
            return
        if isinstance(recorded, list) and isinstance(here, list) and len(recorded) != len(here):
            self.differences.append(f"{where}: {len(here)} items instead of {len(recorded)}")
        super()._compare(where, recorded, here)


def moved(exchange: dict[str, Any], delay: timedelta) -> dict[str, Any]:
    """The exchange with the times in its request put off by `delay`."""
    if "request" not in exchange:
        return exchange
    text = TIME.sub(
        lambda found: (datetime.fromisoformat(found[0]) + delay).isoformat(),
        json.dumps(exchange["request"]),
    )
    return {**exchange, "request": json.loads(text)}


def test_every_other_status_is_one() -> None:
    for name, others in OTHER_STATUS.items():
        for place, (status, _) in others.items():
            assert SCENARIOS[name]["exchanges"][place]["status"] != status
