"""A filesystem mirror from which `terraform init` takes the provider. Knows no Terraform call."""

import json
import os
import platform
import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from forebay import __version__
from forebay.errors import ConfigurationError
from forebay_provider.handshake import ADDRESS

# What the source "forebay/forebay" means to Terraform and to OpenTofu.
ADDRESSES = (ADDRESS, "registry.opentofu.org/forebay/forebay")
_SYSTEMS = {"Linux": "linux", "Darwin": "darwin", "Windows": "windows", "FreeBSD": "freebsd"}
_MACHINES = {
    "x86_64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "armv7l": "arm",
    "i386": "386",
    "i686": "386",
}
MAX_SHEBANG = 120  # bytes of the first line of a script that every Unix reads

# Only what starts the program: with equal content the hash in the lock file stays the same over
# every upgrade of the installed packages.
_PROGRAM = """\
import sys

from forebay_provider.__main__ import main

sys.exit(main())
"""


@dataclass(frozen=True)
class Installation:
    """Where the provider was put."""

    mirror: Path
    executable: Path
    version: str
    platform: str
    is_changed: bool  # whether an executable with other content was there before


def platform_name(system: str, machine: str) -> str:
    """Terraform's name of a platform, for example `linux_amd64`. Raises `ConfigurationError`."""
    if system not in _SYSTEMS or machine.lower() not in _MACHINES:
        raise ConfigurationError(f"Terraform has no name for the platform {system} {machine}.")
    return f"{_SYSTEMS[system]}_{_MACHINES[machine.lower()]}"


def install(mirror: Path, interpreter: str = sys.executable) -> Installation:
    """Write the provider's executable into `mirror`; what is there already is replaced."""
    mirror = mirror.absolute()
    target = platform_name(platform.system(), platform.machine())
    content = _windows_launcher() if os.name == "nt" else script(interpreter).encode()
    suffix = ".exe" if os.name == "nt" else ""
    name = f"terraform-provider-forebay_v{__version__}{suffix}"
    executables = [mirror / address / __version__ / target / name for address in ADDRESSES]
    changed = [_put(content, executable) for executable in executables]
    return Installation(mirror, executables[0], __version__, target, any(changed))


def _put(content: bytes, executable: Path) -> bool:
    """Put the program there whole or not at all. Returns whether another one was there."""
    executable.parent.mkdir(parents=True, exist_ok=True)
    before = executable.read_bytes() if executable.exists() else content
    # Not beside it: everything in that folder belongs to the provider and to its hash.
    temporary = executable.parent.parent / f".{executable.name}.{os.getpid()}"
    temporary.write_bytes(content)
    temporary.chmod(0o755)
    os.replace(temporary, executable)
    return before != content


def script(interpreter: str) -> str:
    """A program that runs the provider with `interpreter`.

    Isolated from the user's PYTHON… variables and from the folder that Terraform runs in.
    """
    if " " not in interpreter and len(os.fsencode(interpreter)) < MAX_SHEBANG:
        return f"#!{interpreter} -I\n{_PROGRAM}"
    # A shell runs the second line and Python takes it for a string.
    return f"#!/bin/sh\n'''exec' {shlex.quote(interpreter)} -I \"$0\" \"$@\"\n' '''\n{_PROGRAM}"


def cli_configuration(mirror: Path) -> str:
    """What Terraform's CLI configuration file must say for the mirror to be used."""
    path = json.dumps(mirror.as_posix(), ensure_ascii=False)
    addresses = json.dumps(ADDRESSES)
    return f"""\
provider_installation {{
  filesystem_mirror {{
    path    = {path}
    include = {addresses}
  }}
  direct {{
    exclude = {addresses}
  }}
}}
"""


def _windows_launcher() -> bytes:
    """The launcher that pip made for the console script: it names its interpreter itself."""
    found = shutil.which("terraform-provider-forebay", path=str(Path(sys.executable).parent))
    if found is None:
        raise ConfigurationError(
            "terraform-provider-forebay.exe is not beside this Python; install forebay[provider]."
        )
    return Path(found).read_bytes()
