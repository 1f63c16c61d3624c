"""`forebay_block` with real Terraform: data, write-only data, and its whole life."""

import json

import pytest

from forebay.calls import blocks
from forebay.client import Client
from forebay.wire.blocks import BlockDocumentUpdate
from tests.acceptance.conftest import Expression, Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TYPE = "forebay_block"
ADDRESS = f"{TYPE}.it"
SECRET = "hidden-word"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


def a_secret(name: str, value: str, **attributes: object) -> str:
    data = json.dumps({"value": value})
    return block(TYPE, type_slug="secret", name=name, data=data, **attributes)


def stored(client: Client, name: str) -> object:
    found = client.send(blocks.read_by_name("secret", name, include_secrets=True))
    return found.data["value"]


def test_a_block_lives_from_create_to_destroy(
    terraform: Terraform, client: Client, name: str
) -> None:
    made = terraform.apply(a_secret(name, "one"))[ADDRESS]
    empty = terraform.plan(a_secret(name, "one"))
    planned = terraform.plan(a_secret(name, "two"))
    changed = terraform.apply(a_secret(name, "two"))[ADDRESS]
    after = stored(client, name)
    renamed = terraform.plan(a_secret("other", "two"))

    assert empty == terraform.plan(a_secret(name, "two")) == {}
    assert planned == {ADDRESS: ["update"]}
    assert (changed["id"], after) == (made["id"], "two")
    assert renamed == {ADDRESS: ["delete", "create"]}
    terraform.apply("")
    assert client.send(blocks.filter()) == []


@ON_BOTH_SERVERS
def test_write_only_data_is_sent_by_version_and_kept_nowhere(
    terraform: Terraform, client: Client, name: str
) -> None:
    def written(value: str, version: int) -> str:
        data = json.dumps({"value": value})
        common = {"type_slug": "secret", "name": name}
        return block(TYPE, **common, data_wo=data, data_wo_version=version)

    state = terraform.apply(written(SECRET, 1))[ADDRESS]
    made = stored(client, name)
    same_version = terraform.plan(written("other", 1))
    terraform.apply(written("other", 2))
    files = [
        f.read_bytes() for f in terraform.folder.iterdir() if f.suffix != ".tf" and f.is_file()
    ]

    assert (state["data"], state["data_wo"]) == (None, None)
    assert made == SECRET
    assert same_version == terraform.plan(written("other", 2)) == {}
    assert stored(client, name) == "other"
    assert not any(SECRET.encode() in content for content in files)


def test_data_that_becomes_write_only_is_sent_once_more(
    terraform: Terraform, client: Client, name: str
) -> None:
    terraform.apply(a_secret(name, "one"))
    data = json.dumps({"value": "two"})

    configuration = block(TYPE, type_slug="secret", name=name, data_wo=data)
    state = terraform.apply(configuration)[ADDRESS]

    assert state["data"] is None
    assert stored(client, name) == "two"
    assert terraform.plan(configuration) == {}


@ON_BOTH_SERVERS
def test_drift_deletion_and_imports_are_seen(
    terraform: Terraform, client: Client, name: str
) -> None:
    configuration = a_secret(name, "mine")
    made = terraform.apply(configuration)[ADDRESS]

    change = BlockDocumentUpdate(data={"value": "theirs"})
    client.send(blocks.update(made["id"], change))
    drifted = terraform.plan(configuration)
    terraform.apply(configuration)
    bare = block(TYPE, type_slug="secret", name=name)
    by_name = terraform.bring(ADDRESS, f"secret/{name}", bare)
    by_id = terraform.bring(ADDRESS, made["id"], bare)
    client.send(blocks.delete(made["id"]))
    gone = terraform.plan(bare)

    assert drifted == {ADDRESS: ["update"]}
    assert by_name == by_id == {}
    assert gone == {ADDRESS: ["create"]}


def test_drift_is_seen_in_a_block_that_refers_to_another(
    terraform: Terraform, client: Client
) -> None:
    def both(value: str = "mine") -> str:
        reference = '{ "$ref" = { "block_document_id" = forebay_block.inner.id } }'
        data = Expression(f'jsonencode({{ "value" = "{value}", "part" = {reference} }})')
        outer = block(TYPE, type_slug="secret", name="outer", data=data)
        inner = json.dumps({"value": "inside"})
        return outer + block(TYPE, "inner", type_slug="secret", name="inner", data=inner)

    made = terraform.apply(both())[ADDRESS]
    same = terraform.plan(both())
    client.send(blocks.update(made["id"], BlockDocumentUpdate(data={"value": "theirs"})))
    drifted = terraform.plan(both())
    terraform.apply(both())
    client.send(blocks.update(made["id"], BlockDocumentUpdate(data={"part": {"other": 1}})))
    without = terraform.plan(both())

    assert same == {}
    assert drifted == without == {ADDRESS: ["update"]}


def test_what_is_wrong_with_a_block_is_named(terraform: Terraform, client: Client) -> None:
    data = json.dumps({"value": SECRET})
    both = terraform.refuse("validate", a_secret("it", SECRET, data_wo=data))
    version = terraform.refuse("validate", a_secret("it", SECRET, data_wo_version=1))
    no_type = terraform.refuse("apply", block(TYPE, type_slug="absent", name="it", data=data))

    assert "data or data_wo" in both
    assert "data_wo_version needs data_wo" in version
    assert 'no block type "absent"' in no_type
    assert client.send(blocks.filter()) == []
