"""Limits, variables, blocks and flows on the command line, against a real server."""

import json
import uuid
from typing import Any

import pytest

from forebay.calls import blocks
from forebay.client import Client
from forebay.wire.deployments import Deployment
from tests.core.builders import Run, as_json
from tests.core.test_cli_terminal import on_terminal


@pytest.fixture
def name() -> str:
    return f"name-{uuid.uuid4()}"


def test_limit_is_made_changed_and_deleted(run: Run, name: str) -> None:
    made = as_json(run("global-concurrency-limit", "create", name, "--limit", "2", "-o", "json"))
    changed = as_json(run("gcl", "update", name, "-l", "5", "--active-slots", "1", "-o", "json"))
    off = as_json(run("gcl", "disable", made["id"], "-o", "json"))
    on = as_json(run("gcl", "enable", name, "-o", "json"))
    listed = run("gcl", "ls").stdout
    seen = run("gcl", "inspect", name).stdout
    refused = run("gcl", "delete", name)
    deleted = run("gcl", "delete", name, "--yes")

    assert (changed["limit"], changed["active_slots"]) == (5, 1)
    assert (off["active"], on["active"]) == (False, True)
    assert name in listed
    assert "1 of 5" in seen
    assert (refused.returncode, deleted.returncode) == (2, 0)
    assert run("gcl", "inspect", name).returncode == 3


def test_taken_name_of_a_limit_names_the_way_to_change_it(run: Run, name: str) -> None:
    run("gcl", "create", name, "--limit", "2")

    ended = run("gcl", "create", name, "--limit", "3")

    assert ended.returncode == 4
    assert f"forebay gcl update {name}" in ended.stderr


@pytest.mark.parametrize(
    ("text", "value"), [("text", "text"), ('{"a": [1]}', {"a": [1]}), ("12", 12), ("null", None)]
)
def test_variable_is_set_and_read(run: Run, name: str, text: str, value: Any) -> None:
    made = as_json(run("variable", "set", name, text, "--tag", "a", "-o", "json"))
    seen = as_json(run("variable", "get", name, "-o", "json"))

    assert made == seen
    assert (seen["value"], seen["tags"]) == (value, ["a"])


def test_variable_is_changed_only_on_demand_and_deleted(run: Run, name: str) -> None:
    run("variable", "set", name, "1")

    refused = run("variable", "set", name, "2")
    changed = as_json(run("variable", "set", name, "2", "--overwrite", "-o", "json"))
    listed = run("variable", "ls").stdout
    deleted = run("variable", "delete", name, "--yes")

    assert refused.returncode == 4
    assert "--overwrite" in refused.stderr
    assert changed["value"] == 2
    assert name in listed
    assert deleted.returncode == 0
    assert run("variable", "inspect", name).returncode == 3


def secret_of(client: Client, name: str) -> Any:
    return client.send(blocks.read_by_name("secret", name, include_secrets=True)).data["value"]


def test_secret_is_a_line_of_standard_input_without_a_terminal(
    run: Run, client: Client, name: str
) -> None:
    made = run("block", "create", "secret", "--name", name, input="hidden value\n")

    shown = run("block", "inspect", f"secret/{name}")

    assert made.returncode == 0, made.stderr
    assert secret_of(client, name) == "hidden value"
    assert "hidden value" not in made.stdout + made.stderr + shown.stdout


def test_secret_is_asked_for_unseen_on_a_terminal(
    shared_server: Any, client: Client, name: str
) -> None:
    code, shown = on_terminal(
        shared_server.environment,
        *("block", "create", "secret", "-n", name),
        typed="hidden value\n",
        prompt="value: ",
    )

    assert code == 0
    assert "hidden value" not in shown
    assert secret_of(client, name) == "hidden value"


def test_block_is_made_of_a_document_and_changed(run: Run, client: Client, name: str) -> None:
    data = {"username": "me", "password": "hidden", "registry_url": "https://one"}
    command = ("block", "create", "docker-registry-credentials", "--name", name, "-o", "json")

    made = as_json(run(*command, "--data", "-", input=json.dumps(data)))
    taken = run(*command, "--data", "-", input=json.dumps(data))
    changed = as_json(run(*command, "--overwrite", "--set", "registry_url=https://two"))

    assert made["data"]["username"] == "me"
    assert made["data"]["password"] != "hidden"
    assert taken.returncode == 4
    assert changed["id"] == made["id"]
    kept = client.send(blocks.read(made["id"], include_secrets=True)).data
    assert kept == {**data, "registry_url": "https://two"}


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--set", "value=open"), 2),
        ((), 2),
        (("--set", "no-equals-sign"), 2),
    ],
)
def test_block_without_its_secret_or_with_an_open_one_is_not_made(
    run: Run, name: str, options: tuple[str, ...], code: int
) -> None:
    ended = run("block", "create", "secret", "--name", name, *options)

    assert ended.returncode == code
    assert run("block", "inspect", f"secret/{name}").returncode == 3


def test_block_is_listed_and_deleted(run: Run, name: str) -> None:
    made = as_json(run("block", "create", "secret", "-n", name, "-o", "json", input="x\n"))

    listed = as_json(run("block", "ls", "--type", "secret", "-o", "json"))
    refused = run("block", "delete", f"secret/{name}")
    deleted = run("block", "delete", made["id"], "--yes")

    assert made["id"] in [block["id"] for block in listed]
    assert (refused.returncode, deleted.returncode) == (2, 0)
    assert run("block", "inspect", f"secret/{name}").returncode == 3


def test_block_types_are_listed_with_their_fields(run: Run) -> None:
    slugs = [item["slug"] for item in as_json(run("block", "type", "ls", "-o", "json"))]
    fields = as_json(run("block", "type", "inspect", "secret", "-o", "json"))["fields"]
    unknown = run("block", "create", "no-such-type", "--name", "a")

    assert "secret" in slugs
    assert fields["secret_fields"] == ["value"]
    assert unknown.returncode == 3
    assert "forebay block type ls" in unknown.stderr


def test_flow_is_found_by_name_id_and_part_of_its_name(
    run: Run, deployment: Deployment, pool: str
) -> None:
    listed = as_json(run("flow", "ls", "--match", pool, "-o", "json"))
    by_name = as_json(run("flow", "inspect", f"flow of {pool}", "-o", "json"))
    by_id = as_json(run("flow", "inspect", by_name["id"], "-o", "json"))

    assert listed == [by_name]
    assert by_id == by_name
    assert "default" in run("flow", "inspect", by_name["id"]).stdout
    assert run("flow", "inspect", "no such flow").returncode == 3
