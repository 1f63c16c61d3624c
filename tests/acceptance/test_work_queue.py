"""`forebay_work_queue` with real Terraform: its whole life, priorities, and its pool."""

from collections.abc import Mapping

import pytest

from forebay.calls import work_pools, work_queues
from forebay.client import Client
from forebay.wire.work_pools import WorkPoolCreate
from forebay.wire.work_queues import WorkQueueCreate, WorkQueueUpdate
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer
from tests.proxy import Treatment, proxied

pytestmark = pytest.mark.terraform

TYPE = "forebay_work_queue"
ADDRESS = f"{TYPE}.it"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


@pytest.fixture(autouse=True)
def pools(client: Client) -> None:
    """Two pools that Terraform does not manage."""
    for name in ("pool", "other pool"):
        client.send(work_pools.create(WorkPoolCreate(name=name, type="process")))


def a_queue(name: str = "queue", pool: str = "pool", **attributes: object) -> str:
    return block(TYPE, work_pool_name=pool, name=name, **attributes)


def a_queue_each(attributes: Mapping[str, Mapping[str, object]]) -> str:
    """A queue for each of these, named as they are."""
    return "".join(
        block(TYPE, label, **{"work_pool_name": "pool", "name": label, **given})
        for label, given in attributes.items()
    )


@ON_BOTH_SERVERS
def test_apply_makes_the_queue_and_a_second_plan_is_empty(
    terraform: Terraform, client: Client
) -> None:
    full = a_queue(description="All", paused=True, concurrency_limit=2, priority=7)

    state = terraform.apply(full)[ADDRESS]

    queue = client.send(work_queues.read("pool", "queue"))
    assert (queue.description, queue.is_paused) == ("All", True)
    assert (queue.concurrency_limit, queue.priority) == (2, 7)
    assert state["id"] == str(queue.id)
    assert terraform.plan(full) == {}


def test_a_pool_and_its_queue_are_made_in_one_apply(terraform: Terraform) -> None:
    configuration = """
resource "forebay_work_pool" "new" {
  name = "new"
  type = "process"
}
resource "forebay_work_queue" "it" {
  work_pool_name = forebay_work_pool.new.name
  name           = "first"
  priority       = 1
}
"""

    terraform.apply(configuration)

    assert terraform.plan(configuration) == {}


@ON_BOTH_SERVERS
def test_each_change_is_made_in_place_and_can_be_cleared_again(
    terraform: Terraform, client: Client
) -> None:
    values = {
        "description": "new",
        "paused": True,
        "concurrency_limit": 5,
        "priority": 9,
        "name": "renamed",
    }
    bare = a_queue_each({name: {} for name in values})
    changed = a_queue_each({name: {name: value} for name, value in values.items()})

    before = terraform.apply(bare)
    planned = terraform.plan(changed)
    after = terraform.apply(changed)
    second_plan = terraform.plan(changed)
    terraform.apply(bare)

    assert planned == {f"{TYPE}.{name}": ["update"] for name in values}
    assert [queue["id"] for queue in after.values()] == [q["id"] for q in before.values()]
    assert second_plan == {}
    found = [q for q in client.send(work_queues.filter("pool")) if q.name != "default"]
    assert sorted(queue.name for queue in found) == sorted(values)
    for queue in found:
        assert (queue.description, queue.is_paused, queue.concurrency_limit) == ("", False, None)
    assert terraform.plan(bare) == {}


@ON_BOTH_SERVERS
def test_a_rename_whose_answer_gets_lost_is_carried_out_once_and_told_as_done(
    terraform: Terraform, client: Client
) -> None:
    before = terraform.apply(a_queue(priority=5))[ADDRESS]
    renamed = a_queue("renamed", priority=3, description="new")
    treated: list[str] = []

    def drop_the_first_of_each(number: int, line: str) -> Treatment:
        is_first = line.startswith("PATCH") and line not in treated
        treated.append(line)
        return "drop" if is_first else "pass"

    terraform.environment["FOREBAY_CSRF"] = "on"  # else Prefect refuses the first of all
    with proxied(client.settings.api_url, drop_the_first_of_each) as proxy:
        terraform.environment["FOREBAY_API_URL"] = proxy.url
        after = terraform.apply(renamed)[ADDRESS]
        second_plan = terraform.plan(renamed)

    queue = client.send(work_queues.read("pool", "renamed"))
    assert after["id"] == before["id"] == str(queue.id)
    assert (queue.priority, queue.description) == (3, "new")
    assert [line.split()[0] for line in treated].count("PATCH") == 4
    assert second_plan == {}


def test_another_pool_replaces_the_queue(terraform: Terraform, client: Client) -> None:
    terraform.apply(a_queue())
    moved = a_queue(pool="other pool")

    planned = terraform.plan(moved)
    terraform.apply(moved)

    assert planned == {ADDRESS: ["delete", "create"]}
    names = [queue.name for queue in client.send(work_queues.filter("pool"))]
    assert names == ["default"]


