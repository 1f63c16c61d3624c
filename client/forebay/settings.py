"""What a client of the API must know: its address and its credentials. Knows no HTTP.

Standard library only, because the provider and the CLI read it on every start.
"""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from forebay.errors import ConfigurationError

DEFAULT_API_URL = "http://127.0.0.1:4200/api"

# For each setting, the environment variables that give it; the first that is set wins.
API_URL_VARIABLES = ("FOREBAY_API_URL", "PREFECT_API_URL")
API_KEY_VARIABLES = ("FOREBAY_API_KEY", "PREFECT_API_KEY")
BASIC_AUTH_VARIABLES = (
    "FOREBAY_API_AUTH_STRING",
    "PREFECT_API_AUTH_STRING",
    "PREFECT_BASIC_AUTH_KEY",
)
PROFILE_VARIABLES = ("FOREBAY_PROFILE", "PREFECT_PROFILE")


def home(environ: Mapping[str, str] | None = None) -> Path:
    """The folder of profiles and of the embedded database: `FOREBAY_HOME` or `~/.forebay`."""
    environ = os.environ if environ is None else environ
    return Path(environ.get("FOREBAY_HOME") or "~/.forebay").expanduser()


def normalise_api_url(url: str) -> str:
    """`url` ending in `/api` once, whatever way the user wrote it."""
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port  # reading it is what checks it
    except ValueError:
        is_usable = False
    if not is_usable:
        raise ConfigurationError(
            f"The API address {url!r} is not a URL that begins with http:// or https://, "
            f"for example {DEFAULT_API_URL}."
        )
    return text if text.endswith("/api") else text + "/api"


@dataclass(frozen=True)
class ClientSettings:
    """Address and credentials; at most one of `api_key` and `basic_auth` is set."""

    api_url: str = DEFAULT_API_URL
    api_key: str | None = field(default=None, repr=False)
    basic_auth: str | None = field(default=None, repr=False)  # "user:password"
    timeout_seconds: float = 30.0
    max_tries: int = 5  # of a call that may be repeated, the first included

    def __post_init__(self) -> None:
        # Checked here, because the HTTP library would show the token in its own complaint.
        if self.api_key and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ConfigurationError(
                "The API key (FOREBAY_API_KEY) has characters that no token has, such as a line "
                "break; copy it again."
            )

    @classmethod
    def load(
        cls, environ: Mapping[str, str] | None = None, *, api_url: str | None = None
    ) -> "ClientSettings":
        """Settings from `api_url`, else the environment, else the active profile.

        A profile's credentials are used only for that profile's own address, so that pointing
        a shell at another server never sends it the local token.
        """
        environ = os.environ if environ is None else environ
        profile = read_profile(environ)
        profile_url = _first(profile, API_URL_VARIABLES)
        chosen = api_url or _first(environ, API_URL_VARIABLES) or profile_url or DEFAULT_API_URL
        url = normalise_api_url(chosen)
        key = _first(environ, API_KEY_VARIABLES)
        basic = None if key else _first(environ, BASIC_AUTH_VARIABLES)
        if not key and not basic and profile_url and normalise_api_url(profile_url) == url:
            key = _first(profile, API_KEY_VARIABLES)
            basic = None if key else _first(profile, BASIC_AUTH_VARIABLES)
        return cls(api_url=url, api_key=key, basic_auth=basic)


def profiles_path(environ: Mapping[str, str]) -> Path:
    """The file of profiles: named by the environment, else Forebay's, else Prefect's."""
    named = environ.get("FOREBAY_PROFILES_PATH") or environ.get("PREFECT_PROFILES_PATH")
    if named:
        return Path(named).expanduser()
    own = home(environ) / "profiles.toml"
    if own.exists() or environ.get("FOREBAY_HOME"):
        return own
    prefect_home = Path(environ.get("PREFECT_HOME") or "~/.prefect").expanduser()
    theirs = prefect_home / "profiles.toml"
    return theirs if theirs.exists() else own


def read_profile(environ: Mapping[str, str]) -> dict[str, str]:
    """Settings of the active (or named) profile; empty where there is no file of profiles."""
    path = profiles_path(environ)
    named = _first(environ, PROFILE_VARIABLES)
    try:
        document: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        if named:
            raise ConfigurationError(
                f"The profile {named!r} was asked for, but {path} does not exist."
            ) from None
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"The profiles file {path} cannot be read: {error}") from None
    tables = document.get("profiles")
    tables = tables if isinstance(tables, dict) else {}
    profiles = {name: table for name, table in tables.items() if isinstance(table, dict)}
    name = named or document.get("active")
    if name is None or name not in profiles:
        if named:
            known = ", ".join(sorted(profiles)) or "none"
            raise ConfigurationError(f"{path} has no profile {named!r}; it has: {known}.")
        return {}
    return {key: str(value) for key, value in profiles[name].items()}


def _first(values: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    # Stripped: a value that was read from a file often ends in a line break.
    found = (values.get(name, "").strip() for name in names)
    return next((value for value in found if value), None)
