"""`forebay_worker_token` in real Terraform: it works while a command runs, and no longer."""

import json

import httpx2 as httpx
import pytest

from forebay.calls import blocks, tokens
from forebay.client import Client
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import FOREBAY, ON_BOTH_SERVERS, PREFECT, only_on_forebay
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

POOL = block("forebay_work_pool", "p", name="tokens", type="process")
TOKEN = """
ephemeral "forebay_worker_token" "t" {
  work_pool_id = forebay_work_pool.p.id
  worker_name  = "terraform-made"
  ttl          = "30m"
}
resource "forebay_block" "kept" {
  name            = "kept-token"
  type_slug       = "secret"
  data_wo         = jsonencode({ value = ephemeral.forebay_worker_token.t.token })
  data_wo_version = 1
}
"""


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    return emptied_server


@only_on_forebay("tokens")
def test_token_is_used_kept_in_no_state_and_revoked_at_the_end(
    terraform: Terraform, client: Client, server: RunningServer
) -> None:
    terraform.write(POOL + TOKEN)

    terraform.run("plan", "-out=plan.bin", "-input=false", "-no-color")
    planned = terraform.run("show", "-json", "plan.bin").stdout
    terraform.run("apply", "-input=false", "-no-color", "plan.bin")

    found = client.send(blocks.read_by_name("secret", "kept-token", include_secrets=True))
    secret = found.data["value"]
    assert secret.startswith("fb_")
    state = terraform.folder.joinpath("terraform.tfstate").read_text()
    assert secret not in state + planned
    assert "fb_" not in json.dumps(json.loads(planned)["planned_values"])
    names = [token.name for token in client.send(tokens.list_all())]
    assert not [name for name in names if name.startswith("terraform-made")]
    answer = httpx.get(
        f"{server.api_url}/work_pools/tokens", headers={"authorization": f"Bearer {secret}"}
    )
    assert answer.status_code == 401


@ON_BOTH_SERVERS
def test_missing_pool_or_a_server_without_tokens_is_named(
    terraform: Terraform, server_kind: str
) -> None:
    error = terraform.refuse(
        "apply", 'ephemeral "forebay_worker_token" "t" {\n  work_pool_name = "nowhere"\n}'
    )

    words = {FOREBAY: 'Work pool "nowhere" not found', PREFECT: "The server makes no tokens"}
    assert words[server_kind] in error


def test_life_of_seconds_is_refused(terraform: Terraform) -> None:
    error = terraform.refuse("validate", POOL + TOKEN.replace('"30m"', '"5s"'))

    assert 'must be from "1m" to "720h"' in error
