"""The page about the API tells of every route, and of every way in which it answers otherwise."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from forebay_server.api_page import PAGE, Undeclared, endpoints, page
from tests.contract import (
    test_recorded_deployments,
    test_recorded_limits,
    test_recorded_runs,
    test_recorded_workers,
    test_recordings,
)
from tests.contract.test_recordings import Replay

ROOT = Path(__file__).parents[2]
DECLARED: dict[str, Any] = tomllib.loads((ROOT / "protos" / "api.toml").read_text("utf-8"))


def test_the_page_is_current() -> None:
    assert (ROOT / PAGE).read_text("utf-8") == page(DECLARED), "run: make openapi"


def test_no_endpoint_has_two_weights() -> None:
    names = [name for names in DECLARED["weights"].values() for name in names]

    assert len(names) == len(set(names))


def test_a_route_that_is_not_listed_is_told() -> None:
    weights = {**DECLARED["weights"], "MUST": DECLARED["weights"]["MUST"][1:]}

    with pytest.raises(Undeclared, match=r"GET /admin/version has no weight"):
        page({**DECLARED, "weights": weights})


def test_a_listed_endpoint_that_does_not_exist_is_told() -> None:
    weights = {**DECLARED["weights"], "MAY": ["GET /nothing"]}

    with pytest.raises(Undeclared, match=r"GET /nothing does not exist"):
        page({**DECLARED, "weights": weights})


def deviations() -> Iterator[tuple[str, str, str]]:
    """Method and path of every recorded exchange that is answered otherwise here, and why."""
    for recording in ("commands", "probes"):
        exchanges = Replay(recording).exchanges
        yield from told(exchanges, test_recordings.OTHER_STATUS[recording])
        yield from told(exchanges, test_recordings.OTHER_ANSWER[recording])
    of_deployments = test_recorded_deployments
    yield from told(of_deployments.EXCHANGES, of_deployments.OTHER_STATUS)
    yield from told(of_deployments.EXCHANGES, of_deployments.OTHER_OBJECTS)
    yield from told(test_recorded_limits.EXCHANGES, test_recorded_limits.OTHER_ANSWER)
    for name, others in test_recorded_workers.OTHER_STATUS.items():
        yield from told(test_recorded_workers.SCENARIOS[name]["exchanges"], others)
    for table in (test_recorded_runs.OTHER_STATUS, test_recorded_runs.OTHER_ANSWER):
        for name, others in table.items():
            yield from told(test_recorded_runs.SCENARIOS[name]["exchanges"], others)


def told(
    exchanges: list[dict[str, Any]], others: Mapping[int, str | tuple[int, str]]
) -> Iterator[tuple[str, str, str]]:
    """What a table says of these exchanges."""
    for place, why in others.items():
        reason = why if isinstance(why, str) else why[1]
        # What differs only because the recorded server had other objects is no deviation.
        if not reason.startswith("the recorded "):
            yield exchanges[place]["method"], exchanges[place]["path"], reason


def test_what_a_replay_finds_otherwise_is_on_the_page_with_its_reason() -> None:
    served = endpoints()
    general = " ".join([*DECLARED["everywhere"].values(), *DECLARED["absent"].values()])
    found = sorted(set(deviations()))
    assert found

    for method, path, reason in found:
        texts = [
            DECLARED["deviations"].get(name, "") for name in served if is_of(name, method, path)
        ]
        told = " ".join([general, *texts]).casefold()
        assert reason.casefold() in told, (method, path, reason)


def is_of(name: str, method: str, path: str) -> bool:
    """Whether a request may be one of the endpoint called `name`."""
    own_method, own_path = name.split()
    pattern = re.sub(r"\{\w+\}", "[^/]+", own_path)
    return method == own_method and re.fullmatch(pattern, path) is not None
