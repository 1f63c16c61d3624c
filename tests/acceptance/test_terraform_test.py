"""`terraform test` holds in every example that has test files."""

import shutil
from pathlib import Path

import pytest

from forebay.calls import work_pools
from forebay.client import Client
from tests.acceptance.conftest import Terraform
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """Each example takes away what it made."""
    return emptied_server


@pytest.mark.parametrize("example", ["priorities", "quickstart", "scheduled"])
def test_example_passes_its_own_tests(terraform: Terraform, client: Client, example: str) -> None:
    terraform.folder.joinpath("main.tf").unlink()
    for file in [*EXAMPLES.joinpath(example).glob("*.tf"), *EXAMPLES.glob(f"{example}/*.hcl")]:
        shutil.copy(file, terraform.folder)

    done = terraform.run("test", "-no-color")

    assert "Success!" in done.stdout
    assert "0 failed" in done.stdout
    assert client.send(work_pools.filter()) == []


def test_no_example_with_tests_is_left_out() -> None:
    tested = {file.parent.name for file in EXAMPLES.rglob("*.tftest.hcl")}

    assert tested == {"priorities", "quickstart", "scheduled"}
