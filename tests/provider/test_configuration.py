"""The provider block, the environment and the profile: which server and which credentials."""

from pathlib import Path
from typing import Any

import pytest

from forebay.settings import ClientSettings
from forebay_provider.configuration import connect
from forebay_provider.connection import Connection
from forebay_provider.framework.declarations import declaration, from_values
from forebay_provider.framework.diagnostics import Failure
from forebay_provider.framework.values import UNKNOWN
from forebay_provider.provider_block import ProviderConfig, seconds

PROFILES = """
active = "here"
[profiles.here]
FOREBAY_API_URL = "http://here/api"
FOREBAY_API_KEY = "key-of-here"
[profiles.there]
PREFECT_API_URL = "http://there/api"
PREFECT_API_KEY = "key-of-there"
"""


def connected(environ: dict[str, str], tmp_path: Path, **config: Any) -> Connection:
    tmp_path.joinpath("profiles.toml").write_text(PROFILES)
    environ = {"FOREBAY_HOME": str(tmp_path), **environ}
    return connect(from_values(ProviderConfig, config), "1.11.4", environ)


def settings_of(connection: Connection) -> ClientSettings:
    client = connection._open()
    return client.settings


CHOICES = [
    ("the active profile", {}, {}, ("http://here/api", "key-of-here", None)),
    ("the environment before the profile",
     {"PREFECT_API_URL": "http://env", "PREFECT_API_KEY": "k"}, {}, ("http://env/api", "k", None)),
    ("the block before the environment",
     {"FOREBAY_API_URL": "http://env", "FOREBAY_API_KEY": "k"},
     {"endpoint": "http://block/", "api_key": "b"}, ("http://block/api", "b", None)),
    ("a profile of the block before the environment",
     {"FOREBAY_API_URL": "http://env", "FOREBAY_API_KEY": "k"},
     {"profile": "there"}, ("http://there/api", "key-of-there", None)),
    ("no profile's credentials for another server",
     {}, {"endpoint": "http://block"}, ("http://block/api", None, None)),
    ("the block's kind of credentials alone",
     {"FOREBAY_API_KEY": "k"}, {"endpoint": "http://b", "basic_auth": "u:p"},
     ("http://b/api", None, "u:p")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("environ", "config", "expected"), [c[1:] for c in CHOICES], ids=[c[0] for c in CHOICES]
)
def test_server_and_credentials_are_those_of(
    environ: dict[str, str], config: dict[str, str], expected: tuple[str, ...], tmp_path: Path
) -> None:
    settings = settings_of(connected(environ, tmp_path, **config))

    assert (settings.api_url, settings.api_key, settings.basic_auth) == expected


def test_timeout_is_the_block_s(tmp_path: Path) -> None:
    connection = connected({}, tmp_path, request_timeout="1m30s")

    assert settings_of(connection).timeout_seconds == 90


@pytest.mark.parametrize(
    ("text", "expected"), [("30s", 30), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400)]
)
def test_duration_is_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


def test_requests_name_terraform_and_the_provider(tmp_path: Path) -> None:
    connection = connected({"TF_APPEND_USER_AGENT": "ci/7"}, tmp_path)

    agent = connection._open()._exchanger.headers["user-agent"]

    terraform, provider, extra = agent.split(" ")
    assert (terraform, extra) == ("Terraform/1.11.4", "ci/7")
    assert provider.startswith("terraform-provider-forebay/")


def test_arguments_come_before_the_environment(tmp_path: Path) -> None:
    environ = {
        "FOREBAY_CSRF": "on",
        "FOREBAY_CLIENT_CUSTOM_HEADERS": '{"X-A": "env"}',
        "FOREBAY_CA_CERT": "/env.pem",
        "FOREBAY_PLAN_CHECKS": "warn",
    }
    given = {
        "csrf": "off",
        "custom_headers": {"X-A": "block"},
        "ca_cert": "/block.pem",
        "plan_checks": "off",
    }

    by_environment = connected(environ, tmp_path)
    by_block = connected(environ, tmp_path, **given)

    for connection, csrf, header, ca_cert, checks in (
        (by_environment, "on", "env", "/env.pem", "warn"),
        (by_block, "off", "block", "/block.pem", "off"),
    ):
        settings = settings_of(connection)
        assert (settings.csrf, settings.headers) == (csrf, {"x-a": header})
        assert settings.tls.ca_cert == ca_cert
        assert connection.plan_checks == checks


def test_retry_block_decides_the_tries(tmp_path: Path) -> None:
    retry = {"max_attempts": 0, "wait_min": "1s", "wait_max": "3s", "status_codes": [429]}

    settings = settings_of(connected({}, tmp_path, retry=retry))

    assert settings.max_tries == 1
    assert (settings.wait_min_seconds, settings.wait_max_seconds) == (1, 3)
    assert settings.retried_statuses == {429}


def test_retry_block_leaves_what_it_does_not_name(tmp_path: Path) -> None:
    settings = settings_of(connected({}, tmp_path, retry={"max_attempts": 1}))

    assert settings.max_tries == 2
    assert settings.retried_statuses == ClientSettings().retried_statuses


def test_profiles_are_read_from_the_file_that_is_named(tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text('active = "x"\n[profiles.x]\nFOREBAY_API_URL = "http://x/api"\n')

    settings = settings_of(connected({}, tmp_path, profile_file=str(other)))

    assert settings.api_url == "http://x/api"


def test_word_for_plan_checks_that_is_none_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="FOREBAY_PLAN_CHECKS"):
        connected({"FOREBAY_PLAN_CHECKS": "maybe"}, tmp_path)


UNKNOWNS = {
    **dict.fromkeys([a.name for a in declaration(ProviderConfig).attributes], UNKNOWN),
    "custom_headers": {"X-A": UNKNOWN},
    "retry": {"max_attempts": UNKNOWN},
}


@pytest.mark.parametrize("name", UNKNOWNS)
def test_unknown_argument_makes_the_connection_unknown(name: str, tmp_path: Path) -> None:
    assert connected({}, tmp_path, **{name: UNKNOWNS[name]}).unknown == name


def test_bad_environment_is_an_error_with_its_text(tmp_path: Path) -> None:
    with pytest.raises(Failure) as caught:
        connected({"FOREBAY_API_URL": "nonsense"}, tmp_path)

    (found,) = caught.value.diagnostics
    assert "nonsense" in found.detail
    assert found.path == ()
