"""State of the provider prefecthq/prefect, taken over offline."""

import json
from typing import Any

import pytest

from forebay_provider import moves
from forebay_provider.framework.declarations import declaration
from forebay_provider.framework.diagnostics import Failure
from forebay_provider.resources import RESOURCES
from forebay_provider.resources.work_pool import WorkPool
from forebay_provider.resources.work_queue import WorkQueue

SOURCE = "registry.terraform.io/prefecthq/prefect"
COMMON = {
    "id": "0192f3f0-0000-7000-8000-000000000001",
    "created": "2026-01-02T03:04:05Z",
    "updated": "2026-01-02T03:04:05Z",
    "account_id": None,
    "workspace_id": None,
}
QUEUE = {**COMMON, "work_pool_name": "etl", "name": "high", "description": "", "is_paused": True,
         "concurrency_limit": 3, "priority": 1}  # fmt: skip


def move(call: Any, type: str, state: Any, source: str = SOURCE, target: str = "") -> Any:
    return call(
        "MoveResourceState",
        source_provider_address=source,
        source_type_name=f"prefect_{type}",
        source_state={"json": json.dumps(state).encode()},
        target_type_name=f"forebay_{target or type}",
    )


def as_json(type: str, state: dict[str, Any]) -> dict[str, Any]:
    """The moved object as it would stand in a state file."""
    text = moves.moved(SOURCE, f"prefect_{type}", f"forebay_{type}", json.dumps(state).encode())
    found: dict[str, Any] = json.loads(text)
    return found


def test_queue_is_moved_without_asking_anybody(call: Any) -> None:
    answer = move(call, "work_queue", QUEUE)

    assert not answer.diagnostics
    state = call.decode(WorkQueue, answer.target_state)
    assert state["id"] == QUEUE["id"]
    assert (state["work_pool_name"], state["name"], state["paused"]) == ("etl", "high", True)
    assert (state["concurrency_limit"], state["priority"]) == (3, 1)


def test_pool_keeps_the_text_of_its_template(call: Any) -> None:
    template = '{ "variables": {},\n "job_configuration": {} }'
    pool = {**COMMON, "name": "etl", "type": "process", "paused": False, "description": None,
            "concurrency_limit": None, "default_queue_id": None,
            "base_job_template": template}  # fmt: skip

    state = call.decode(WorkPool, move(call, "work_pool", pool).target_state)

    assert state["base_job_template"] == template
    assert state["type"] == "process"


def test_deployment_s_concurrency_and_steps_take_their_new_form() -> None:
    steps = [
        {"type": "git_clone", "repository": "https://x/y", "branch": "main", "requires": None},
        {"type": "set_working_directory", "directory": "/app"},
    ]
    state = {**COMMON, "name": "d", "concurrency_limit": 2,
             "concurrency_options": {"collision_strategy": "CANCEL_NEW"},
             "pull_steps": steps}  # fmt: skip

    found = as_json("deployment", state)

    assert found["concurrency"] == {"limit": 2, "collision_strategy": "CANCEL_NEW"}
    assert [step["step"] for step in found["pull_steps"]] == [
        "prefect.deployments.steps.git_clone",
        "prefect.deployments.steps.set_working_directory",
    ]
    assert json.loads(found["pull_steps"][0]["inputs"]) == {
        "repository": "https://x/y",
        "branch": "main",
    }


def test_deployment_without_concurrency_has_none() -> None:
    found = as_json("deployment", {**COMMON, "name": "d", "pull_steps": []})

    assert (found["concurrency"], found["pull_steps"]) == (None, None)


def test_kinds_of_schedule_that_are_not_used_become_null() -> None:
    state = {**COMMON, "deployment_id": "d", "cron": "0 0 * * *", "interval": 0, "rrule": "",
             "anchor_date": "", "timezone": "", "day_or": True, "max_scheduled_runs": 0,
             "slug": "", "active": True, "parameters": "{}"}  # fmt: skip

    found = as_json("deployment_schedule", state)

    unused = ("interval", "rrule", "anchor_date", "timezone", "max_scheduled_runs", "slug")
    assert found["cron"] == "0 0 * * *"
    assert [found[name] for name in unused] == [None] * len(unused)
    assert found["day_or"] is True


def test_seconds_of_an_interval_become_text() -> None:
    state = {**COMMON, "deployment_id": "d", "interval": 3600.0, "anchor_date": "then"}

    found = as_json("deployment_schedule", state)

    assert (found["interval"], found["anchor_date"]) == ("3600", "then")


@pytest.mark.parametrize(
    "value", ["a", {"value": "a", "type": "string"}], ids=["first version", "present version"]
)
def test_variable_s_value_has_its_type(value: Any) -> None:
    found = as_json("variable", {**COMMON, "name": "v", "value": value, "tags": []})

    assert found["value"] == {"value": "a", "type": "string"}


MODELS = {r.name: r.model for r in RESOURCES}


@pytest.mark.parametrize("move", moves.MOVES.values())
def test_every_attribute_of_a_moved_object_is_one_of_its_resource(move: moves.Move) -> None:
    known = {a.name for a in declaration(MODELS[move.target]).attributes}

    assert {"id", *move.same, *move.changed({})} <= known


@pytest.mark.parametrize(
    ("type", "source", "target"),
    [
        ("work_queue", "registry.terraform.io/someone/prefect", ""),
        ("work_queue", SOURCE, "work_pool"),
        ("automation", SOURCE, "work_pool"),
    ],
)
def test_other_sources_are_refused_with_what_there_is(
    call: Any, type: str, source: str, target: str
) -> None:
    answer = move(call, type, QUEUE, source, target)

    (found,) = answer.diagnostics
    assert "prefect_work_queue to forebay_work_queue" in found.detail


def test_same_provider_from_another_registry_is_taken(call: Any) -> None:
    assert not move(
        call, "work_queue", QUEUE, "registry.opentofu.org/PrefectHQ/prefect"
    ).diagnostics


@pytest.mark.parametrize("state", [b"", b"[]", b"{", b"[" * 100_000])
def test_state_that_cannot_be_read_is_refused(state: bytes) -> None:
    with pytest.raises(Failure, match="cannot be read"):
        moves.moved(SOURCE, "prefect_flow", "forebay_flow", state)


def test_attribute_of_another_type_is_refused_where_it_is(call: Any) -> None:
    answer = move(call, "work_queue", {**QUEUE, "concurrency_limit": "many"})

    assert "concurrency_limit" in answer.diagnostics[0].detail
