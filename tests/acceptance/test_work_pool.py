"""`forebay_work_pool` with real Terraform: its whole life, and what goes wrong in it."""

import json
import time
from collections.abc import Mapping
from typing import Any

import pytest

from forebay.calls import deployments, flows, work_pools, work_queues
from forebay.client import Client
from forebay.errors import NotFound
from forebay.pool_types import default_template, pool_types
from forebay.wire.deployments import DeploymentCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.work_pools import WorkPoolCreate, WorkPoolUpdate
from forebay.wire.work_queues import WorkQueueUpdate
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "env": "{{ env }}"},
    "variables": {
        "type": "object",
        "properties": {
            "command": {"type": "string"},
            "env": {"type": "object", "default": {"A": "1"}},
        },
    },
}
TYPE = "forebay_work_pool"
ADDRESS = f"{TYPE}.it"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


def a_pool(name: str = "pool", **attributes: object) -> str:
    return block(TYPE, **{"name": name, "type": "process", **attributes})


def a_pool_each(attributes: Mapping[str, Mapping[str, object]]) -> str:
    """A pool for each of these, named as they are."""
    return "".join(
        block(TYPE, label, **{"name": label, "type": "process", **given})
        for label, given in attributes.items()
    )


def planned_template(terraform: Terraform, configuration: str) -> dict[str, Any] | None:
    """The template that a plan promises; None where it is not known yet."""
    change = terraform.changes(configuration)[ADDRESS]
    text = change["after"].get("effective_base_job_template")
    return None if text is None else json.loads(text)


@ON_BOTH_SERVERS
def test_apply_makes_the_pool_and_a_second_plan_is_empty(
    terraform: Terraform, client: Client
) -> None:
    full = a_pool(
        description="All of it",
        paused=True,
        concurrency_limit=3,
        base_job_template=json.dumps(TEMPLATE),
    )

    state = terraform.apply(full)[ADDRESS]

    pool = client.send(work_pools.read("pool"))
    assert (pool.description, pool.is_paused, pool.concurrency_limit) == ("All of it", True, 3)
    assert pool.base_job_template == TEMPLATE
    assert state["id"] == str(pool.id)
    assert state["default_queue_id"] == str(pool.default_queue_id)
    assert terraform.plan(full) == {}


