"""`worker start --install-policy`, with real installers in an environment without the libraries."""

import os
import pty
import subprocess
import sys
import venv
from importlib.metadata import distribution, entry_points
from pathlib import Path
from uuid import uuid4

import pytest

from forebay.calls import work_pools
from forebay.wire.work_pools import WorkPoolCreate
from forebay_worker.installing import ENTRY_POINTS, EXTRAS, extra_of
from tests.worker.conftest import Site, WorkerProcess
from tests.worker.wheelhouse import own_wheel, wheels

UV = Path(sys.executable).parent / "uv"
LIGHT = ["httpx2", "pydantic", "pyyaml", "rich", "typer"]


@pytest.fixture(scope="session")
def wheelhouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forebay's wheel, and those of what it and its docker extra need."""
    folder = tmp_path_factory.mktemp("wheels")
    own_wheel(folder)
    wheels([*LIGHT, "aiodocker", "pip"], folder)
    return folder


class Scratch:
    """An environment of its own with Forebay and without the libraries of any worker type."""

    def __init__(self, folder: Path, wheelhouse: Path, site: Site, *further: str) -> None:
        self.site = site
        self.python = folder / "bin" / "python"
        self.variables = {
            "PATH": "/usr/bin:/bin",
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheelhouse),
            "UV_OFFLINE": "1",
            "UV_FIND_LINKS": str(wheelhouse),
            "UV_CACHE_DIR": str(folder / "cache"),
            "UV_NO_CONFIG": "1",
        }
        venv.create(folder)
        environment = {**os.environ, **self.variables}
        install = ["pip", "install", "--quiet", "--python", self.python, "forebay", *further]
        subprocess.run([UV, *install], check=True, env=environment)
        self.pool = f"pool-{uuid4().hex[:12]}"
        site.client.send(work_pools.create(WorkPoolCreate(name=self.pool, type="docker")))

    def add_uv(self) -> None:
        """Have uv beside the environment's Python."""
        self.python.with_name("uv").symlink_to(UV)

    @property
    def command(self) -> list[str]:
        """The words that start a worker of the docker pool, which asks once."""
        forebay = self.python.with_name("forebay")
        return [str(forebay), "worker", "start", "--pool", self.pool, "--run-once"]

    @property
    def environment(self) -> dict[str, str]:
        """What the worker is told by its environment."""
        return {**self.site.server.environment, **self.variables}

    def start(self, policy: str) -> WorkerProcess:
        """The worker under this policy, which has ended."""
        worker = WorkerProcess(
            [*self.command, "--install-policy", policy], self.environment, stdin=subprocess.DEVNULL
        )
        worker.end()
        return worker

    def has(self, module: str) -> bool:
        """Whether the module can be imported there."""
        return not subprocess.run(
            [self.python, "-c", f"import {module}"], stderr=subprocess.DEVNULL, check=False
        ).returncode


def test_pip_installs_what_is_missing_when_it_is_allowed_and_only_then(
    site: Site, wheelhouse: Path, tmp_path: Path
) -> None:
    scratch = Scratch(tmp_path / "scratch", wheelhouse, site, "pip")

    never = scratch.start("never")
    unasked = scratch.start("prompt")

    for refused in (never, unasked):
        assert refused.process.returncode == 2
        assert "The worker type 'docker' needs aiodocker, not installed here" in refused.output
        assert f"{scratch.python} -m pip install 'forebay[docker]==" in refused.output
    assert not scratch.has("aiodocker")

    allowed = scratch.start("if-not-present")

    assert allowed.process.returncode == 0, allowed.output
    assert "installing forebay[docker]==" in allowed.output
    assert f"serves pool {scratch.pool} (docker)" in allowed.output
    assert scratch.has("aiodocker")

    present = scratch.start("if-not-present")

    assert present.process.returncode == 0, present.output
    assert "installing" not in present.output


def test_uv_installs_when_a_person_agrees_and_always_looks_again(
    site: Site, wheelhouse: Path, tmp_path: Path
) -> None:
    scratch = Scratch(tmp_path / "scratch", wheelhouse, site)
    scratch.add_uv()

    assert answered(scratch, b"n\n") == 2
    assert not scratch.has("aiodocker")
    assert answered(scratch, b"y\n") == 0
    assert scratch.has("aiodocker")

    again = scratch.start("always")

    assert again.process.returncode == 0, again.output
    assert "installing forebay[docker]==" in again.output


def answered(scratch: Scratch, answer: bytes) -> int:
    """The exit code of a worker that a person at a terminal starts and answers."""
    person, terminal = pty.openpty()
    try:
        worker = subprocess.Popen(
            scratch.command, env=scratch.environment, stdin=terminal, stdout=terminal, stderr=-3
        )
        os.write(person, answer)
        return worker.wait(60)
    finally:
        os.close(person)
        os.close(terminal)


def test_installer_that_is_missing_or_fails_is_told(
    site: Site, wheelhouse: Path, tmp_path: Path
) -> None:
    scratch = Scratch(tmp_path / "scratch", wheelhouse, site)

    without = scratch.start("always")
    scratch.add_uv()
    scratch.variables["UV_FIND_LINKS"] = str(tmp_path)
    failed = scratch.start("always")

    assert without.process.returncode == 2, without.output
    assert failed.process.returncode == 2, failed.output
    assert "neither uv nor pip" in without.output
    assert "forebay[docker]==" in failed.output and "could not be installed" in failed.output
    assert "aiodocker" in failed.output
    assert "Traceback" not in without.output + failed.output


def test_every_type_of_this_package_has_its_extra() -> None:
    types = {
        e.name for e in entry_points(group=ENTRY_POINTS) if e.dist and e.dist.name == "forebay"
    }
    extras = distribution("forebay").metadata.get_all("Provides-Extra") or []

    found = {name: extra_of(name) for name in types - {"process"}}

    assert None not in found.values()
    assert {*EXTRAS.values()} <= {*extras}
    assert extra_of("process") is None
