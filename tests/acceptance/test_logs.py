"""What `TF_LOG_PROVIDER=TRACE` shows: every call and every request, and no secret."""

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Terraform
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

HEADER_CANARY, BLOCK_CANARY = "canary-of-a-header", "canary-of-a-block"

CONFIGURATION = f"""
provider "forebay" {{
  custom_headers = {{ X-Gate = "{HEADER_CANARY}" }}
}}
resource "forebay_work_pool" "p" {{
  name = "etl"
  type = "process"
}}
resource "forebay_block" "b" {{
  name            = "token"
  type_slug       = "secret"
  data_wo         = jsonencode({{ value = "{BLOCK_CANARY}" }})
  data_wo_version = 1
}}
"""


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    return emptied_server


def test_trace_tells_calls_and_requests_and_no_secret(
    terraform: Terraform, tmp_path: Path
) -> None:
    log = tmp_path / "provider.log"
    terraform.environment |= {"TF_LOG_PROVIDER": "TRACE", "TF_LOG_PATH": str(log)}
    given = terraform.environment
    token = given.get("FOREBAY_API_KEY") or given["PREFECT_API_AUTH_STRING"].partition(":")[2]

    terraform.write(CONFIGURATION)
    told = terraform.run("apply", "-auto-approve", "-input=false", "-no-color").stdout
    terraform.environment["FOREBAY_API_KEY"] = wrong = "canary-that-no-server-knows"
    told += terraform.run("plan", "-input=false", "-no-color", is_ok=False).stderr
    text = log.read_text()
    state = terraform.folder.joinpath("terraform.tfstate").read_text()

    assert "ApplyResourceChange" in text and "type=forebay_work_pool" in text
    assert "POST /work_pools/" in text and "result=201" in text
    assert "result=401" in text
    for secret in (token, wrong, HEADER_CANARY, BLOCK_CANARY):
        assert secret not in text
        assert secret not in told
    assert BLOCK_CANARY not in json.dumps(json.loads(state))
