"""`terraform validate` accepts every example as it is printed in the documentation."""

import re
import shutil
from pathlib import Path

import pytest

from tests.acceptance.conftest import HEADER, Terraform
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.rglob("*.tf"))


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    """Nothing is asked of it."""
    return shared_server


def test_every_example_is_valid(terraform: Terraform) -> None:
    invalid = {}
    for file in FILES:
        text = file.read_text("utf-8")
        header = "" if "required_providers" in text else HEADER
        terraform.folder.joinpath("main.tf").write_text(header + text, "utf-8")
        done = terraform.run("validate", "-no-color", is_ok=False)
        if done.returncode:
            invalid[file.relative_to(EXAMPLES).as_posix()] = done.stderr

    assert len(FILES) > 20
    assert invalid == {}


def test_every_example_is_formatted(terraform: Terraform) -> None:
    folder = terraform.folder / "examples"
    shutil.copytree(EXAMPLES, folder, ignore=shutil.ignore_patterns("__pycache__", "*.py"))

    done = terraform.run("fmt", "-check", "-recursive", str(folder), is_ok=False)

    assert re.findall(r"\S+\.tf", done.stdout) == []
