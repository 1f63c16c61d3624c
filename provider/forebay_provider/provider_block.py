"""The provider block: its arguments and what is wrong with them. Knows no resource."""

import re
from collections.abc import Iterable
from typing import Any

from forebay.errors import ConfigurationError
from forebay.settings import normalise_api_url
from forebay_provider.framework.checks import at_least, at_most, custom, one_of
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.values import Unknown
from forebay_provider.names import UUID_TEXT

_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_FINAL = {401, 403, 404, 409, 422}
DURATION = r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+"


def _url_complaint(text: str) -> str | None:
    try:
        normalise_api_url(text)
    except ConfigurationError as error:
        return f"cannot be used: {str(error).rstrip('.')}"
    return None


def _duration_complaint(text: str) -> str | None:
    if re.fullmatch(DURATION, text) and seconds(text) > 0:
        return None
    return f'must be a duration above zero such as "30s" or "1m30s", not {text!r}'


def _status_complaint(codes: list[Any]) -> str | None:
    known = [code for code in codes if not isinstance(code, Unknown)]
    if wrong := [code for code in known if not (isinstance(code, int) and 400 <= code <= 599)]:
        return f"must hold HTTP statuses from 400 to 599, not {wrong[0]}"
    if final := sorted(_FINAL & set(known)):
        return f"must not hold {final[0]}, which another try does not change"
    return None


def seconds(duration: str) -> float:
    """The seconds of a duration such as `1m30s`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", duration)
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


_DURATIONS = (custom(_duration_complaint),)


@model
class Retry:
    """When a request is sent again: reads, deletions, changes, and creations with their key."""

    max_attempts: int | None = attribute(
        "Further tries after the first, 4 by default; 0 is none.",
        default=None,
        checks=(at_least(0), at_most(20)),
    )
    wait_min: str | None = attribute(
        'Longest first wait, `"500ms"` by default. It doubles; each wait is a random part of it.',
        default=None,
        checks=_DURATIONS,
    )
    wait_max: str | None = attribute(
        'Longest wait, `"10s"` by default, unless the server asks for more. No try begins later '
        "than 60 s after the first.",
        default=None,
        checks=_DURATIONS,
    )
    status_codes: set[int] | None = attribute(
        "HTTP statuses after which a request is sent again; by default 408, 429, 502, 503 and "
        "504. Refusals such as 404 and 409 are final.",
        default=None,
        checks=(custom(_status_complaint),),
    )


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
        "`user:password`, instead of a token. Also `FOREBAY_API_AUTH_STRING`, "
        "`PREFECT_API_AUTH_STRING` or `PREFECT_BASIC_AUTH_KEY`.",
        default=None,
        sensitive=True,
    )
    csrf: str | None = attribute(
        "Whether changes carry a CSRF token: `auto`, the default, reads one when the server asks "
        "for it. Also `FOREBAY_CSRF` or `PREFECT_CSRF_ENABLED`.",
        default=None,
        checks=(one_of("auto", "on", "off"),),
    )
    custom_headers: dict[str, str] | None = attribute(
        "HTTP headers of every request; they do not replace the credentials. Also "
        "`FOREBAY_CLIENT_CUSTOM_HEADERS` or `PREFECT_CLIENT_CUSTOM_HEADERS`, a JSON object.",
        default=None,
        sensitive=True,
    )
    profile: str | None = attribute(
        "A profile of the profiles file. Named here, it is used instead of the environment; "
        "`FOREBAY_PROFILE` and `PREFECT_PROFILE` choose one that the environment overrides.",
        default=None,
    )
    profile_file: str | None = attribute(
        "The file of profiles. Also `FOREBAY_PROFILES_PATH` or `PREFECT_PROFILES_PATH`; without "
        "any, `profiles.toml` in `$FOREBAY_HOME`, else in `$PREFECT_HOME`.",
        default=None,
    )
    ca_cert: str | None = attribute(
        "Certificate authority to trust instead of the system's, as a path or PEM text. Also "
        "`FOREBAY_CA_CERT` or `PREFECT_API_SSL_CERT_FILE`.",
        default=None,
    )
    client_cert: str | None = attribute(
        "Certificate to show the server, as a path or PEM text. Also `FOREBAY_CLIENT_CERT`.",
        default=None,
    )
    client_key: str | None = attribute(
        "Key of `client_cert`, as a path or PEM text. Also `FOREBAY_CLIENT_KEY`.",
        default=None,
        sensitive=True,
    )
    insecure_skip_verify: bool | None = attribute(
        "Whether to take any certificate of the server. Also `FOREBAY_INSECURE_SKIP_VERIFY` or "
        "`PREFECT_API_TLS_INSECURE_SKIP_VERIFY`.",
        default=None,
    )
    request_timeout: str | None = attribute(
        'How long to wait for an answer, for example `"30s"`, which is the default.',
        default=None,
        checks=_DURATIONS,
    )
    retry: Retry | None = attribute("When a request is sent again.", default=None)
    max_concurrent_requests: int | None = attribute(
        "Most requests at once, 8 by default.", default=None, checks=(at_least(1), at_most(256))
    )
    read_cache: bool | None = attribute(
        "Whether a refresh of many objects reads them in pages of 200 instead of one by one, "
        "which is the default. A provider that has changed something reads one by one.",
        default=None,
    )
    plan_checks: str | None = attribute(
        "What a plan does with what the server says would go wrong: `error`, the default, `warn` "
        "or `off`. Also `FOREBAY_PLAN_CHECKS`.",
        default=None,
        checks=(one_of("error", "warn", "off"),),
    )
    expected_server_id: str | None = attribute(
        "ID (UUID) of the one server that may be read and changed, as the data source "
        "`forebay_server` tells it; any other is refused.",
        default=None,
        checks=(UUID_TEXT,),
    )


def check(config: ProviderConfig) -> Iterable[Diagnostic]:
    """What is wrong with the provider block as a whole."""
    if config.api_key is not None and config.basic_auth is not None:
        yield Diagnostic(
            "Two kinds of credentials",
            "Set api_key or basic_auth, not both.",
            ("basic_auth",),
        )
    if config.client_key is not None and config.client_cert is None:
        yield Diagnostic(
            "A key without its certificate", "Set client_cert as well.", ("client_key",)
        )
