"""`forebay_block_data` in real Terraform: its secret is used and kept nowhere."""

import pytest

from tests.acceptance.conftest import Terraform
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

SECRET = "the-secret-of-a-block"
BLOCK = f"""
resource "forebay_block" "b" {{
  name            = "token"
  type_slug       = "secret"
  data_wo         = jsonencode({{ value = "{SECRET}" }})
  data_wo_version = 1
}}
"""
COPY = """
ephemeral "forebay_block_data" "b" {
  %s
}
resource "forebay_block" "copy" {
  name            = "copy"
  type_slug       = "secret"
  data_wo         = ephemeral.forebay_block_data.b.data
  data_wo_version = 1
}
data "forebay_block" "copy" {
  type_slug  = "secret"
  name       = forebay_block.copy.name
}
"""


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    return emptied_server


@ON_BOTH_SERVERS
def test_secret_is_passed_on_and_not_kept(terraform: Terraform) -> None:
    terraform.apply(BLOCK)
    copy = COPY.replace(
        'data "forebay_block" "copy" {', 'data "forebay_block" "copy" {\n  count = 0'
    )

    terraform.apply(BLOCK + copy % 'type_slug = "secret"\n  name = "token"')
    state = terraform.folder.joinpath("terraform.tfstate").read_text()
    looked_up = terraform.apply(BLOCK + COPY % "id = forebay_block.b.id")

    assert SECRET not in state
    assert SECRET in str(looked_up["data.forebay_block.copy"]["data"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ('name = "token"', "Set id, or type_slug and name"),
        ('id = "00000000-0000-4000-8000-000000000001"\n  name = "a"', "not both"),
    ],
)
def test_block_is_named_in_one_way(terraform: Terraform, arguments: str, words: str) -> None:
    assert words in terraform.refuse("validate", COPY % arguments)
