"""What a client of the API must know: its address and its credentials. Knows no HTTP.

Standard library only, because the provider and the CLI read it on every start.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast
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
HEADERS_VARIABLES = ("FOREBAY_CLIENT_CUSTOM_HEADERS", "PREFECT_CLIENT_CUSTOM_HEADERS")
CSRF_VARIABLES = ("FOREBAY_CSRF", "PREFECT_CSRF_ENABLED")
CA_CERT_VARIABLES = ("FOREBAY_CA_CERT", "PREFECT_API_SSL_CERT_FILE")
CLIENT_CERT_VARIABLES = ("FOREBAY_CLIENT_CERT",)
CLIENT_KEY_VARIABLES = ("FOREBAY_CLIENT_KEY",)
INSECURE_VARIABLES = ("FOREBAY_INSECURE_SKIP_VERIFY", "PREFECT_API_TLS_INSECURE_SKIP_VERIFY")
PROFILE_VARIABLES = ("FOREBAY_PROFILE", "PREFECT_PROFILE")

Csrf = Literal["auto", "on", "off"]
_CSRF_WORDS: dict[str, Csrf] = {
    "auto": "auto", "on": "on", "off": "off",
    "true": "on", "1": "on", "false": "off", "0": "off",
}  # fmt: skip
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


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
class Tls:
    """How https is made; each certificate and key is a path or PEM text."""

    ca_cert: str | None = None  # trusted instead of the system's authorities
    client_cert: str | None = None
    client_key: str | None = field(default=None, repr=False)
    is_verified: bool = True


@dataclass(frozen=True)
class ClientSettings:
    """Address and credentials; at most one of `api_key` and `basic_auth` is set."""

    api_url: str = DEFAULT_API_URL
    api_key: str | None = field(default=None, repr=False)
    basic_auth: str | None = field(default=None, repr=False)  # "user:password"
    timeout_seconds: float = 30.0
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # names in lower case
    tls: Tls = Tls()
    csrf: Csrf = "auto"  # "auto": a token is read when the server asks for one
    max_tries: int = 5  # of a call that may be repeated, the first included
    wait_min_seconds: float = 0.5  # the most that the first wait can be; it doubles
    wait_max_seconds: float = 10.0
    retry_seconds: float = 60.0  # no try begins later than that after the first
    retried_statuses: frozenset[int] = frozenset({408, 429, 502, 503, 504})

    def __post_init__(self) -> None:
        # Checked here, because the HTTP library would show the value in its own complaint.
        for name, value in self.headers.items():
            if not _HEADER_NAME.fullmatch(name) or not (value.isascii() and value.isprintable()):
                raise ConfigurationError(
                    f"The custom header {name!r} has characters that no header has, in its name "
                    "or in its value."
                )
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
        found = {**profile, **{k: v for k, v in environ.items() if v.strip()}}
        if profile_url and normalise_api_url(profile_url) != url:
            found = dict(environ)
        return cls(
            api_url=url,
            api_key=key,
            basic_auth=basic,
            headers=_headers(_first(found, HEADERS_VARIABLES)),
            csrf=_csrf(_first(found, CSRF_VARIABLES)),
            tls=Tls(
                ca_cert=_first(found, CA_CERT_VARIABLES),
                client_cert=_first(found, CLIENT_CERT_VARIABLES),
                client_key=_first(found, CLIENT_KEY_VARIABLES),
                is_verified=not is_true(_first(found, INSECURE_VARIABLES)),
            ),
        )


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
    except (OSError, ValueError) as error:
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


def is_true(text: str | None) -> bool:
    """Whether a variable of the environment says yes."""
    return (text or "").lower() in ("1", "true", "yes", "on")


def _headers(text: str | None) -> dict[str, str]:
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if not isinstance(given, dict) or not all(isinstance(v, str) for v in given.values()):
        raise ConfigurationError(
            f"{HEADERS_VARIABLES[0]} is not a JSON object of strings, such as "
            '{"X-Team": "data"}.'
        )
    return {name.lower(): value for name, value in cast(dict[str, str], given).items()}


def _csrf(text: str | None) -> Csrf:
    word = (text or "auto").lower()
    if word not in _CSRF_WORDS:
        raise ConfigurationError(f"{CSRF_VARIABLES[0]} is not auto, on or off but {text!r}.")
    return _CSRF_WORDS[word]


def _first(values: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    # Stripped: a value that was read from a file often ends in a line break.
    found = (values.get(name, "").strip() for name in names)
    return next((value for value in found if value), None)
