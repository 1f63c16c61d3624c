"""`expected_server_id` keeps Terraform from the wrong server."""

import pytest

from forebay.calls import server as server_calls
from forebay.calls import work_pools
from forebay.client import Client
from forebay.errors import ForebayError
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import FOREBAY, only_on_forebay
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

OTHER = "00000000-0000-4000-8000-000000000001"
POOL = block("forebay_work_pool", "p", name="guarded", type="process")


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    return emptied_server


def provider(id: str) -> str:
    return f'provider "forebay" {{\n  expected_server_id = "{id}"\n}}\n'


@only_on_forebay("id")
def test_expected_server_is_changed(terraform: Terraform, client: Client) -> None:
    id = str(client.send(server_calls.identity()).id)

    made = terraform.apply(provider(id) + POOL + 'data "forebay_server" "s" {}\n')

    assert made["forebay_work_pool.p"]["name"] == "guarded"
    assert made["data.forebay_server.s"]["id"] == id


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_another_server_is_refused_with_both_ids(
    terraform: Terraform, client: Client, server_kind: str, command: str
) -> None:
    has_id = server_kind == FOREBAY
    found = str(client.send(server_calls.identity()).id) if has_id else "the server tells no id"

    error = terraform.refuse(command, provider(OTHER) + POOL)

    assert OTHER in error
    assert found in error
    with pytest.raises(ForebayError):
        client.send(work_pools.read("guarded"))
