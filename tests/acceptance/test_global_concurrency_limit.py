"""`forebay_global_concurrency_limit` with real Terraform: its whole life."""

import pytest

from forebay.calls import concurrency_limits
from forebay.client import Client
from forebay.wire.concurrency_limits import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
)
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TYPE = "forebay_global_concurrency_limit"
ADDRESS = f"{TYPE}.it"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


@ON_BOTH_SERVERS
def test_a_limit_lives_from_create_to_destroy(terraform: Terraform, client: Client) -> None:
    full = block(TYPE, name="ein Limit ü", limit=3, active=False, slot_decay_per_second=0.1)
    plain = block(TYPE, name="renamed", limit=0)

    made = terraform.apply(full)[ADDRESS]
    empty = terraform.plan(full)
    planned = terraform.plan(plain)
    changed = terraform.apply(plain)[ADDRESS]

    assert empty == terraform.plan(plain) == {}
    assert (made["active"], made["slot_decay_per_second"]) == (False, 0.1)
    assert planned == {ADDRESS: ["update"]}
    assert changed["id"] == made["id"]
    limit = client.send(concurrency_limits.read("renamed"))
    assert (limit.limit, limit.active, limit.slot_decay_per_second) == (0, True, 0)
    terraform.apply("")
    assert client.send(concurrency_limits.filter()) == []


def test_slots_in_use_are_no_difference_and_survive_an_update(
    terraform: Terraform, client: Client
) -> None:
    terraform.apply(block(TYPE, name="busy", limit=3))
    client.send(concurrency_limits.take(["busy"], 2))

    planned = terraform.plan(block(TYPE, name="busy", limit=3))
    terraform.apply(block(TYPE, name="busy", limit=4))

    assert planned == {}
    assert client.send(concurrency_limits.read("busy")).active_slots == 2


def test_drift_and_deletion_outside_are_planned_back(terraform: Terraform, client: Client) -> None:
    configuration = block(TYPE, name="limit", limit=3)
    terraform.apply(configuration)

    client.send(concurrency_limits.update("limit", GlobalConcurrencyLimitUpdate(limit=9)))
    drifted = terraform.plan(configuration)
    client.send(concurrency_limits.delete("limit"))
    gone = terraform.plan(configuration)

    assert drifted == {ADDRESS: ["update"]}
    assert gone == {ADDRESS: ["create"]}


def test_import_by_name_and_by_id_is_followed_by_an_empty_plan(
    terraform: Terraform, client: Client
) -> None:
    body = GlobalConcurrencyLimitCreate(name="a limit", limit=2, slot_decay_per_second=0.5)
    made = client.send(concurrency_limits.create(body))
    configuration = block(TYPE, name="a limit", limit=2, slot_decay_per_second=0.5)

    assert terraform.bring(ADDRESS, "a limit", configuration) == {}
    assert terraform.bring(ADDRESS, str(made.id), configuration) == {}


def test_what_is_wrong_with_a_limit_is_named(terraform: Terraform, client: Client) -> None:
    client.send(concurrency_limits.create(GlobalConcurrencyLimitCreate(name="taken", limit=1)))

    negative = terraform.refuse("validate", block(TYPE, name="limit", limit=-1))
    taken = terraform.refuse("apply", block(TYPE, name="taken", limit=1))

    assert "limit must be at least 0" in negative
    assert f"terraform import {TYPE}.taken taken" in taken
