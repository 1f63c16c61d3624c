"""`moved` blocks from the state of the provider prefecthq/prefect: nothing is made or changed."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from forebay import pool_types
from forebay.calls import work_pools, work_queues
from forebay.client import Client
from forebay.wire.work_pools import WorkPoolCreate
from forebay.wire.work_queues import WorkQueueCreate
from tests.acceptance.conftest import Terraform
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.terraform

HEADER = """
terraform {
  required_providers {
    forebay = { source = "forebay/forebay" }
    prefect = { source = "prefecthq/prefect" }
  }
}
"""

CONFIGURATION = """
resource "forebay_work_pool" "etl" {
  name = "etl é"
  type = "process"
}
resource "forebay_work_queue" "high" {
  work_pool_name = forebay_work_pool.etl.name
  name           = "high"
  paused         = true
}
moved {
  from = prefect_work_pool.etl
  to   = forebay_work_pool.etl
}
moved {
  from = prefect_work_queue.high
  to   = forebay_work_queue.high
}
"""


def stored(type: str, name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    """A resource of the other provider in a state file."""
    instance = {"schema_version": 0, "attributes": attributes}
    return {
        "mode": "managed",
        "type": type,
        "name": name,
        "provider": 'provider["registry.terraform.io/prefecthq/prefect"]',
        "instances": [instance],
    }


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    return emptied_server


@pytest.fixture
def both(terraform: Terraform, provider_mirror: Path) -> Terraform:
    """Terraform with this provider and a stand-in for the other one."""
    mirror = provider_mirror.parent / "mirror"
    (ours,) = mirror.glob("registry.terraform.io/forebay/forebay/*/*/*")
    theirs = mirror / "registry.terraform.io/prefecthq/prefect/1.0.0" / ours.parent.name
    theirs.mkdir(parents=True, exist_ok=True)
    program = theirs / "terraform-provider-prefect_v1.0.0"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.acceptance.prefect_provider import main\nmain()\n"
    )
    program.chmod(0o755)
    configuration = terraform.folder / "both.rc"
    configuration.write_text(
        f"provider_installation {{\n  filesystem_mirror {{ path = {json.dumps(str(mirror))} }}\n}}\n"
    )
    terraform.environment["TF_CLI_CONFIG_FILE"] = str(configuration)
    return terraform


@ON_BOTH_SERVERS
def test_state_of_the_other_provider_is_taken_over_with_an_empty_plan(
    both: Terraform, client: Client
) -> None:
    template = pool_types.default_template("process")
    pool = client.send(
        work_pools.create(WorkPoolCreate(name="etl é", type="process", base_job_template=template))
    )
    queue = client.send(
        work_queues.create(pool.name, WorkQueueCreate(name="high", is_paused=True))
    )
    state = {
        "version": 4,
        "terraform_version": "1.11.4",
        "serial": 1,
        "lineage": "7a6cc5dc-0000-4000-8000-000000000001",
        "outputs": {},
        "resources": [
            stored(
                "prefect_work_pool",
                "etl",
                {
                    "id": str(pool.id),
                    "name": pool.name,
                    "type": "process",
                    "paused": False,
                    "base_job_template": json.dumps(template),
                    "workspace_id": None,
                },
            ),
            stored(
                "prefect_work_queue",
                "high",
                {
                    "id": str(queue.id),
                    "work_pool_name": pool.name,
                    "name": "high",
                    "is_paused": True,
                    "description": "",
                },
            ),
        ],
    }
    both.folder.joinpath("terraform.tfstate").write_text(json.dumps(state))
    both.folder.joinpath("main.tf").write_text(HEADER + CONFIGURATION, "utf-8")
    both.run("init", "-no-color")

    told = both.run("apply", "-auto-approve", "-json", "-input=false").stdout.splitlines()
    resources = both.resources()
    again = both.run("plan", "-detailed-exitcode", "-no-color")

    messages = list(map(json.loads, told))
    moved = [m["change"]["action"] for m in messages if m["type"] == "planned_change"]
    (done,) = [m["changes"] for m in messages if m["type"] == "change_summary"][-1:]
    assert moved == ["move", "move"]
    assert (done["operation"], done["add"], done["change"], done["remove"]) == ("apply", 0, 0, 0)
    assert again.returncode == 0
    assert resources["forebay_work_pool.etl"]["id"] == str(pool.id)
    assert resources["forebay_work_queue.high"]["id"] == str(queue.id)
