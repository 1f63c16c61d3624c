"""What schemathesis loads: leads its requests to objects that exist, with bodies that are right
but for one thing, and keeps them from ending the fuzzing itself.

What there is it reads from the file that `FUZZ_GROUND` names, written by the fuzzer.
"""

import json
import os
import re
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import schemathesis

from tests.reliability.fuzz_objects import bodies, path_values

LED = 0.9  # of the requests go to objects that exist
RIGHTED = 0.8  # of the bodies are right but for one thing
MOST_WAIT_SECONDS = 0.1  # for which a claim is held: sixty seconds tell no more
# What takes others with it, or can be deleted by another path too, goes from objects of its own,
# so that the other ones are there to be deleted.
RAZES = re.compile(
    r"DELETE /api/(work_pools|flows|flow_runs|deployments|block_types|block_schemas)/\{\w+\}$"
    r"|DELETE /api/(concurrency_limits/tag|variables/name)/\{\w+\}$"
    r"|POST /api/flow_runs/bulk_delete$"
)

ground = json.loads(Path(os.environ["FUZZ_GROUND"]).read_text("utf-8"))
random = Random(ground["seed"])
numbers = count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Change `case` before it is sent."""
    phase = case.meta.phase.name if case.meta else "stateful"
    objects = random.choice(ground[_fate(f"{case.method} {case.path}")])
    if phase != "stateful":  # which follows what it made itself
        if random.random() < LED:
            _lead(case, objects)
        if phase == "fuzzing" and random.random() < RIGHTED:
            _right(case, objects)
    _spare(case, objects)


def _fate(operation: str) -> str:
    """What becomes of the objects that the operation is led to."""
    if RAZES.match(operation):
        return "razed"
    return "deleted" if operation.startswith("DELETE ") else "kept"


def _spare(case: Any, objects: dict[str, str]) -> None:
    """Keep the request from ending the fuzzer's own token, its time, or every run."""
    if case.path.startswith("/api/tokens/") and case.path_parameters.get("id") == ground["own"]:
        case.path_parameters = {**case.path_parameters, "id": objects["token"]}
    if isinstance(case.body, dict) and case.path.endswith("/claim"):
        seconds = case.body.get("wait_seconds")
        if isinstance(seconds, int | float) and seconds > MOST_WAIT_SECONDS:
            case.body = {**case.body, "wait_seconds": MOST_WAIT_SECONDS}
    if case.path.endswith("/bulk_delete"):
        body = case.body if isinstance(case.body, dict) else {}
        criteria = body.get("flow_runs")
        this_run = {"id": {"any_": [objects["run"]]}, "operator": "and_"}
        criteria = {**criteria, **this_run} if isinstance(criteria, dict) else this_run
        case.body = {**body, "flow_runs": criteria}
        case.media_type = case.media_type or "application/json"


def _lead(case: Any, objects: dict[str, str]) -> None:
    for part, values in path_values(objects).items():
        if part in case.path:
            in_path = {name: values[name] for name in case.path_parameters if name in values}
            case.path_parameters = {**case.path_parameters, **in_path}
            in_query = {name: values[name] for name in case.query if name in values}
            case.query = {**case.query, **in_query}


def _right(case: Any, objects: dict[str, str]) -> None:
    name = f"{objects['name']}-{next(numbers)}"
    operation = f"{case.method} {case.path.removeprefix('/api')}"
    body = bodies(objects, name).get(operation)
    if body is not None:
        case.body = _but_for_one(body, case.body)
        case.media_type = case.media_type or "application/json"


def _but_for_one(right: Any, made: Any) -> Any:
    """`right` with one thing of what was made at random."""
    if isinstance(right, list):
        return [_but_for_one(right[0], made[0]) if isinstance(made, list) and made else right[0]]
    if not isinstance(made, dict) or not made:
        return right
    key = random.choice(list(made))
    return {**right, key: made[key]}
