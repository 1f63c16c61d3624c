"""Real Terraform against a real server; the provider comes from a mirror, as users install it."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from forebay.calls import blocks, concurrency_limits, flows, variables, work_pools
from forebay.client import Client
from forebay.settings import ClientSettings
from tests.acceptance.prefect_server import start_guarded_server
from tests.acceptance.servers import FOREBAY, PREFECT, servers_of
from tests.conftest import BIN, RunningServer, missing, require_tool, stop_process

PREFECT_COMMAND = Path(__file__).parents[2] / ".venv-prefect" / "bin" / "prefect"

HEADER = """
terraform {
  required_providers {
    forebay = { source = "forebay/forebay" }
  }
}
"""


class Expression(str):
    """Text of the configuration language that is no string in it, such as a reference."""

    __slots__ = ()


def block(kind: str, label: str = "it", **attributes: object) -> str:
    """A resource block; with `kind` beginning with `data.` a data source's."""
    what, _, type = f"resource.{kind}".removeprefix("resource.data.").rpartition(".")
    what = what or "data"
    lines = "".join(f"  {name} = {_literal(value)}\n" for name, value in attributes.items())
    return f'{what} "{type}" "{label}" {{\n{lines}}}\n'


def _literal(value: object) -> str:
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, dict):
        return (
            "{ " + ", ".join(f"{json.dumps(k)} = {_literal(v)}" for k, v in value.items()) + " }"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(_literal, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


@dataclass
class Terraform:
    """A working directory; each call writes the configuration and runs the real binary."""

    binary: str
    folder: Path
    environment: dict[str, str] = field(repr=False)

    def run(self, *arguments: str, is_ok: bool = True) -> subprocess.CompletedProcess[str]:
        """Run Terraform to its end; with `is_ok` a failure fails the test."""
        done = subprocess.run(
            [self.binary, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            check=False,
            text=True,
        )
        if is_ok:
            assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done

    def write(self, configuration: str) -> None:
        """Put `configuration` in place of what was there."""
        self.folder.joinpath("main.tf").write_text(HEADER + configuration, "utf-8")

    def init(self, configuration: str = "") -> None:
        """Make the directory ready."""
        self.write(configuration)
        self.run("init", "-input=false", "-no-color")

    def apply(self, configuration: str) -> dict[str, dict[str, Any]]:
        """Apply, and return the attributes of each resource by address."""
        self.write(configuration)
        self.run("apply", "-auto-approve", "-input=false", "-no-color")
        return self.resources()

    def plan(self, configuration: str) -> dict[str, list[str]]:
        """What a plan would do: actions by address, without what stays as it is."""
        self.write(configuration)
        told = self.run("plan", "-json", "-input=false").stdout.splitlines()
        planned = [m["change"] for m in map(json.loads, told) if m["type"] == "planned_change"]
        return {
            change["resource"]["addr"]: _actions(change["action"])
            for change in planned
            if change["action"] not in ("noop", "move", "import")
        }

    def changes(self, configuration: str) -> dict[str, dict[str, Any]]:
        """Terraform's own account of each change of a plan, by address."""
        self.write(configuration)
        self.run("plan", "-out=plan.bin", "-input=false", "-no-color")
        plan = json.loads(self.run("show", "-json", "plan.bin").stdout)
        changes = {c["address"]: c["change"] for c in plan.get("resource_changes", [])}
        return {
            where: change for where, change in changes.items() if change["actions"] != ["no-op"]
        }

    def bring(self, address: str, identifier: str, configuration: str) -> dict[str, list[str]]:
        """Import into an empty state; what a plan of `configuration` would then do."""
        self.folder.joinpath("terraform.tfstate").unlink(missing_ok=True)
        self.write(configuration)
        self.run("import", "-input=false", "-no-color", address, identifier)
        return self.plan(configuration)

    def refuse(self, command: str, configuration: str) -> str:
        """The error text of a command that must fail, on one line."""
        self.write(configuration)
        arguments = ["-input=false", "-no-color"] if command != "validate" else ["-no-color"]
        if command == "apply":
            arguments.append("-auto-approve")
        done = self.run(command, *arguments, is_ok=False)
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stdout + done.stderr
        return " ".join(done.stderr.replace("│", " ").split())

    def complaints(self, configuration: str) -> dict[str, str]:
        """What validation says against each object, by address; by "" what is against none."""
        self.write(configuration)
        done = self.run("validate", "-json", is_ok=False)
        assert done.returncode == 1, done.stdout
        found: dict[str, str] = {}
        for told in json.loads(done.stdout)["diagnostics"]:
            where = told.get("address", "")
            found[where] = f"{found.get(where, '')} {told['summary']} {told.get('detail', '')}"
        return found

    def resources(self) -> dict[str, dict[str, Any]]:
        """The attributes in state, by address; from the file, as Terraform starts slowly."""
        path = self.folder / "terraform.tfstate"
        state = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return {
            _address(resource, instance): {
                name: _plain(value) for name, value in instance["attributes"].items()
            }
            for resource in state.get("resources", [])
            for instance in resource["instances"]
        }


def _plain(value: Any) -> Any:
    """A value of the state file, which keeps those of dynamic attributes with their type."""
    if isinstance(value, dict) and value.keys() == {"type", "value"}:
        return value["value"]
    return value


def _actions(action: str) -> list[str]:
    """An action of Terraform's messages as its plans tell it."""
    return ["delete", "create"] if action == "replace" else [action]


def _address(resource: dict[str, Any], instance: dict[str, Any]) -> str:
    """How the configuration names an object of the state."""
    prefix = "data." if resource["mode"] == "data" else ""
    key = instance.get("index_key")
    index = "" if key is None else f"[{json.dumps(key)}]"
    return f"{prefix}{resource['type']}.{resource['name']}{index}"


@pytest.fixture(scope="session")
def terraform_binary() -> str:
    """Path of Terraform or OpenTofu."""
    return require_tool("terraform", "tofu")


@pytest.fixture(scope="session")
def provider_mirror(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The CLI configuration that `forebay provider install` wrote for a mirror of its own."""
    folder = tmp_path_factory.mktemp("mirror")
    config = folder / "terraform.rc"
    command = [BIN / "forebay", "provider", "install", "--dir", folder / "mirror"]
    subprocess.run([*command, "--write-config", config], check=True, capture_output=True)
    return config


@pytest.fixture(scope="session")
def initialised(
    terraform_binary: str, provider_mirror: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory after `terraform init`, to copy from."""
    folder = tmp_path_factory.mktemp("initialised")
    environment = {**os.environ, "TF_CLI_CONFIG_FILE": str(provider_mirror)}
    Terraform(terraform_binary, folder, environment).init()
    return folder


@pytest.fixture
def terraform(
    terraform_binary: str,
    provider_mirror: Path,
    initialised: Path,
    server: RunningServer,
    tmp_path: Path,
) -> Terraform:
    """Terraform in an initialised directory, talking to the test's server."""
    folder = tmp_path / "infrastructure"
    shutil.copytree(initialised, folder, symlinks=True)
    environment = {
        **server.environment,
        "TF_CLI_CONFIG_FILE": str(provider_mirror),
        "TF_IN_AUTOMATION": "1",
        "CHECKPOINT_DISABLE": "1",
    }
    return Terraform(terraform_binary, folder, environment)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test that says whose server it talks to its servers."""
    if "server_kind" in metafunc.fixturenames:
        kinds = servers_of(metafunc.definition, metafunc.config.getoption("both_servers"))
        if kinds != (FOREBAY,):
            metafunc.parametrize("server_kind", kinds)


@pytest.fixture
def server_kind() -> str:
    """Whose server a test talks to."""
    return FOREBAY


@pytest.fixture
def name(server_kind: str) -> str:
    """A name of a block or a variable: Prefect's take lower case, digits and dashes only."""
    return {FOREBAY: "für alle", PREFECT: "for-all"}[server_kind]


@pytest.fixture
def emptied_server(server_kind: str, request: pytest.FixtureRequest) -> Iterator[RunningServer]:
    """The server of the whole session: starting one costs more than most tests here."""
    name = {FOREBAY: "shared_server", PREFECT: "prefect_server"}[server_kind]
    running: RunningServer = request.getfixturevalue(name)
    yield running
    with Client(ClientSettings.load(running.environment)) as client:
        for objects in (work_pools, flows, variables, concurrency_limits, blocks):
            key = "name" if objects is work_pools else "id"
            while page := client.send(objects.filter()):
                for each in page:
                    client.send(objects.delete(getattr(each, key)))


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """The real Prefect's own server, one for all tests of the session that ask for it."""
    if not PREFECT_COMMAND.exists():
        missing("the real Prefect is not installed; run: make peers")
    running = start_guarded_server(PREFECT_COMMAND, tmp_path_factory.mktemp("prefect-server"))
    yield running
    stop_process(running.process)


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    """The API's client, to look and to meddle behind Terraform's back."""
    with Client(ClientSettings.load(server.environment)) as made:
        yield made
