"""The page about the API tells of every route, and of every way in which it answers otherwise."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from forebay_server.api_page import PAGE, Undeclared, endpoints, page
from tests.contract import test_recorded_deployments, test_recorded_limits, test_recordings
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


def deviating() -> set[tuple[str, str]]:
    """Method and path of every recorded exchange that is answered otherwise here."""
    found = []
    for recording in ("commands", "probes"):
        exchanges = Replay(recording).exchanges
        numbers = {
            **test_recordings.OTHER_STATUS[recording],
            **test_recordings.OTHER_ANSWER[recording],
        }
        found += [exchanges[number] for number in numbers]
    others = {**test_recorded_deployments.OTHER_STATUS, **test_recorded_deployments.OTHER_OBJECTS}
    found += [test_recorded_deployments.EXCHANGES[place] for place in others]
    found += [test_recorded_limits.EXCHANGES[place] for place in test_recorded_limits.OTHER_ANSWER]
    return {(exchange["method"], exchange["path"]) for exchange in found}


def test_what_a_replay_finds_otherwise_is_on_the_page() -> None:
    served = endpoints()

    for method, path in sorted(deviating()):
        names = [name for name in served if is_of(name, method, path)]
        assert any(name in DECLARED["deviations"] for name in names), (method, path)


def is_of(name: str, method: str, path: str) -> bool:
    """Whether a request may be one of the endpoint called `name`."""
    own_method, own_path = name.split()
    pattern = re.sub(r"\{\w+\}", "[^/]+", own_path)
    return method == own_method and re.fullmatch(pattern, path) is not None
