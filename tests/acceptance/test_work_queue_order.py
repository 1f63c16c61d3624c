"""`forebay_work_queue_order` with real Terraform: one owner for a pool's priorities."""

import pytest

from forebay.calls import work_pools, work_queues
from forebay.client import Client
from forebay.wire.work_pools import WorkPoolCreate
from forebay.wire.work_queues import WorkQueueCreate, WorkQueueUpdate
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TYPE = "forebay_work_queue_order"
ADDRESS = f"{TYPE}.it"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


@pytest.fixture(autouse=True)
def queues(client: Client) -> None:
    """A pool with four queues: its default one and these, in this order."""
    client.send(work_pools.create(WorkPoolCreate(name="a pool", type="process")))
    for name in ("a", "b", "ü c"):
        client.send(work_queues.create("a pool", WorkQueueCreate(name=name)))


def an_order(*names: str) -> str:
    return block(TYPE, work_pool_name="a pool", queues=list(names))


def order(client: Client) -> list[str]:
    return [queue.name for queue in client.send(work_queues.filter("a pool"))]


@ON_BOTH_SERVERS
def test_an_order_lives_from_create_to_destroy(terraform: Terraform, client: Client) -> None:
    terraform.apply(an_order("ü c", "a"))
    made, empty = order(client), terraform.plan(an_order("ü c", "a"))
    planned = terraform.plan(an_order("b", "default", "ü c", "a"))
    terraform.apply(an_order("b", "default", "ü c", "a"))
    changed = order(client)
    terraform.apply("")

    assert made == ["ü c", "a", "default", "b"]
    assert empty == {}
    assert planned == {ADDRESS: ["update"]}
    assert changed == order(client) == ["b", "default", "ü c", "a"]


def test_a_queue_that_pushes_in_is_drift_and_one_behind_is_not(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(an_order("a", "b"))
    client.send(work_queues.create("a pool", WorkQueueCreate(name="behind", priority=99)))

    behind = terraform.plan(an_order("a", "b"))
    client.send(work_queues.update("a pool", "behind", WorkQueueUpdate(priority=1)))
    before = terraform.plan(an_order("a", "b"))
    terraform.apply(an_order("a", "b"))

    assert behind == {}
    assert before == {ADDRESS: ["update"]}
    assert order(client)[:2] == ["a", "b"]


def test_an_import_takes_the_whole_order(terraform: Terraform) -> None:
    whole = an_order("default", "a", "b", "ü c")

    assert terraform.bring(ADDRESS, "a pool", whole) == {}


def test_what_is_wrong_with_an_order_is_named(terraform: Terraform, client: Client) -> None:
    twice = terraform.refuse("validate", an_order("a", "a"))
    absent = terraform.refuse("apply", an_order("a", "absent"))
    client.send(work_pools.delete("a pool"))
    no_pool = terraform.refuse("apply", an_order("a"))

    assert "named twice" in twice
    assert "no queue absent" in absent
    assert 'no work pool "a pool"' in no_pool
