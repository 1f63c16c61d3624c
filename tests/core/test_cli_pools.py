"""`forebay work-pool` and `forebay work-queue` against a real server."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.core.builders import Run, as_json

TEMPLATE = {
    "job_configuration": {"image": "{{ image }}"},
    "variables": {"type": "object", "properties": {"image": {"type": "string"}}},
}


@pytest.fixture
def name() -> str:
    """A name that no other test uses; with a space, since names may have some."""
    return f"pool {uuid.uuid4()}"


@pytest.fixture
def pool(run: Run, name: str) -> str:
    """A pool that exists."""
    ended = run(
        "work-pool", "create", name, "--base-job-template", "-", input=json.dumps(TEMPLATE)
    )
    assert ended.returncode == 0, ended.stderr
    return name


def test_created_pool_can_be_inspected(run: Run, name: str) -> None:
    created = run("work-pool", "create", name, "--description", "for tests")

    seen = run("work-pool", "inspect", name)

    assert created.returncode == seen.returncode == 0
    assert f"forebay worker start --pool '{name}'" in created.stdout
    assert name in seen.stdout
    assert "for tests" in seen.stdout
    assert "NOT_READY" in seen.stdout


def test_what_becomes_of_lost_runs_is_said_changed_and_shown(run: Run, name: str) -> None:
    made = as_json(run("work-pool", "create", name, "--on-lost", "reschedule", "-o", "json"))

    changed = as_json(run("work-pool", "update", name, "--max-rescues", "7", "-o", "json"))
    seen = run("work-pool", "inspect", name)
    refused = run("work-pool", "update", name, "--on-lost", "restart")

    assert (made["on_lost"], made["max_rescues"]) == ("reschedule", 3)
    assert (changed["on_lost"], changed["max_rescues"]) == ("reschedule", 7)
    assert "reschedule, at most 7 times" in seen.stdout
    assert refused.returncode == 2
    assert "on_lost" in refused.stderr and "crash" in refused.stderr


def test_created_pool_has_the_template_of_its_type(run: Run, name: str) -> None:
    default = as_json(run("work-pool", "get-default-base-job-template", "-t", "process"))

    pool = as_json(run("work-pool", "create", name, "-t", "process", "-o", "json"))

    assert pool["base_job_template"] == default
    assert pool["type"] == "process"


def test_template_is_read_from_a_yaml_file_and_set_changes_a_default(
    run: Run, name: str, tmp_path: Path
) -> None:
    (tmp_path / "template.yaml").write_text(
        "job_configuration: {image: '{{ image }}'}\n"
        "variables: {type: object, properties: {image: {type: string}}}\n"
    )

    pool = as_json(
        run(
            *("work-pool", "create", name, "--base-job-template", "template.yaml"),
            *("--set", "image=python:3", "-o", "json"),
        )
    )

    image = pool["base_job_template"]["variables"]["properties"]["image"]
    assert image == {"type": "string", "default": "python:3"}


def test_unknown_variable_names_those_of_the_template(run: Run, name: str) -> None:
    template = json.dumps(TEMPLATE)

    ended = run(
        *("work-pool", "create", name, "--base-job-template", "-", "--set", "cpu=1"),
        input=template,
    )

    assert ended.returncode == 2
    assert "no variable 'cpu'; the template has: image" in " ".join(ended.stderr.split())


def test_invalid_template_is_refused_and_makes_no_pool(run: Run, name: str) -> None:
    template = json.dumps({**TEMPLATE, "job_configuration": {"a": "{{ undeclared }}"}})

    ended = run("work-pool", "create", name, "--base-job-template", "-", input=template)

    assert ended.returncode == 4
    assert "undeclared" in ended.stderr
    assert run("work-pool", "inspect", name).returncode == 3


@pytest.mark.parametrize("text", ["[1, 2]", "{'a': ", "a: [b", "12", ""])
def test_template_that_is_no_object_is_refused_before_anything_is_sent(
    run: Run, name: str, text: str
) -> None:
    ended = run("work-pool", "create", name, "--base-job-template", "-", input=text)

    assert ended.returncode == 2
    assert "--base-job-template" in ended.stderr


def test_taken_name_exits_with_4_and_names_the_way_to_change_the_pool(run: Run, pool: str) -> None:
    ended = run("work-pool", "create", pool)

    assert ended.returncode == 4
    assert f"forebay work-pool create '{pool}' --overwrite" in ended.stderr
    assert ended.stdout == ""


def test_overwrite_changes_only_what_is_given(run: Run, pool: str) -> None:
    changed = as_json(
        run("work-pool", "create", pool, "--overwrite", "--concurrency-limit", "3", "-o", "json")
    )

    assert changed["concurrency_limit"] == 3
    assert changed["base_job_template"] == TEMPLATE


def test_overwrite_makes_the_pool_when_there_is_none(run: Run, name: str) -> None:
    made = as_json(run("work-pool", "create", name, "--overwrite", "-o", "json"))

    assert made["name"] == name


def test_overwrite_does_not_change_the_type(run: Run, pool: str) -> None:
    ended = run("work-pool", "create", pool, "--overwrite", "--type", "docker")

    assert ended.returncode == 4
    assert "of type 'process'" in ended.stderr


def test_list_shows_the_pool_and_filters_by_name_type_and_status(run: Run, pool: str) -> None:
    def listed(*options: str) -> bool:
        return pool in [p["name"] for p in as_json(run("work-pool", "ls", *options, "-o", "json"))]

    assert pool in run("work-pool", "ls").stdout
    assert listed("--match", pool[5:].upper(), "--type", "process", "--status", "not ready")
    assert not listed("--match", "another")
    assert not listed("--type", "docker")
    assert not listed("--status", "READY")


@pytest.mark.parametrize(
    "command",
    [
        ("work-pool", "inspect"),
        ("work-pool", "update", "--description", "x"),
        ("work-pool", "pause"),
        ("work-pool", "resume"),
        ("work-pool", "delete", "--yes"),
        ("work-pool", "clear-concurrency-limit"),
        ("work-pool", "preview"),
        ("work-queue", "ls", "--pool"),
        ("work-queue", "create", "q", "--pool"),
    ],
    ids=" ".join,
)
def test_pool_that_is_not_there_exits_with_3_and_names_the_list(
    run: Run, command: tuple[str, ...]
) -> None:
    ended = run(*command, "no such pool")

    assert ended.returncode == 3
    assert ended.stdout == ""
    assert "no such pool" in ended.stderr
    assert "forebay work-pool ls" in ended.stderr


def test_pause_resume_and_limits(run: Run, pool: str) -> None:
    paused = as_json(run("work-pool", "pause", pool, "-o", "json"))
    resumed = as_json(run("work-pool", "resume", pool, "-o", "json"))
    limited = as_json(run("work-pool", "set-concurrency-limit", pool, "0", "-o", "json"))
    cleared = as_json(run("work-pool", "clear-concurrency-limit", pool, "-o", "json"))

    assert (paused["is_paused"], resumed["is_paused"]) == (True, False)
    assert (limited["concurrency_limit"], cleared["concurrency_limit"]) == (0, None)


def test_update_changes_what_is_given_and_leaves_the_rest(run: Run, pool: str) -> None:
    updated = as_json(
        run("work-pool", "update", pool, "--description", "new", "--paused", "-o", "json")
    )

    assert updated["description"] == "new"
    assert updated["is_paused"] is True
    assert updated["base_job_template"] == TEMPLATE


def test_delete_without_a_terminal_needs_yes(run: Run, pool: str) -> None:
    asked = run("work-pool", "delete", pool, input="y\n")
    deleted = run("work-pool", "delete", pool, "--yes")

    assert asked.returncode == 2
    assert "--yes" in asked.stderr
    assert deleted.returncode == 0
    assert run("work-pool", "inspect", pool).returncode == 3


def test_messages_do_not_mix_with_json(run: Run, pool: str) -> None:
    ended = run("work-pool", "pause", pool, "--output", "json")

    assert json.loads(ended.stdout)["name"] == pool
    assert "Paused" in ended.stderr


def test_name_that_the_stream_cannot_carry_is_no_failure(
    forebay: Run, shared_server: Any, run: Run, name: str
) -> None:
    name = f"żółty {name}"
    run("work-pool", "create", name)
    environment = {**shared_server.environment, "PYTHONIOENCODING": "ascii"}

    shown = forebay("work-pool", "ls", environment=environment)
    pools = forebay("work-pool", "ls", "-o", "json", environment=environment)

    assert shown.returncode == 0
    assert name in [pool["name"] for pool in as_json(pools)]


def test_wrong_token_names_the_setting(forebay: Run, shared_server: Any) -> None:
    environment = {**shared_server.environment, "FOREBAY_API_KEY": "wrong"}

    ended = forebay("work-pool", "ls", environment=environment)

    assert ended.returncode == 1
    assert "FOREBAY_API_KEY" in ended.stderr


def test_profile_of_the_servers_first_start_is_enough(forebay: Run, shared_server: Any) -> None:
    home = {"FOREBAY_HOME": str(shared_server.home)}

    by_default = forebay("work-pool", "ls", environment=home)
    by_name = forebay("--profile", "local", "work-pool", "ls", environment=home)

    assert by_default.returncode == by_name.returncode == 0


def test_queues_are_listed_in_the_order_in_which_they_are_served(run: Run, pool: str) -> None:
    made = run("work-queue", "create", "first", "--pool", pool, "--priority", "1", "--limit", "2")

    queues = as_json(run("work-queue", "ls", "-p", pool, "-o", "json"))

    assert made.returncode == 0
    assert [(q["name"], q["priority"]) for q in queues] == [("first", 1), ("default", 2)]
    assert queues[0]["concurrency_limit"] == 2


def test_queue_is_changed_by_name_and_by_id(run: Run, pool: str) -> None:
    queue = as_json(run("work-queue", "inspect", "default", "-p", pool, "-o", "json"))

    paused = as_json(run("work-queue", "pause", queue["id"], "-p", pool, "-o", "json"))
    resumed = as_json(run("work-queue", "resume", "default", "-p", pool, "-o", "json"))

    assert (paused["is_paused"], resumed["is_paused"]) == (True, False)


def test_queue_limit_is_set_and_cleared(run: Run, pool: str) -> None:
    place = ("-p", pool, "-o", "json")
    limited = as_json(run("work-queue", "set-concurrency-limit", "default", "4", *place))
    cleared = as_json(run("work-queue", "clear-concurrency-limit", "default", *place))

    assert (limited["concurrency_limit"], cleared["concurrency_limit"]) == (4, None)


def test_queue_of_another_pool_is_not_found_by_its_id(run: Run, pool: str) -> None:
    other = f"{pool} too"
    run("work-pool", "create", other)
    queue = as_json(run("work-queue", "inspect", "default", "-p", other, "-o", "json"))

    ended = run("work-queue", "delete", queue["id"], "-p", pool, "--yes")

    assert ended.returncode == 3
    assert "forebay work-queue ls --pool POOL" in ended.stderr


def test_taken_queue_name_and_default_queue_exit_with_4(run: Run, pool: str) -> None:
    taken = run("work-queue", "create", "default", "-p", pool)
    kept = run("work-queue", "delete", "default", "-p", pool, "--yes")

    assert taken.returncode == kept.returncode == 4


@pytest.mark.parametrize(
    ("options", "kind", "inputs"),
    [
        (
            ["s3", "--bucket", "b", "--aws-credentials-block-name", "c"],
            "s3",
            {"bucket": "b", "aws_credentials_block_name": "c", "requires": "prefect-aws"},
        ),
        (["gcs", "--bucket", "b"], "gcs", {"bucket": "b", "requires": "prefect-gcp"}),
        (
            [
                *("azure-blob-storage", "--container", "b"),
                *("--azure-blob-storage-credentials-block-name", "c"),
            ],
            "azure-blob-storage",
            {
                "container": "b",
                "azure_blob_storage_credentials_block_name": "c",
                "requires": "prefect-azure",
            },
        ),
    ],
)
def test_storage_of_bundles_is_chosen_and_shown(
    run: Run, pool: str, options: list[str], kind: str, inputs: dict[str, str]
) -> None:
    before = run("work-pool", "storage", "inspect", pool)

    made = run("work-pool", "storage", "configure", options[0], pool, *options[1:])

    shown = as_json(run("work-pool", "storage", "inspect", pool, "-o", "json"))
    assert "keeps no bundles" in before.stdout
    assert made.returncode == 0, made.stderr
    assert shown["type"] == kind
    assert list(shown["bundle_upload_step"].values()) == [inputs]
    assert list(shown["bundle_execution_step"].values()) == [inputs]