def test_the_smallest_pool_is_made_and_a_second_plan_is_empty(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(a_pool())

    assert client.send(work_pools.read("pool")).type == "process"
    assert terraform.plan(a_pool()) == {}


def test_init_pins_the_provider_in_a_lock_file(terraform: Terraform) -> None:
    terraform.init(a_pool())

    lock = terraform.folder.joinpath(".terraform.lock.hcl").read_text()
    assert "registry.terraform.io/forebay/forebay" in lock
    assert "h1:" in lock


@ON_BOTH_SERVERS
def test_each_change_is_made_in_place_and_can_be_cleared_again(
    terraform: Terraform, client: Client
) -> None:
    values = {
        "description": "new",
        "paused": True,
        "concurrency_limit": 0,
        "base_job_template": json.dumps(TEMPLATE),
    }
    bare = a_pool_each({name: {} for name in values})
    changed = a_pool_each({name: {name: value} for name, value in values.items()})

    before = terraform.apply(bare)
    planned = terraform.plan(changed)
    after = terraform.apply(changed)
    second_plan = terraform.plan(changed)
    terraform.apply(bare)

    assert planned == {f"{TYPE}.{name}": ["update"] for name in values}
    assert [pool["id"] for pool in after.values()] == [pool["id"] for pool in before.values()]
    assert second_plan == {}
    for pool in client.send(work_pools.filter()):
        assert (pool.description, pool.is_paused, pool.concurrency_limit) == (None, False, None)
        assert pool.base_job_template == default_template("process")
    assert terraform.plan(bare) == {}


def test_a_new_name_or_type_replaces_the_pool(terraform: Terraform, client: Client) -> None:
    changed = a_pool_each({"name": {"name": "other"}, "type": {"type": "docker"}})

    before = terraform.apply(a_pool_each({"name": {}, "type": {}}))
    planned = terraform.plan(changed)
    after = terraform.apply(changed)

    assert planned == {address: ["delete", "create"] for address in before}
    ids = {pool["id"] for pool in after.values()}
    assert not ids & {pool["id"] for pool in before.values()}
    assert {str(pool.id) for pool in client.send(work_pools.filter())} == ids


def test_a_template_written_otherwise_is_no_change(terraform: Terraform) -> None:
    terraform.apply(a_pool(base_job_template=json.dumps(TEMPLATE)))
    reordered = json.dumps(dict(reversed(list(TEMPLATE.items()))), indent=4)

    assert terraform.plan(a_pool(base_job_template=reordered)) == {}


@ON_BOTH_SERVERS
@pytest.mark.parametrize("by", ["name", "id"])
def test_import_is_followed_by_an_empty_plan(
    terraform: Terraform, client: Client, by: str
) -> None:
    body = WorkPoolCreate(
        name="a pool ü", type="process", concurrency_limit=2, base_job_template=TEMPLATE
    )
    pool = client.send(work_pools.create(body))
    configuration = a_pool("a pool ü", concurrency_limit=2, base_job_template=json.dumps(TEMPLATE))
    terraform.write(configuration)

    terraform.run("import", "-no-color", ADDRESS, pool.name if by == "name" else str(pool.id))

    assert terraform.resources()[ADDRESS]["id"] == str(pool.id)
    assert terraform.plan(configuration) == {}


def test_import_of_a_pool_of_every_type_is_followed_by_an_empty_plan(
    terraform: Terraform, client: Client
) -> None:
    configuration = ""
    for type in pool_types():
        name, label = f"a {type}", type.replace(":", "_")
        body = WorkPoolCreate(name=name, type=type, base_job_template=default_template(type))
        client.send(work_pools.create(body))
        address = f"forebay_work_pool.{label}"
        configuration += block("forebay_work_pool", label, name=name, type=type)
        configuration += f'import {{\n  to = {address}\n  id = "{name}"\n}}\n'

    state = terraform.apply(configuration)

    assert len(state) == len(pool_types()) == 14
    assert terraform.plan(configuration) == {}


def test_importing_what_is_not_there_says_so(terraform: Terraform) -> None:
    terraform.write(a_pool())

    done = terraform.run("import", "-no-color", ADDRESS, "absent", is_ok=False)

    assert done.returncode == 1
    assert "Cannot import non-existent remote object" in done.stderr


@ON_BOTH_SERVERS
def test_drift_is_shown_and_taken_back(terraform: Terraform, client: Client) -> None:
    configuration = a_pool(description="mine", concurrency_limit=1)
    terraform.apply(configuration)
    drift = WorkPoolUpdate(description="theirs", concurrency_limit=9, is_paused=True)
    client.send(work_pools.update("pool", drift))

    planned = terraform.plan(configuration)
    terraform.apply(configuration)

    assert planned == {ADDRESS: ["update"]}
    pool = client.send(work_pools.read("pool"))
    assert (pool.description, pool.concurrency_limit, pool.is_paused) == ("mine", 1, False)


def test_a_pool_deleted_outside_is_planned_again_at_once(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(a_pool())
    client.send(work_pools.delete("pool"))

    began = time.monotonic()
    planned = terraform.plan(a_pool())

    assert planned == {ADDRESS: ["create"]}
    assert time.monotonic() - began < 20  # a client that retried the 404 would take minutes


@ON_BOTH_SERVERS
def test_destroy_leaves_nothing_and_can_be_repeated(terraform: Terraform, client: Client) -> None:
    terraform.apply(a_pool())

    terraform.run("destroy", "-auto-approve", "-no-color")
    terraform.run("destroy", "-auto-approve", "-no-color")

    assert client.send(work_pools.filter()) == []
    assert terraform.resources() == {}


def test_the_data_source_reads_a_pool_by_name_and_by_id(
    terraform: Terraform, client: Client
) -> None:
    pool = client.send(work_pools.create(WorkPoolCreate(name="theirs", type="docker")))
    configuration = f"""
data "forebay_work_pool" "by_name" {{ name = "theirs" }}
data "forebay_work_pool" "by_id" {{ id = "{pool.id}" }}
"""

    found = terraform.apply(configuration)

    for address in ("data.forebay_work_pool.by_name", "data.forebay_work_pool.by_id"):
        assert found[address]["id"] == str(pool.id)
        assert found[address]["type"] == "docker"
        assert found[address]["default_queue_id"] == str(pool.default_queue_id)


def test_a_data_source_without_its_pool_names_what_is_missing(terraform: Terraform) -> None:
    text = terraform.refuse("plan", 'data "forebay_work_pool" "it" { name = "absent" }')

    assert "absent" in text


def test_an_undeclared_placeholder_is_refused_before_anything_is_made(
    terraform: Terraform, client: Client
) -> None:
    template = {**TEMPLATE, "job_configuration": {"command": "{{ comand }}"}}

    text = terraform.refuse("validate", a_pool(base_job_template=json.dumps(template)))

    assert "comand" in text
    assert "base_job_template" in text
    assert client.send(work_pools.filter()) == []


def test_a_wrong_attribute_is_refused_by_name(terraform: Terraform) -> None:
    wrong: dict[str, dict[str, object]] = {
        "negative": {"concurrency_limit": -1},
        "broken": {"base_job_template": "{not json"},
    }

    told = terraform.complaints(a_pool_each(wrong))
    unknown = terraform.refuse("validate", a_pool(colour="red"))

    assert "concurrency_limit" in told[f"{TYPE}.negative"]
    assert "base_job_template" in told[f"{TYPE}.broken"] and "JSON" in told[f"{TYPE}.broken"]
    assert "colour" in unknown


def test_a_taken_name_is_refused_with_the_import_command(
    terraform: Terraform, client: Client
) -> None:
    client.send(work_pools.create(WorkPoolCreate(name="pool", type="process")))

    text = terraform.refuse("apply", a_pool())

    assert "terraform import forebay_work_pool." in text
    assert "pool" in text
    assert terraform.resources() == {}


def test_a_reserved_name_is_refused_by_the_server_or_before(terraform: Terraform) -> None:
    text = terraform.refuse("apply", a_pool("prefect-own"))

    assert "prefect" in text
    assert terraform.resources() == {}


def test_an_unreachable_server_is_named_with_the_next_step(terraform: Terraform) -> None:
    terraform.environment["FOREBAY_API_URL"] = "http://127.0.0.1:1/api"

    text = terraform.refuse("apply", a_pool())

    assert "127.0.0.1:1" in text
    assert "FOREBAY_API_URL" in text


def test_a_wrong_token_is_named_with_the_next_step(terraform: Terraform) -> None:
    terraform.environment["FOREBAY_API_KEY"] = "wrong"

    text = terraform.refuse("apply", a_pool())

    assert "FOREBAY_API_KEY" in text
    assert "wrong" not in text.replace("wrong credentials", "")


def test_deleting_a_pool_takes_its_queues_along(terraform: Terraform, client: Client) -> None:
    terraform.apply(a_pool())

    terraform.apply("")

    with pytest.raises(NotFound):
        client.send(work_queues.read("pool", "default"))


def test_the_template_of_the_type_is_known_at_plan_and_sent(
    terraform: Terraform, client: Client
) -> None:
    planned = planned_template(terraform, a_pool())
    state = terraform.apply(a_pool())[ADDRESS]

    pool = client.send(work_pools.read("pool"))
    assert planned == pool.base_job_template == default_template("process")
    assert json.loads(str(state["effective_base_job_template"])) == planned


def test_defaults_over_the_template_of_the_type_are_planned_changed_and_taken_away(
    terraform: Terraform, client: Client
) -> None:
    first = a_pool(job_template_defaults={"stream_output": False, "env": {"A": "ü"}})
    second = a_pool(job_template_defaults={"working_dir": "/srv", "stream_output": None})

    planned = planned_template(terraform, first)
    terraform.apply(first)
    made = client.send(work_pools.read("pool")).base_job_template
    empty = terraform.plan(first)
    terraform.apply(second)
    changed = client.send(work_pools.read("pool")).base_job_template
    terraform.apply(a_pool())

    assert planned == made
    assert made["variables"]["properties"]["stream_output"]["default"] is False
    assert made["variables"]["properties"]["env"]["default"] == {"A": "ü"}
    assert empty == {}
    assert changed["variables"]["properties"]["working_dir"]["default"] == "/srv"
    assert "default" not in changed["variables"]["properties"]["stream_output"]
    assert client.send(work_pools.read("pool")).base_job_template == default_template("process")
    assert terraform.plan(a_pool()) == {}


@ON_BOTH_SERVERS
def test_drift_of_the_template_is_shown_whatever_it_was_made_of(
    terraform: Terraform, client: Client
) -> None:
    made_of: dict[str, dict[str, object]] = {
        "neither": {},
        "defaults": {"job_template_defaults": {"stream_output": False}},
        "template": {"base_job_template": json.dumps(TEMPLATE)},
    }
    configuration = a_pool_each(made_of)

    def templates() -> dict[str, Any]:
        found = client.send(work_pools.filter())
        return {f"{TYPE}.{pool.name}": pool.base_job_template for pool in found}

    terraform.apply(configuration)
    before = templates()
    for name in made_of:
        client.send(work_pools.update(name, WorkPoolUpdate(base_job_template={})))
    changes = terraform.changes(configuration)
    terraform.apply(configuration)

    planned = {a: c["after"]["effective_base_job_template"] for a, c in changes.items()}
    assert {a: json.loads(text) for a, text in planned.items()} == before
    assert templates() == before
    assert terraform.plan(configuration) == {}


def test_import_of_a_pool_with_other_defaults_is_followed_by_an_empty_plan(
    terraform: Terraform, client: Client
) -> None:
    template = default_template("docker")
    template["variables"]["properties"]["image"]["default"] = "python:3.12"
    body = WorkPoolCreate(name="pool", type="docker", base_job_template=template)
    client.send(work_pools.create(body))
    configuration = a_pool(type="docker", job_template_defaults={"image": "python:3.12"})
    terraform.write(configuration)

    terraform.run("import", "-no-color", ADDRESS, "pool")

    assert terraform.plan(configuration) == {}
    template = json.dumps(template)
    assert terraform.plan(a_pool(type="docker", base_job_template=template)) == {}


def test_defaults_that_cannot_be_are_refused_by_validation(terraform: Terraform) -> None:
    defaults: dict[str, object] = {"stream_output": False}
    both = {"job_template_defaults": defaults, "base_job_template": json.dumps(TEMPLATE)}

    told = terraform.complaints(
        a_pool_each(
            {
                "variable": {"job_template_defaults": {"imagge": "x"}},
                "kind": {"job_template_defaults": ["x"]},
                "type": {"type": "mine", "job_template_defaults": {"a": 1}},
                "both": both,
            }
        )
    )

    assert all("job_template_defaults" in text for text in told.values())
    assert "imagge" in told[f"{TYPE}.variable"] and "working_dir" in told[f"{TYPE}.variable"]
    assert "must be an object" in told[f"{TYPE}.kind"]
    assert "mine" in told[f"{TYPE}.type"] and "base_job_template" in told[f"{TYPE}.type"]
    assert "Two templates" in told[f"{TYPE}.both"]


def test_a_type_that_nobody_knows_keeps_the_template_that_its_worker_brings(
    terraform: Terraform, client: Client
) -> None:
    terraform.write(a_pool(type="my-own"))
    warned = terraform.run("plan", "-no-color").stdout
    terraform.apply(a_pool(type="my-own"))
    client.send(work_pools.update("pool", WorkPoolUpdate(base_job_template=TEMPLATE)))

    planned = terraform.plan(a_pool(type="my-own"))
    terraform.apply(a_pool(type="my-own", description="new"))

    assert "An unknown worker type" in warned
    assert planned == {}
    assert client.send(work_pools.read("pool")).base_job_template == TEMPLATE


def test_the_default_queue_is_managed_in_place_and_left_alone_when_it_is_not_named(
    terraform: Terraform, client: Client
) -> None:
    first = a_pool(default_queue={"description": "first", "priority": 7, "concurrency_limit": 2})
    second = a_pool(default_queue={"paused": True})
    made = terraform.apply(first)[ADDRESS]
    queue = client.send(work_queues.read("pool", "default"))
    empty = terraform.plan(first)
    client.send(work_queues.update("pool", "default", WorkQueueUpdate(description="theirs")))

    drifted = terraform.plan(first)
    changed = terraform.apply(second)[ADDRESS]
    settled = terraform.plan(second)
    after = client.send(work_queues.read("pool", "default"))

    assert (queue.description, queue.priority, queue.concurrency_limit) == ("first", 7, 2)
    assert made["default_queue"]["id"] == made["default_queue_id"] == str(queue.id)
    assert empty == settled == terraform.plan(a_pool()) == {}
    assert drifted == {ADDRESS: ["update"]}
    assert changed["default_queue"] == {
        "id": str(queue.id),
        "name": "default",
        "description": "",
        "paused": True,
        "concurrency_limit": None,
        "priority": 7,
    }
    assert (after.description, after.is_paused, after.concurrency_limit) == ("", True, None)


def test_where_results_are_kept_is_set_changed_and_cleared(
    terraform: Terraform, client: Client
) -> None:
    step = {"prefect.deployments.steps.pull": {"folder": "a b"}}
    first = a_pool(storage_configuration={"bundle_upload_step": json.dumps(step)})
    second = a_pool(storage_configuration={"bundle_execution_step": json.dumps(step)})

    terraform.apply(first)
    made = client.send(work_pools.read("pool")).storage_configuration
    empty = terraform.plan(first)
    terraform.apply(second)
    changed = client.send(work_pools.read("pool")).storage_configuration
    terraform.apply(a_pool())

    assert (made.bundle_upload_step, made.bundle_execution_step) == (step, None)
    assert empty == {}
    assert (changed.bundle_upload_step, changed.bundle_execution_step) == (None, step)
    cleared = client.send(work_pools.read("pool")).storage_configuration
    assert (cleared.bundle_upload_step, cleared.bundle_execution_step) == (None, None)
    assert terraform.plan(a_pool()) == {}


def test_a_pool_that_deployments_use_is_deleted_only_by_force(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(a_pool())
    flow = client.send(flows.create(FlowCreate(name="flow")))
    body = DeploymentCreate(name="nightly load", flow_id=flow.id, work_pool_name="pool")
    client.send(deployments.create(body))

    warned = terraform.run("plan", "-destroy", "-no-color").stdout
    refused = terraform.refuse("apply", "")
    terraform.apply(a_pool(force_destroy=True))
    terraform.apply("")

    assert "nightly load" in warned
    assert "nightly load" in refused
    assert "force_destroy" in refused
    assert client.send(work_pools.filter()) == []
