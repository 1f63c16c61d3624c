"""`forebay_flow` with real Terraform: taking over, guarding, and its whole life."""

import pytest

from forebay.calls import deployments, flows
from forebay.client import Client
from forebay.wire.deployments import DeploymentCreate
from forebay.wire.flows import FlowCreate, FlowUpdate
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TYPE = "forebay_flow"
ADDRESS = f"{TYPE}.it"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


def test_a_flow_lives_from_create_to_destroy(terraform: Terraform, client: Client) -> None:
    tagged = block(TYPE, name="mein Flow ü", tags=["b", "a"])
    plain = block(TYPE, name="mein Flow ü")

    made = terraform.apply(tagged)[ADDRESS]
    empty = terraform.plan(tagged)
    planned = terraform.plan(plain)
    changed = terraform.apply(plain)[ADDRESS]
    renamed = terraform.plan(block(TYPE, name="other"))

    assert empty == terraform.plan(plain) == {}
    assert planned == {ADDRESS: ["update"]}
    assert changed["id"] == made["id"]
    assert client.send(flows.read_by_name("mein Flow ü")).tags == []
    assert renamed == {ADDRESS: ["delete", "create"]}
    terraform.apply("")
    assert client.send(flows.filter()) == []


def test_a_flow_that_exists_is_taken_over_unless_that_is_not_wanted(
    terraform: Terraform, client: Client
) -> None:
    existing = client.send(flows.create(FlowCreate(name="flow", tags=["theirs"])))

    refused = terraform.refuse("apply", block(TYPE, name="flow", adopt_existing=False))
    taken = terraform.apply(block(TYPE, name="flow", tags=["mine"]))[ADDRESS]

    assert f"terraform import {TYPE}.flow flow" in refused
    assert taken["id"] == str(existing.id)
    assert client.send(flows.read(existing.id)).tags == ["mine"]


def test_a_flow_with_deployments_is_deleted_only_by_force(
    terraform: Terraform, client: Client
) -> None:
    made = terraform.apply(block(TYPE, name="flow"))[ADDRESS]
    client.send(deployments.create(DeploymentCreate(name="nightly", flow_id=made["id"])))

    refused = terraform.refuse("apply", "")
    terraform.apply(block(TYPE, name="flow", force_destroy=True))
    terraform.apply("")

    assert "nightly" in refused
    assert "force_destroy" in refused
    assert client.send(flows.filter()) == []


@ON_BOTH_SERVERS
def test_drift_deletion_and_imports_are_seen(terraform: Terraform, client: Client) -> None:
    configuration = block(TYPE, name="a flow", tags=["t"])
    made = client.send(flows.create(FlowCreate(name="a flow", tags=["t"])))

    by_name = terraform.bring(ADDRESS, "a flow", configuration)
    by_id = terraform.bring(ADDRESS, str(made.id), configuration)
    client.send(flows.update(made.id, FlowUpdate(tags=["theirs"])))
    drifted = terraform.plan(configuration)
    client.send(flows.delete(made.id))
    gone = terraform.plan(configuration)

    assert by_name == by_id == {}
    assert drifted == {ADDRESS: ["update"]}
    assert gone == {ADDRESS: ["create"]}
