"""Where address and credentials come from."""

from pathlib import Path

import pytest

from forebay.errors import ConfigurationError
from forebay.settings import ClientSettings, normalise_api_url

PROFILES = """
active = "local"

[profiles.local]
FOREBAY_API_URL = "http://127.0.0.1:4200/api"
FOREBAY_API_KEY = "local-token"

[profiles.far]
PREFECT_API_URL = "https://far.example/api"
PREFECT_API_AUTH_STRING = "me:secret"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "profiles.toml").write_text(PROFILES)
    return tmp_path


def load(home: Path, api_url: str | None = None, **environ: str) -> ClientSettings:
    return ClientSettings.load({"FOREBAY_HOME": str(home), **environ}, api_url=api_url)


def test_nothing_set_means_the_local_server_without_credentials(tmp_path: Path) -> None:
    settings = load(tmp_path)

    assert settings == ClientSettings(api_url="http://127.0.0.1:4200/api")


def test_active_profile_gives_address_and_token(home: Path) -> None:
    settings = load(home)

    assert settings.api_url == "http://127.0.0.1:4200/api"
    assert settings.api_key == "local-token"


def test_environment_names_the_profile(home: Path) -> None:
    settings = load(home, PREFECT_PROFILE="far")

    assert settings.api_url == "https://far.example/api"
    assert settings.basic_auth == "me:secret"
    assert settings.api_key is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"PREFECT_API_URL": "http://b/api"}, "http://b/api"),
        ({"FOREBAY_API_URL": "http://a/api", "PREFECT_API_URL": "http://b/api"}, "http://a/api"),
        ({"FOREBAY_API_URL": "http://a/api", "api_url": "http://c/api"}, "http://c/api"),
        ({"FOREBAY_API_URL": "", "PREFECT_API_URL": ""}, "http://127.0.0.1:4200/api"),
    ],
    ids=["prefect's name", "own name first", "argument first", "empty is unset"],
)
def test_address_precedence(home: Path, given: dict[str, str], expected: str) -> None:
    settings = load(home, **given)

    assert settings.api_url == expected


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:4201/api",
        "https://127.0.0.1:4200/api",
        "http://evil.example/api",
        "http://127.0.0.1:4200/api/api",
        "http://127.0.0.1:4200@evil.example/api",
    ],
)
def test_token_of_a_profile_never_goes_to_another_address(home: Path, address: str) -> None:
    by_environment = load(home, FOREBAY_API_URL=address)
    by_argument = load(home, api_url=address)

    assert by_environment.api_key is None and by_environment.basic_auth is None
    assert by_argument.api_key is None and by_argument.basic_auth is None


def test_token_of_a_profile_is_used_for_its_address_however_written(home: Path) -> None:
    settings = load(home, FOREBAY_API_URL="http://127.0.0.1:4200/")

    assert settings.api_key == "local-token"


def test_token_in_the_environment_goes_where_the_environment_says(home: Path) -> None:
    settings = load(home, FOREBAY_API_URL="https://other.example", FOREBAY_API_KEY="mine")

    assert settings.api_url == "https://other.example/api"
    assert settings.api_key == "mine"


def test_key_and_basic_auth_are_never_both_set(home: Path) -> None:
    settings = load(home, FOREBAY_API_KEY="key", PREFECT_API_AUTH_STRING="me:secret")

    assert settings.api_key == "key"
    assert settings.basic_auth is None


def test_credentials_do_not_show_when_settings_are_printed(home: Path) -> None:
    text = repr(load(home))

    assert "local-token" not in text


def test_line_break_around_a_token_is_dropped(tmp_path: Path) -> None:
    settings = load(tmp_path, FOREBAY_API_KEY="token\r\n")

    assert settings.api_key == "token"


@pytest.mark.parametrize("key", ["sec\nret", "secr\u00e9t", "sec\x00ret"])
def test_token_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="FOREBAY_API_KEY") as caught:
        ClientSettings(api_key=key)

    assert "sec" not in str(caught.value)


def test_unknown_profile_names_those_that_exist(home: Path) -> None:
    with pytest.raises(ConfigurationError, match="'nowhere'; it has: far, local"):
        load(home, FOREBAY_PROFILE="nowhere")


def test_broken_profiles_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "profiles.toml").write_text("active = ")

    with pytest.raises(ConfigurationError, match=r"profiles\.toml cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["profiles = 3", 'active = "a"\n[profiles]\na = "b"'])
def test_profiles_of_another_shape_are_no_profiles(tmp_path: Path, text: str) -> None:
    (tmp_path / "profiles.toml").write_text(text)

    assert load(tmp_path) == ClientSettings()


@pytest.mark.parametrize(
    "address", ["localhost:4200", "ftp://a/api", "http://", "http://[::1", "http://a:port/api"]
)
def test_address_that_is_no_url_is_refused_with_an_example(address: str) -> None:
    with pytest.raises(ConfigurationError, match="for example http://127"):
        normalise_api_url(address)


def test_headers_and_tls_come_from_the_environment(home: Path) -> None:
    settings = load(
        home,
        PREFECT_CLIENT_CUSTOM_HEADERS='{"X-Team": "data"}',
        FOREBAY_CA_CERT="/ca.pem",
        PREFECT_API_TLS_INSECURE_SKIP_VERIFY="true",
        FOREBAY_CSRF="on",
    )

    assert settings.headers == {"x-team": "data"}
    assert (settings.tls.ca_cert, settings.tls.is_verified) == ("/ca.pem", False)
    assert settings.csrf == "on"


def test_headers_of_a_profile_go_to_its_own_server_only(home: Path) -> None:
    profiles = home / "profiles.toml"
    profiles.write_text(
        PROFILES.replace(
            '"local-token"',
            '"local-token"\nFOREBAY_CLIENT_CUSTOM_HEADERS = \'{"X-Secret": "s"}\'',
        )
    )

    assert load(home).headers == {"x-secret": "s"}
    assert load(home, FOREBAY_API_URL="http://elsewhere").headers == {}


@pytest.mark.parametrize(
    "environ",
    [
        {"FOREBAY_CLIENT_CUSTOM_HEADERS": "X-Team: data"},
        {"FOREBAY_CLIENT_CUSTOM_HEADERS": '{"X-Team": 1}'},
        {"FOREBAY_CLIENT_CUSTOM_HEADERS": '{"X Team": "a"}'},
        {"FOREBAY_CLIENT_CUSTOM_HEADERS": '{"X-Team": "a\\nb"}'},
        {"FOREBAY_CSRF": "perhaps"},
    ],
)
def test_headers_and_words_that_cannot_be_used_are_refused(
    home: Path, environ: dict[str, str]
) -> None:
    with pytest.raises(ConfigurationError):
        load(home, **environ)