def test_a_priority_left_to_the_server_is_never_a_difference(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(a_queue())
    client.send(work_queues.create("pool", WorkQueueCreate(name="first", priority=1)))

    assert terraform.plan(a_queue()) == {}


def test_a_name_with_spaces_and_letters_of_all_kinds_survives(terraform: Terraform) -> None:
    configuration = a_queue("eine Schlange, 队列?#", pool="other pool")

    terraform.apply(configuration)

    assert terraform.plan(configuration) == {}


def test_import_is_followed_by_an_empty_plan(terraform: Terraform, client: Client) -> None:
    body = WorkQueueCreate(name="queue ü", concurrency_limit=4, priority=3)
    queue = client.send(work_queues.create("other pool", body))
    configuration = a_queue("queue ü", "other pool", concurrency_limit=4, priority=3)

    for identifier in ("other pool/queue ü", "other pool,queue ü", str(queue.id)):
        assert terraform.bring(ADDRESS, identifier, configuration) == {}
        assert terraform.resources()[ADDRESS]["id"] == str(queue.id)


def test_an_import_id_of_another_form_is_refused_with_the_right_one(terraform: Terraform) -> None:
    terraform.write(a_queue())

    done = terraform.run("import", "-no-color", ADDRESS, "queue", is_ok=False)

    assert done.returncode == 1
    assert "POOL/QUEUE" in done.stderr


@ON_BOTH_SERVERS
def test_drift_is_shown_and_taken_back(terraform: Terraform, client: Client) -> None:
    configuration = a_queue(priority=5)
    terraform.apply(configuration)
    client.send(work_queues.update("pool", "queue", WorkQueueUpdate(priority=8, is_paused=True)))

    planned = terraform.plan(configuration)
    terraform.apply(configuration)

    assert planned == {ADDRESS: ["update"]}
    queue = client.send(work_queues.read("pool", "queue"))
    assert (queue.priority, queue.is_paused) == (5, False)


def test_a_queue_or_its_pool_deleted_outside_is_planned_again(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(a_queue())

    client.send(work_queues.delete("pool", "queue"))
    without_queue = terraform.plan(a_queue())
    client.send(work_pools.delete("pool"))
    without_pool = terraform.plan(a_queue())

    assert without_queue == {ADDRESS: ["create"]}
    assert without_pool == {ADDRESS: ["create"]}


def test_a_missing_pool_is_named(terraform: Terraform) -> None:
    text = terraform.refuse("apply", a_queue(pool="absent"))

    assert "absent" in text
    assert terraform.resources() == {}


def test_a_taken_name_is_refused_with_the_import_command(
    terraform: Terraform, client: Client
) -> None:
    client.send(work_queues.create("pool", WorkQueueCreate(name="queue")))

    text = terraform.refuse("apply", a_queue())

    assert "terraform import forebay_work_queue." in text
    assert "pool/queue" in text
    assert terraform.resources() == {}


def test_priority_zero_is_refused_by_name(terraform: Terraform) -> None:
    text = terraform.refuse("validate", a_queue(priority=0))

    assert "priority" in text


def test_destroy_leaves_nothing(terraform: Terraform, client: Client) -> None:
    terraform.apply(a_queue())

    terraform.run("destroy", "-auto-approve", "-no-color")

    assert [q.name for q in client.send(work_queues.filter("pool"))] == ["default"]


def test_a_queue_that_exists_is_taken_over_when_that_is_wanted(
    terraform: Terraform, client: Client
) -> None:
    made = client.send(work_queues.create("pool", WorkQueueCreate(name="queue", priority=4)))
    configuration = a_queue(adopt_existing=True, concurrency_limit=2)

    taken = terraform.apply(configuration)[ADDRESS]

    assert taken["id"] == str(made.id)
    assert client.send(work_queues.read("pool", "queue")).concurrency_limit == 2
    assert terraform.plan(configuration) == {}


def test_a_default_queue_that_was_taken_over_is_reset_instead_of_deleted(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(a_queue("default", adopt_existing=True, paused=True, concurrency_limit=0))

    terraform.apply("")

    queue = client.send(work_queues.read("pool", "default"))
    assert (queue.is_paused, queue.concurrency_limit) == (False, None)


def test_a_plan_tells_which_queue_loses_its_priority_and_what_a_move_leaves_behind(
    terraform: Terraform, client: Client
) -> None:
    client.send(work_queues.create("pool", WorkQueueCreate(name="first", priority=3)))
    terraform.apply(a_queue())

    terraform.write(a_queue(priority=3))
    clash = terraform.run("plan", "-no-color").stdout
    terraform.write(a_queue(pool="other pool"))
    move = terraform.run("plan", "-no-color").stdout

    assert '"first" has priority 3' in clash
    assert "made anew in another pool" in move
