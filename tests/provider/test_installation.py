"""`forebay provider install`: a mirror that `terraform init` takes the provider from."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from forebay.errors import ConfigurationError
from forebay_provider import installation
from forebay_provider.data_sources import DATA_SOURCES
from forebay_provider.resources import RESOURCES
from tests.conftest import BIN, require_tool

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted(
    path.parent.relative_to(ROOT / "examples").as_posix()
    for kind in ("provider", "resources", "data-sources")
    for path in (ROOT / "examples" / kind).rglob("*.tf")
)
REQUIRED = """
terraform {
  required_providers {
    forebay = { source = "forebay/forebay" }
  }
}
"""


def install(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [BIN / "forebay", "provider", "install", *options],
        capture_output=True,
        text=True,
        check=False,
    )


class Terraform:
    """A working folder whose provider comes from a mirror of its own."""

    def __init__(self, binary: str, folder: Path) -> None:
        self.binary, self.folder = binary, folder
        configuration = folder / "terraformrc"
        done = install("--dir", str(folder / "mirror"), "--write-config", str(configuration))
        assert done.returncode == 0, done.stderr
        self.environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(configuration),
            "CHECKPOINT_DISABLE": "1",
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.binary, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@pytest.fixture
def terraform(tmp_path: Path) -> Terraform:
    return Terraform(require_tool("terraform", "tofu"), tmp_path)


def test_installation_prints_the_configuration_that_names_the_mirror(tmp_path: Path) -> None:
    done = install("--dir", str(tmp_path))

    assert done.returncode == 0
    assert f'path    = "{tmp_path}"' in done.stdout
    assert done.stdout.startswith("provider_installation {")


def test_default_mirror_is_in_the_home_folder() -> None:
    told = json.loads(install("-o", "json").stdout)

    assert told["mirror"] == str(Path(os.environ["FOREBAY_HOME"], "terraform"))
    assert os.access(told["executable"], os.X_OK)


def test_executable_is_where_terraform_looks_for_it(tmp_path: Path) -> None:
    told = json.loads(install("--dir", str(tmp_path), "-o", "json").stdout)

    executable = Path(told["executable"])
    version = told["version"]
    assert executable.relative_to(tmp_path).parts == (
        "registry.terraform.io",
        "forebay",
        "forebay",
        version,
        told["platform"],
        f"terraform-provider-forebay_v{version}",
    )
    assert stat.S_IMODE(executable.stat().st_mode) == 0o755
    assert [p.name for p in executable.parent.iterdir()] == [executable.name]


def test_mirror_holds_the_provider_under_the_name_of_opentofu_too(tmp_path: Path) -> None:
    done = installation.install(tmp_path)

    other = "registry.opentofu.org/forebay/forebay"
    twin = tmp_path / other / done.executable.relative_to(tmp_path / installation.ADDRESS)
    assert twin.read_bytes() == done.executable.read_bytes()
    assert installation.cli_configuration(tmp_path).count(other) == 2


def test_second_installation_changes_nothing(tmp_path: Path) -> None:
    first = installation.install(tmp_path)
    content = first.executable.read_bytes()

    second = installation.install(tmp_path)

    assert not second.is_changed
    assert second.executable.read_bytes() == content


def test_other_program_in_its_place_is_replaced_and_told(tmp_path: Path) -> None:
    installation.install(tmp_path).executable.write_text("something else")

    done = install("--dir", str(tmp_path))

    assert ".terraform.lock.hcl" in done.stderr
    assert not installation.install(tmp_path).is_changed


def test_folder_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")

    done = install("--dir", str(blocked))

    assert done.returncode == 1
    assert "was not installed" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("folder", ["plain", "with space", "long" * 40])
def test_program_runs_with_any_interpreter_path(tmp_path: Path, folder: str) -> None:
    place = tmp_path / folder
    place.mkdir()
    interpreter = place / "python"
    interpreter.symlink_to(Path(sys.executable))
    # The environment of a symlinked interpreter is found through this file beside it.
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", tmp_path / "pyvenv.cfg")
    (tmp_path / "lib").symlink_to(Path(sys.prefix) / "lib")
    program = tmp_path / "program"
    program.write_text(installation.script(str(interpreter)))
    program.chmod(0o755)

    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)

    assert done.stdout.startswith("terraform-provider-forebay "), done.stderr


@pytest.mark.parametrize(
    ("system", "machine", "expected"),
    [
        ("Linux", "x86_64", "linux_amd64"),
        ("Darwin", "arm64", "darwin_arm64"),
        ("Windows", "AMD64", "windows_amd64"),
        ("Linux", "aarch64", "linux_arm64"),
    ],
)
def test_platform_has_terraform_s_name(system: str, machine: str, expected: str) -> None:
    assert installation.platform_name(system, machine) == expected


def test_unknown_platform_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="Plan9"):
        installation.platform_name("Plan9", "x86_64")


@pytest.mark.terraform
def test_init_locks_the_provider_and_takes_it_again(terraform: Terraform) -> None:
    (terraform.folder / "main.tf").write_text(REQUIRED)
    first = terraform("init")
    lock = (terraform.folder / ".terraform.lock.hcl").read_text()
    shutil.rmtree(terraform.folder / ".terraform")
    install("--dir", str(terraform.folder / "mirror"))

    again = terraform("init", "-lockfile=readonly")

    assert first.returncode == 0, first.stderr
    assert "h1:" in lock
    assert again.returncode == 0, again.stderr


@pytest.mark.terraform
def test_schema_is_one_that_terraform_accepts(terraform: Terraform) -> None:
    (terraform.folder / "main.tf").write_text(REQUIRED)
    terraform("init")

    done = terraform("providers", "schema", "-json")

    schemas: dict[str, Any] = json.loads(done.stdout)["provider_schemas"]
    (provider,) = schemas.values()
    assert set(provider["resource_schemas"]) == {f"forebay_{r.name}" for r in RESOURCES}
    assert set(provider["data_source_schemas"]) == {f"forebay_{d.name}" for d in DATA_SOURCES}


@pytest.mark.terraform
def test_debugged_provider_is_used_without_installation(terraform: Terraform) -> None:
    (terraform.folder / "main.tf").write_text(
        REQUIRED + 'resource "forebay_work_pool" "etl" {\n  name = "a/b"\n  type = "process"\n}\n'
    )
    program = [BIN / "terraform-provider-forebay", "--debug"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        name, _, attached = process.stdout.readline().strip().partition("=")
        terraform.environment |= {name: attached.strip("'"), "TF_CLI_CONFIG_FILE": os.devnull}

        done = terraform("validate", "-no-color")

        assert process.poll() is None
        process.terminate()

    assert process.returncode == 0
    assert "without / % & < >" in done.stderr


@pytest.mark.terraform
@pytest.mark.parametrize("example", EXAMPLES)
def test_example_is_valid(terraform: Terraform, example: str) -> None:
    for file in (ROOT / "examples" / example).glob("*.tf"):
        shutil.copy(file, terraform.folder)
    if example != "provider":
        (terraform.folder / "required.tf").write_text(REQUIRED)
    terraform("init")

    done = terraform("validate", "-no-color")

    assert done.returncode == 0, done.stderr


@pytest.mark.terraform
def test_undeclared_placeholder_is_refused_with_its_place_in_the_file(
    terraform: Terraform,
) -> None:
    (terraform.folder / "main.tf").write_text(
        REQUIRED
        + """
resource "forebay_work_pool" "etl" {
  name              = "etl"
  type              = "process"
  base_job_template = jsonencode({
    job_configuration = { image = "{{ imgae }}" }
    variables         = { properties = { image = { type = "string" } } }
  })
}
"""
    )
    terraform("init")

    done = terraform("validate", "-json")

    (found,) = json.loads(done.stdout)["diagnostics"]
    assert "{{ imgae }}" in found["detail"]
    assert found["range"]["start"]["line"] == 11
    assert found["snippet"]["context"] == 'resource "forebay_work_pool" "etl"'


@pytest.mark.terraform
def test_plan_of_a_create_needs_no_server(terraform: Terraform) -> None:
    (terraform.folder / "main.tf").write_text(
        REQUIRED
        + """
provider "forebay" {
  endpoint = "http://127.0.0.1:9"
}
resource "forebay_work_pool" "etl" {
  name = "etl"
  type = "process"
}
"""
    )
    terraform("init")

    done = terraform("plan", "-no-color")

    assert done.returncode == 0, done.stderr
    assert "1 to add" in done.stdout
