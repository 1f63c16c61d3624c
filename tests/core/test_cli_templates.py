"""Templates of pools on the command line: sources, merging, differences, the type's prompt."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from forebay.cli.pool_templates import merged
from forebay.pool_types import default_template, pool_types
from tests.core.builders import Run, as_json
from tests.core.test_cli_terminal import on_terminal


@pytest.fixture
def name() -> str:
    return f"pool {uuid.uuid4()}"


@pytest.mark.parametrize("type", sorted(pool_types()))
def test_pool_of_every_bundled_type_can_be_made(run: Run, name: str, type: str) -> None:
    pool = as_json(run("work-pool", "create", name, "-t", type, "-o", "json"))

    assert pool["type"] == type
    assert pool["base_job_template"] == default_template(type)


def test_template_comes_from_where_it_is_asked_for(run: Run) -> None:
    command = ("work-pool", "get-default-base-job-template", "-t")

    bundled = run(*command, "process", "--source", "bundled")
    workers = run(*command, "process", "--source", "worker")
    unknown = run(*command, "no-such-type")

    assert json.loads(bundled.stdout) == default_template("process")
    assert set(json.loads(workers.stdout)) == {"job_configuration", "variables"}
    assert unknown.returncode == 2
    assert "process" in unknown.stderr


def test_template_is_written_to_a_file(run: Run, tmp_path: Path) -> None:
    ended = run("work-pool", "get-default-base-job-template", "-t", "docker", "-f", "t.json")

    assert ended.returncode == 0
    assert json.loads((tmp_path / "t.json").read_text()) == default_template("docker")


def test_merging_adds_what_is_new_and_keeps_what_is_there(run: Run, name: str) -> None:
    own = default_template("docker")
    own["variables"]["properties"]["image"] = {"type": "string", "default": "own:1"}
    del own["variables"]["properties"]["env"]
    del own["job_configuration"]["env"]
    own["job_configuration"]["extra"] = "x"
    run(
        "work-pool",
        "create",
        name,
        "-t",
        "docker",
        "--base-job-template",
        "-",
        input=json.dumps(own),
    )

    dry = run("work-pool", "update", name, "--merge-default-template", "--dry-run")
    unchanged = as_json(run("work-pool", "inspect", name, "--template-only"))
    changed = as_json(run("work-pool", "update", name, "--merge-default-template", "-o", "json"))

    assert '+        "env": {' in dry.stdout
    assert unchanged == own
    template = changed["base_job_template"]
    assert template["variables"]["properties"]["image"] == {"type": "string", "default": "own:1"}
    assert template["variables"]["properties"]["env"]["type"] == "object"
    assert template["job_configuration"]["extra"] == "x"


@pytest.mark.parametrize(
    ("own", "default", "expected"),
    [
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 1, "b": 3}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": []}, {"a": {"c": 2}}, {"a": []}),
        (
            {"v": {"type": "string"}},
            {"v": {"type": "integer", "minimum": 1}},
            {"v": {"type": "string"}},
        ),
        ({}, {"a": None}, {"a": None}),
    ],
)
def test_merged_template(own: Any, default: Any, expected: Any) -> None:
    assert merged(own, default) == expected


def test_dry_run_as_json_tells_before_and_after(run: Run, name: str) -> None:
    run("work-pool", "create", name, "--description", "old")

    told = as_json(
        run("work-pool", "update", name, "--description", "new", "--dry-run", "-o", "json")
    )

    assert told == {"before": {"description": "old"}, "after": {"description": "new"}}
    assert as_json(run("work-pool", "inspect", name, "-o", "json"))["description"] == "old"


def test_difference_from_the_types_template_is_shown(run: Run, name: str) -> None:
    run("work-pool", "create", name, "-t", "process", "--set", "stream_output=false")

    shown = run("work-pool", "inspect", name, "--diff-default").stdout

    assert '-        "default": true' in shown
    assert '+        "default": false' in shown


def test_pool_made_as_default_is_written_to_the_profile(run: Run, name: str) -> None:
    made = run("work-pool", "create", name, "--set-as-default")

    assert made.returncode == 0, made.stderr
    assert as_json(run("work-queue", "inspect", "default", "-o", "json"))["work_pool_name"] == name


@pytest.mark.parametrize(
    "command",
    [("create", "--provision-infra"), ("provision-infra",), ("provision-infrastructure",)],
)
def test_provisioning_is_refused_and_makes_nothing(
    run: Run, name: str, command: tuple[str, ...]
) -> None:
    ended = run("work-pool", *command, name)

    assert ended.returncode == 4
    assert "not possible yet" in ended.stderr
    assert run("work-pool", "inspect", name).returncode == 3


def test_long_list_counts_workers_and_late_runs(run: Run, name: str) -> None:
    run("work-pool", "create", name)

    shown = run("work-pool", "ls", "--verbose", "--match", name)

    assert "Late" in shown.stdout
    assert name in shown.stdout


def test_missing_type_is_asked_for_on_a_terminal(shared_server: Any, name: str) -> None:
    code, shown = on_terminal(
        shared_server.environment, "work-pool", "create", name, typed="nonsense\ndocker\n"
    )
    _, made = on_terminal(shared_server.environment, "work-pool", "inspect", name, "-o", "json")

    assert code == 0
    assert "Runs each flow run in a container" in shown
    assert "no type 'nonsense'" in shown
    assert '"type": "docker"' in made


def test_deleting_tells_what_is_lost(shared_server: Any, run: Run, name: str) -> None:
    run("work-pool", "create", name)

    _, shown = on_terminal(shared_server.environment, "work-pool", "delete", name, typed="n\n")

    assert "Lost with it: its queues (1)." in " ".join(shown.split())
