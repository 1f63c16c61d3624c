"""`forebay_work_pool` with real Terraform: its whole life, and what goes wrong in it."""

import json
import time

import pytest

from forebay.calls import work_pools, work_queues
from forebay.client import Client
from forebay.errors import NotFound
from forebay.wire.work_pools import WorkPoolCreate, WorkPoolUpdate
from tests.acceptance.conftest import Terraform

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
ADDRESS = "forebay_work_pool.it"


def a_pool(name: str = "pool", **attributes: object) -> str:
    values = {"type": "process", **attributes}
    lines = "\n".join(f"  {key} = {json.dumps(value)}" for key, value in values.items())
    return f'resource "forebay_work_pool" "it" {{\n  name = {json.dumps(name)}\n{lines}\n}}\n'


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


@pytest.mark.parametrize(
    "attributes",
    [
        {"description": "new"},
        {"paused": True},
        {"concurrency_limit": 0},
        {"base_job_template": json.dumps(TEMPLATE)},
    ],
    ids=lambda attributes: next(iter(attributes)),
)
def test_a_change_is_made_in_place_and_can_be_cleared_again(
    terraform: Terraform, client: Client, attributes: dict[str, object]
) -> None:
    before = terraform.apply(a_pool())[ADDRESS]
    changed = a_pool(**attributes)

    planned = terraform.plan(changed)
    after = terraform.apply(changed)[ADDRESS]
    second_plan = terraform.plan(changed)
    terraform.apply(a_pool())

    assert planned == {ADDRESS: ["update"]}
    assert after["id"] == before["id"]
    assert second_plan == {}
    pool = client.send(work_pools.read("pool"))
    assert (pool.description, pool.is_paused, pool.concurrency_limit) == (None, False, None)
    assert terraform.plan(a_pool()) == {}


@pytest.mark.parametrize("changed", [a_pool("other"), a_pool(type="docker")], ids=["name", "type"])
def test_a_new_name_or_type_replaces_the_pool(
    terraform: Terraform, client: Client, changed: str
) -> None:
    before = terraform.apply(a_pool())[ADDRESS]

    planned = terraform.plan(changed)
    after = terraform.apply(changed)[ADDRESS]

    assert planned == {ADDRESS: ["delete", "create"]}
    assert after["id"] != before["id"]
    assert [str(p.id) for p in client.send(work_pools.filter())] == [after["id"]]


def test_a_template_written_otherwise_is_no_change(terraform: Terraform) -> None:
    terraform.apply(a_pool(base_job_template=json.dumps(TEMPLATE)))
    reordered = json.dumps(dict(reversed(list(TEMPLATE.items()))), indent=4)

    assert terraform.plan(a_pool(base_job_template=reordered)) == {}


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


def test_import_without_a_template_in_the_configuration_is_followed_by_an_empty_plan(
    terraform: Terraform, client: Client
) -> None:
    body = WorkPoolCreate(name="pool", type="process", base_job_template=TEMPLATE)
    client.send(work_pools.create(body))
    terraform.write(a_pool())

    terraform.run("import", "-no-color", ADDRESS, "pool")

    assert terraform.plan(a_pool()) == {}


def test_importing_what_is_not_there_says_so(terraform: Terraform) -> None:
    terraform.write(a_pool())

    done = terraform.run("import", "-no-color", ADDRESS, "absent", is_ok=False)

    assert done.returncode == 1
    assert "Cannot import non-existent remote object" in done.stderr


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


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"concurrency_limit": -1}, ["concurrency_limit"]),
        ({"base_job_template": "{not json"}, ["base_job_template", "JSON"]),
        ({"colour": "red"}, ["colour"]),
    ],
    ids=["negative limit", "broken JSON", "unknown attribute"],
)
def test_a_wrong_attribute_is_refused_by_name(
    terraform: Terraform, attributes: dict[str, object], words: list[str]
) -> None:
    text = terraform.refuse("validate", a_pool(**attributes))

    assert all(word in text for word in words)


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
