"""The file of profiles: read whole, changed, and replaced whole with mode 0600.

Knows which settings exist; what they mean is for `forebay.settings`.
"""

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from forebay import settings
from forebay.cli.failures import Refused
from forebay.cli.named import DEFAULT_POOL_VARIABLES
from forebay.errors import ConfigurationError, NotFound

KNOWN = (
    *settings.API_URL_VARIABLES,
    *settings.API_KEY_VARIABLES,
    *settings.BASIC_AUTH_VARIABLES,
    *settings.HEADERS_VARIABLES,
    *settings.CSRF_VARIABLES,
    *settings.CA_CERT_VARIABLES,
    *settings.CLIENT_CERT_VARIABLES,
    *settings.CLIENT_KEY_VARIABLES,
    *settings.INSECURE_VARIABLES,
    *DEFAULT_POOL_VARIABLES,
)
SECRET = frozenset(
    (
        *settings.API_KEY_VARIABLES,
        *settings.BASIC_AUTH_VARIABLES,
        *settings.HEADERS_VARIABLES,
        *settings.CLIENT_KEY_VARIABLES,
    )
)
SEE_PROFILES = "`forebay profile ls` lists the profiles."
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass
class Profiles:
    """The file's content: settings by profile, and which profile is active."""

    path: Path
    active: str | None = None
    profiles: dict[str, dict[str, Any]] = field(default_factory=dict)

    def named(self, name: str) -> dict[str, Any]:
        """The settings of one profile. Raises `NotFound`."""
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles)) or "none"
            raise NotFound(f"{self.path} has no profile {name!r}; it has: {known}.")
        return self.profiles[name]

    def in_use(self) -> str | None:
        """The profile that commands use now: asked for by name, else the active one."""
        asked = (os.environ.get(name, "").strip() for name in settings.PROFILE_VARIABLES)
        return next((name for name in asked if name), self.active)

    def save(self) -> None:
        """Replace the file at once, so that a reader never sees half of it."""
        text = self._text()
        tomllib.loads(text)  # what cannot be read again must not be written
        folder = self.path.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=folder, prefix=".profiles-")  # mode 0600
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(temporary, self.path)
        except OSError:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _text(self) -> str:
        parts = [f"active = {_toml(self.active)}\n"] if self.active is not None else []
        for name, values in self.profiles.items():
            parts.append(f"\n[profiles.{_key(name)}]\n")
            parts += [f"{_key(key)} = {_toml(value)}\n" for key, value in values.items()]
        return "".join(parts).lstrip("\n")


def read_profiles(environ: Mapping[str, str] | None = None) -> Profiles:
    """The file of profiles; empty where there is none. Raises `ConfigurationError`."""
    path = settings.profiles_path(os.environ if environ is None else environ)
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return Profiles(path)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"The profiles file {path} cannot be read: {error}") from None
    tables, active = document.get("profiles", {}), document.get("active")
    if not isinstance(tables, dict) or not all(isinstance(t, dict) for t in tables.values()):
        raise ConfigurationError(f"`profiles` of {path} is not a table of tables.")
    return Profiles(path, active if isinstance(active, str) else None, tables)


def set_in_profile(values: Mapping[str, str]) -> Profiles:
    """Write settings to the profile in use, which is made when there is none."""
    file = read_profiles()
    name = file.in_use()
    if name is None:
        name = file.active = "local"
    file.profiles.setdefault(name, {}).update(values)
    file.save()
    return file


def check_setting(name: str) -> None:
    """Raise a usage error for a setting that nothing reads."""
    if name not in KNOWN:
        raise ConfigurationError(
            f"There is no setting {name!r}. `forebay config view --show-defaults` lists them."
        )


def check_new(file: Profiles, name: str) -> None:
    """Raise `Refused` for a name that is taken, or that cannot name a profile."""
    if not name.strip() or not name.isprintable():
        raise ConfigurationError(f"{name!r} cannot name a profile.")
    if name in file.profiles:
        raise Refused(f"The profile {name!r} exists. {SEE_PROFILES}")


def shown(name: str, value: object, *, show_secrets: bool = False) -> str:
    """A setting's value as it may be printed."""
    return "********" if name in SECRET and not show_secrets else str(value)


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _toml(name)


def _toml(value: object) -> str:
    """A TOML value; JSON's strings, numbers, booleans and lists are written alike in TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        # JSON leaves DEL as it is, which TOML forbids.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool | int | float):
        return str(value).lower()
    return str(value)  # dates and times
