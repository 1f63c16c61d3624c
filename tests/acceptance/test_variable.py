"""`forebay_variable` with real Terraform: values of every type, and its whole life."""

import pytest

from forebay.calls import variables
from forebay.client import Client
from forebay.wire.variables import VariableCreate, VariableUpdate
from tests.acceptance.conftest import Expression, Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TYPE = "forebay_variable"
ADDRESS = f"{TYPE}.it"
NESTED = {"days": 30, "share": 0.1, "on": True, "none": None, "names": ["a", "ü"], "empty": {}}


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


@ON_BOTH_SERVERS
def test_a_variable_lives_from_create_to_destroy(
    terraform: Terraform, client: Client, name: str
) -> None:
    full = block(TYPE, name=name, value=NESTED, tags=["b", "a"])
    plain = block(TYPE, name="renamed")

    made = terraform.apply(full)[ADDRESS]
    stored = client.send(variables.read_by_name(name))
    empty = terraform.plan(full)
    planned = terraform.plan(plain)
    changed = terraform.apply(plain)[ADDRESS]

    assert (stored.value, sorted(stored.tags)) == (NESTED, ["a", "b"])
    assert empty == terraform.plan(plain) == {}
    assert planned == {ADDRESS: ["update"]}
    assert changed["id"] == made["id"]
    cleared = client.send(variables.read_by_name("renamed"))
    assert (cleared.value, cleared.tags) == (None, [])
    terraform.apply("")
    assert client.send(variables.filter()) == []


def test_a_value_may_have_every_type_and_each_is_read_back_as_it_was(
    terraform: Terraform, client: Client
) -> None:
    values = {
        "text": "text",
        "number": 12.5,
        "bool": False,
        "tuple": [1, "two", [True]],
        "list": Expression('tolist(["a", "b"])'),
        "map": Expression("tomap({ a = 1, b = 2 })"),
    }
    configuration = "".join(block(TYPE, n, name=n, value=v) for n, v in values.items())

    terraform.apply(configuration)

    assert terraform.plan(configuration) == {}
    stored = {v.name: v.value for v in client.send(variables.filter())}
    assert stored == {**values, "list": ["a", "b"], "map": {"a": 1, "b": 2}}


@ON_BOTH_SERVERS
def test_drift_and_deletion_outside_are_planned_back(terraform: Terraform, client: Client) -> None:
    configuration = block(TYPE, name="it", value="mine")
    made = terraform.apply(configuration)[ADDRESS]

    client.send(variables.update(made["id"], VariableUpdate(value={"their": 1})))
    drifted = terraform.plan(configuration)
    client.send(variables.delete(made["id"]))
    gone = terraform.plan(configuration)

    assert drifted == {ADDRESS: ["update"]}
    assert gone == {ADDRESS: ["create"]}


def test_import_by_name_and_by_id_is_followed_by_an_empty_plan(
    terraform: Terraform, client: Client, name: str
) -> None:
    made = client.send(variables.create(VariableCreate(name=name, value=NESTED, tags=["t"])))
    configuration = block(TYPE, name=name, value=NESTED, tags=["t"])

    assert terraform.bring(ADDRESS, name, configuration) == {}
    assert terraform.bring(ADDRESS, str(made.id), configuration) == {}


def test_a_taken_name_is_refused_with_the_import_command(
    terraform: Terraform, client: Client
) -> None:
    client.send(variables.create(VariableCreate(name="taken", value=1)))

    text = terraform.refuse("apply", block(TYPE, name="taken", value=2))

    assert f"terraform import {TYPE}.taken taken" in text
