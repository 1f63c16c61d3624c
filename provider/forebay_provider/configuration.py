"""From the provider block, the environment and the profile to a connection. Knows no resource."""

import base64
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from forebay import __version__
from forebay.errors import ConfigurationError
from forebay.settings import (
    API_KEY_VARIABLES,
    API_URL_VARIABLES,
    BASIC_AUTH_VARIABLES,
    ClientSettings,
)
from forebay_provider import logs
from forebay_provider.connection import Connection, PlanChecks, ProviderSettings
from forebay_provider.framework.declarations import to_values
from forebay_provider.framework.diagnostics import Diagnostic, Failure
from forebay_provider.framework.values import is_known
from forebay_provider.provider_block import ProviderConfig, Retry, seconds

PLAN_CHECKS_VARIABLE = "FOREBAY_PLAN_CHECKS"
PLAN_CHECKS = ("error", "warn", "off")


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
    agent = agent.encode("ascii", "ignore").decode()  # as headers are
    for name, value in to_values(config).items():
        if not is_known(value):
            return Connection(None, agent, unknown=name)
    try:
        settings = _settings(config, environ)
    except ConfigurationError as error:
        raise Failure(
            Diagnostic("The provider cannot be configured", str(error), _culprit(config))
        ) from None
    _hide_secrets(settings.client)
    return Connection(settings, agent)


def _culprit(config: ProviderConfig) -> tuple[str, ...]:
    """The argument that decides where the settings come from, if one is set."""
    names = ("endpoint", "profile", "profile_file", "custom_headers", "ca_cert", "client_cert")
    return next(((name,) for name in names if getattr(config, name)), ())


def _hide_secrets(settings: ClientSettings) -> None:
    for secret in (settings.api_key, settings.basic_auth, settings.tls.client_key):
        logs.hide(secret)
    if settings.basic_auth:
        logs.hide(settings.basic_auth.partition(":")[2])
        logs.hide(base64.b64encode(settings.basic_auth.encode()).decode())
    for value in settings.headers.values():
        logs.hide(value)


def _settings(config: ProviderConfig, environ: Mapping[str, str]) -> ProviderSettings:
    environ = dict(environ)
    if config.profile_file is not None:
        environ["FOREBAY_PROFILES_PATH"] = config.profile_file
    if config.profile is not None:
        for name in (*API_URL_VARIABLES, *API_KEY_VARIABLES, *BASIC_AUTH_VARIABLES):
            environ.pop(name, None)
        environ["FOREBAY_PROFILE"] = config.profile
    settings = ClientSettings.load(environ, api_url=config.endpoint)
    if config.api_key is not None or config.basic_auth is not None:
        settings = replace(settings, api_key=config.api_key, basic_auth=config.basic_auth)
    headers = config.custom_headers
    verifies = None if config.insecure_skip_verify is None else not config.insecure_skip_verify
    identity = {
        "ca_cert": config.ca_cert,
        "client_cert": config.client_cert,
        "client_key": config.client_key,
        "is_verified": verifies,
    }
    changes = {
        "csrf": config.csrf,
        "headers": headers and {name.lower(): value for name, value in headers.items()},
        "timeout_seconds": config.request_timeout and seconds(config.request_timeout),
        "tls": replace(settings.tls, **_set(identity)),
        **(_retry(config.retry) if config.retry else {}),
    }
    own = {
        "max_concurrent_requests": config.max_concurrent_requests,
        "reads_in_bulk": config.read_cache,
        "plan_checks": config.plan_checks or _plan_checks(environ),
        "expected_server_id": config.expected_server_id,
    }
    return ProviderSettings(client=replace(settings, **_set(changes)), **_set(own))


def _retry(retry: Retry) -> dict[str, Any]:
    changes: dict[str, Any] = {
        "wait_min_seconds": retry.wait_min and seconds(retry.wait_min),
        "wait_max_seconds": retry.wait_max and seconds(retry.wait_max),
        "retried_statuses": retry.status_codes and frozenset(retry.status_codes),
        "max_tries": None if retry.max_attempts is None else retry.max_attempts + 1,
    }
    return _set(changes)


def _plan_checks(environ: Mapping[str, str]) -> PlanChecks:
    word = environ.get(PLAN_CHECKS_VARIABLE, "").strip() or "error"
    if word not in PLAN_CHECKS:
        raise ConfigurationError(
            f"{PLAN_CHECKS_VARIABLE} is not {', '.join(PLAN_CHECKS[:-1])} or {PLAN_CHECKS[-1]} "
            f"but {word!r}."
        )
    return cast(PlanChecks, word)


def _set(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is set of `values`."""
    return {name: value for name, value in values.items() if value is not None}
