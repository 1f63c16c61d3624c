"""The provider's functions in Terraform's own language."""

import json

import pytest

from tests.acceptance.conftest import Terraform
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TEMPLATE = """
locals {
  template = {
    job_configuration = { command = "{{ command }}", image = "{{ image }}" }
    variables = { properties = { command = { type = "string" }, image = { type = "string" } } }
  }
}
"""

OUTPUTS = """
output "valid" { value = provider::forebay::validate_job_template(jsonencode(local.template)) }
output "rendered" {
  value = jsondecode(provider::forebay::render_job_template(local.template, { command = "ls" }))
}
output "merged" {
  value = provider::forebay::job_template_variables(
    provider::forebay::merge_job_template(local.template, { image = "python" })
  ).image.default
}
output "pool" { value = provider::forebay::parse_id("work_queue", "etl/high").work_pool_name }
"""


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    """Nothing is asked of it."""
    return shared_server


def test_functions_compute_while_planning(terraform: Terraform) -> None:
    terraform.apply(TEMPLATE + OUTPUTS)

    outputs = json.loads(terraform.run("output", "-json").stdout)

    assert {name: output["value"] for name, output in outputs.items()} == {
        "valid": True,
        "rendered": {"command": "ls"},
        "merged": "python",
        "pool": "etl",
    }


def test_refused_argument_is_named(terraform: Terraform) -> None:
    wrong = TEMPLATE.replace("{{ image }}", "{{ imgae }}")

    error = terraform.refuse("validate", wrong + OUTPUTS)

    assert 'Invalid value for "template" parameter' in error
    assert "uses {{ imgae }}" in error
