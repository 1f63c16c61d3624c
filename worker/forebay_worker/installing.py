"""Installs the libraries of a worker type: an extra of the package that announces it. Knows no pool."""

import importlib
import importlib.util
import logging
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import Distribution, PackageNotFoundError, distribution, entry_points

import typer

from forebay.cli.everywhere import may_ask
from forebay.cli.failures import MissingPackage

logger = logging.getLogger(__name__)

ENTRY_POINTS = "forebay.worker_types"
# Types that share a library share an extra; another type's extra has the name of the type.
EXTRAS = {
    "ecs": "aws",
    "cloud-run": "gcp",
    "cloud-run-v2": "gcp",
    "vertex-ai": "gcp",
    "azure-container-instance": "azure",
}


class InstallPolicy(StrEnum):
    """When the libraries of a worker type are installed."""

    ALWAYS = "always"
    IF_NOT_PRESENT = "if-not-present"
    NEVER = "never"
    PROMPT = "prompt"


@dataclass(frozen=True)
class Extra:
    """The extra of a distribution that a worker type needs."""

    distribution: str
    version: str
    name: str
    missing: tuple[str, ...]  # distributions that are not installed here

    @property
    def requirement(self) -> str:
        """What an installer is asked for. The version keeps it from replacing what runs."""
        return f"{self.distribution}[{self.name}]=={self.version}"

    @property
    def command(self) -> str:
        """What a person types to install it."""
        return f"{shlex.quote(sys.executable)} -m pip install {shlex.quote(self.requirement)}"


def extra_of(worker_type: str) -> Extra | None:
    """The extra that a type needs; none where it needs none or no package announces it."""
    for entry_point in entry_points(group=ENTRY_POINTS, name=worker_type):
        package = entry_point.dist
        name = EXTRAS.get(worker_type, worker_type)
        if package and name in (package.metadata.get_all("Provides-Extra") or []):
            return Extra(package.name, package.version, name, tuple(_missing(package, name)))
    return None


def ensure_installed(worker_type: str, policy: InstallPolicy) -> None:
    """Install what the type needs, as the policy says, into the environment that runs this.

    `PROMPT` asks on a terminal; where nobody can be asked it is `NEVER`. Raises `MissingPackage`
    for what is missing and may not or cannot be installed.
    """
    extra = extra_of(worker_type)
    if extra is None or (not extra.missing and policy is not InstallPolicy.ALWAYS):
        return
    may_install = policy in (InstallPolicy.ALWAYS, InstallPolicy.IF_NOT_PRESENT)
    lacks = (
        f"The worker type {worker_type!r} needs {', '.join(extra.missing)}, not installed here."
    )
    if policy is InstallPolicy.PROMPT and may_ask():
        may_install = typer.confirm(f"{lacks} Install {extra.requirement}?", err=True)
    if not may_install:
        raise MissingPackage(
            f"{lacks} Install it with: {extra.command}\n"
            "or start the worker with --install-policy if-not-present."
        )
    _install(extra)


def _install(extra: Extra) -> None:
    command = [*_installer(extra), extra.requirement]
    logger.info("installing %s", extra.requirement)
    ended = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if ended.returncode:
        raise MissingPackage(
            f"{extra.requirement} could not be installed; {shlex.join(command)} ended with code "
            f"{ended.returncode}:\n{ended.stdout.strip()}"
        )
    importlib.invalidate_caches()  # what was not there when this process looked is there now


def _installer(extra: Extra) -> list[str]:
    """The words of uv, else of pip, that install into the environment that runs this."""
    scripts = sysconfig.get_path("scripts")
    if uv := shutil.which("uv", path=scripts) or shutil.which("uv"):
        return [uv, "pip", "install", "--quiet", "--python", sys.executable]
    if importlib.util.find_spec("pip"):
        quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
        return [sys.executable, "-m", "pip", "install", *quiet]
    raise MissingPackage(
        f"{extra.requirement} cannot be installed from here: there is neither uv nor pip. "
        f"Install one of them, or the package by other means: {', '.join(extra.missing)}."
    )


def _missing(package: Distribution, extra: str) -> list[str]:
    """What the extra of a distribution requires and is not installed."""
    found = []
    for requirement in package.requires or []:
        name, _, marker = requirement.partition(";")
        if not re.search(rf"""extra\s*==\s*(['"]){re.escape(extra)}\1""", marker):
            continue
        required = re.match(r"[\w.-]+", name.strip())
        try:
            distribution(required[0] if required else name)
        except PackageNotFoundError:
            found.append(required[0] if required else name)
    return found
