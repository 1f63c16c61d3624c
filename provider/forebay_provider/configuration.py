"""The provider block, and the connection that it describes. Knows no resource."""

import os
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from forebay import __version__
from forebay.errors import ConfigurationError, ForebayError
from forebay.settings import (
    API_KEY_VARIABLES,
    API_URL_VARIABLES,
    BASIC_AUTH_VARIABLES,
    ClientSettings,
    normalise_api_url,
)
from forebay_provider import logs
from forebay_provider.framework.checks import custom
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.diagnostics import Diagnostic, Failure
from forebay_provider.framework.values import Unknown

if TYPE_CHECKING:
    from forebay.calls import Call
    from forebay.client import Client

T = TypeVar("T")

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+"


def _url_complaint(text: str) -> str | None:
    try:
        normalise_api_url(text)
    except ConfigurationError as error:
        return f"cannot be used: {str(error).rstrip('.')}"
    return None


def _duration_complaint(text: str) -> str | None:
    if re.fullmatch(_DURATION, text) and seconds(text) > 0:
        return None
    return f'must be a duration above zero such as "30s" or "1m30s", not {text!r}'


def seconds(duration: str) -> float:
    """The seconds of a duration such as `1m30s`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


@model
class ProviderConfig:
    """Manages work pools and work queues of a Forebay server, or of any Prefect 3 server."""

    endpoint: str | None = attribute(
        "Address of the API, with or without `/api`. Also `FOREBAY_API_URL` or `PREFECT_API_URL`; "
        "without any, the active profile's, else `http://127.0.0.1:4200/api`.",
        default=None,
        checks=(custom(_url_complaint),),
    )
    api_key: str | None = attribute(
        "Token, sent as bearer. Also `FOREBAY_API_KEY` or `PREFECT_API_KEY`.",
        default=None,
        sensitive=True,
    )
    basic_auth: str | None = attribute(
        "`user:password`, instead of a token. Also `FOREBAY_API_AUTH_STRING` or "
        "`PREFECT_API_AUTH_STRING`.",
        default=None,
        sensitive=True,
    )
    profile: str | None = attribute(
        "A profile of the profiles file. Named here, it is used instead of the environment; "
        "`FOREBAY_PROFILE` and `PREFECT_PROFILE` choose one that the environment overrides.",
        default=None,
    )
    request_timeout: str | None = attribute(
        'How long to wait for an answer, for example `"30s"`, which is the default.',
        default=None,
        checks=(custom(_duration_complaint),),
    )


def check(config: ProviderConfig) -> Iterable[Diagnostic]:
    """What is wrong with the provider block as a whole."""
    if config.api_key is not None and config.basic_auth is not None:
        yield Diagnostic(
            "Two kinds of credentials",
            "Set api_key or basic_auth, not both.",
            ("basic_auth",),
        )


class Connection:
    """Sends calls with the provider's settings; made unknown, it refuses to send any."""

    def __init__(
        self, settings: ClientSettings | None, user_agent: str, unknown: str = ""
    ) -> None:
        self.unknown = unknown  # the argument that is not decided yet, if one is
        self._settings = settings
        self._user_agent = user_agent
        self._client: Client | None = None
        self._lock = threading.Lock()
        self._is_stopped = False

    def send(self, call: "Call[T]") -> T:
        """The call's answer. Raises `ForebayError`."""
        if self._is_stopped:
            raise ForebayError("Terraform was interrupted; nothing was sent.")
        return self._open().send(call)

    def stop(self) -> None:
        """Send nothing new; what is in flight ends by itself."""
        self._is_stopped = True

    def _open(self) -> "Client":
        if self._settings is None:
            raise ForebayError(
                f"The provider's {self.unknown} is not known yet, so there is no server to ask. "
                "Apply first, with -target, what it depends on."
            )
        with self._lock:
            if self._client is None:
                from forebay.client import Client

                self._client = Client(self._settings, self._user_agent)
            return self._client


def connect(
    config: ProviderConfig, terraform_version: str, environ: Mapping[str, str] | None = None
) -> Connection:
    """The connection of a provider block; nothing is sent. Raises `Failure`.

    What is unknown while planning is never replaced by the environment's value: that would ask
    another server than the one that apply will use.
    """
    environ = os.environ if environ is None else environ
    agent = f"Terraform/{terraform_version or 'unknown'} terraform-provider-forebay/{__version__}"
    if extra := environ.get("TF_APPEND_USER_AGENT"):
        agent += f" {extra}"
    for name in ("endpoint", "api_key", "basic_auth", "profile", "request_timeout"):
        if isinstance(getattr(config, name), Unknown):
            return Connection(None, agent, unknown=name)
    try:
        settings = _settings(config, environ)
    except ConfigurationError as error:
        path = "endpoint" if config.endpoint else "profile" if config.profile else ""
        raise Failure(
            Diagnostic("The provider cannot be configured", str(error), (path,) if path else ())
        ) from None
    for secret in (settings.api_key, settings.basic_auth):
        logs.hide(secret)
    return Connection(settings, agent)


def _settings(config: ProviderConfig, environ: Mapping[str, str]) -> ClientSettings:
    if config.profile is not None:
        named = {*API_URL_VARIABLES, *API_KEY_VARIABLES, *BASIC_AUTH_VARIABLES}
        environ = {k: v for k, v in environ.items() if k not in named}
        environ["FOREBAY_PROFILE"] = config.profile
    settings = ClientSettings.load(environ, api_url=config.endpoint)
    changes: dict[str, Any] = {}
    if config.api_key is not None or config.basic_auth is not None:
        changes = {"api_key": config.api_key, "basic_auth": config.basic_auth}
    if config.request_timeout is not None:
        changes["timeout_seconds"] = seconds(config.request_timeout)
    return replace(settings, **changes)
