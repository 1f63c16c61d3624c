"""`forebay config` and `forebay profile`: the file of profiles, without a server."""

import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.core.builders import as_json, run_here

FILE = """
active = "one"

[profiles.one]
FOREBAY_API_URL = "http://one/api"
FOREBAY_API_KEY = "hidden"

[profiles."two words"]
PREFECT_API_URL = "http://two/api"
PREFECT_LOGGING_LEVEL = "DEBUG"
PREFECT_CSRF_ENABLED = true
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of two profiles."""
    path = tmp_path / "profiles.toml"
    path.write_text(FILE)
    monkeypatch.setenv("FOREBAY_HOME", str(tmp_path))
    return path


def read(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text())


def test_settings_are_shown_with_their_source_and_without_secrets(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREBAY_API_URL", "http://other/api")

    told = as_json(run_here("config", "view", "-o", "json"))
    open_ = run_here("config", "view", "--show-secrets")
    all_ = run_here("config", "view", "--show-defaults")

    assert told["profile"] == "one"
    assert told["settings"] == [
        {"name": "FOREBAY_API_URL", "value": "http://other/api", "source": "environment"},
        {"name": "FOREBAY_API_KEY", "value": "********", "source": "profile one"},
    ]
    assert "hidden" in open_.stdout
    assert "FOREBAY_CA_CERT" in all_.stdout


def test_setting_is_written_with_mode_0600_and_the_rest_is_kept(file: Path) -> None:
    before = read(file)
    file.chmod(0o644)

    ended = run_here("config", "set", 'FOREBAY_DEFAULT_WORK_POOL_NAME=é "a" \\ \x7f')

    assert ended.returncode == 0, ended.stderr
    after = read(file)
    added = after["profiles"]["one"].pop("FOREBAY_DEFAULT_WORK_POOL_NAME")
    assert added == 'é "a" \\ \x7f'
    assert after == before
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir()] == ["profiles.toml"]


def test_setting_of_a_profile_that_is_asked_for_goes_there(file: Path) -> None:
    # The command sets the variable for its process; a test must not leave it behind.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOREBAY_PROFILE", "two words")
        run_here("config", "set", "PREFECT_DEFAULT_WORK_POOL_NAME=mine")

    assert read(file)["profiles"]["two words"]["PREFECT_DEFAULT_WORK_POOL_NAME"] == "mine"


def test_first_setting_makes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOREBAY_HOME", str(tmp_path / "new"))

    run_here("config", "set", "FOREBAY_API_URL=http://here:1")

    assert read(tmp_path / "new" / "profiles.toml") == {
        "active": "local",
        "profiles": {"local": {"FOREBAY_API_URL": "http://here:1"}},
    }


@pytest.mark.parametrize(
    "assignment",
    [
        "FOREBAY_API_URL=here",
        "FOREBAY_COLOUR=red",
        "FOREBAY_API_KEY",
        "FOREBAY_API_KEY=",
        "FOREBAY_CSRF=yes",
    ],
)
def test_setting_that_cannot_be_used_is_not_written(file: Path, assignment: str) -> None:
    ended = run_here("config", "set", assignment)

    assert ended.returncode == 2
    assert file.read_text() == FILE


def test_setting_is_taken_out(file: Path) -> None:
    ended = run_here("config", "unset", "FOREBAY_API_KEY")
    again = run_here("config", "unset", "FOREBAY_API_KEY")

    assert (ended.returncode, again.returncode) == (0, 2)
    assert read(file)["profiles"]["one"] == {"FOREBAY_API_URL": "http://one/api"}


def test_validation_names_what_nothing_reads(file: Path) -> None:
    run_here("profile", "use", "two words")

    told = as_json(run_here("config", "validate", "-o", "json"))

    assert told == {"api_url": "http://two/api", "unknown": ["PREFECT_LOGGING_LEVEL"]}


def test_validation_fails_for_a_file_that_cannot_be_read(file: Path) -> None:
    file.write_text("[profiles")

    ended = run_here("config", "validate")

    assert ended.returncode == 2
    assert "cannot be read" in ended.stderr


def test_profile_is_made_used_renamed_and_deleted(file: Path) -> None:
    made = as_json(run_here("profile", "create", "new", "--from", "one", "-o", "json"))
    refused = run_here("profile", "delete", "one", "--yes")
    run_here("profile", "use", "new")
    run_here("profile", "rename", "new", "newer")
    asked = run_here("profile", "delete", "one")
    deleted = run_here("profile", "delete", "one", "--yes")

    assert made["settings"]["FOREBAY_API_KEY"] == "********"
    assert (refused.returncode, asked.returncode, deleted.returncode) == (4, 2, 0)
    after = read(file)
    assert after["active"] == "newer"
    assert sorted(after["profiles"]) == ["newer", "two words"]
    assert after["profiles"]["newer"]["FOREBAY_API_KEY"] == "hidden"


def test_profiles_are_listed_and_inspected(file: Path) -> None:
    listed = as_json(run_here("profile", "ls", "-o", "json"))
    current = as_json(run_here("profile", "inspect", "-o", "json"))
    other = as_json(run_here("profile", "inspect", "two words", "--show-secrets", "-o", "json"))

    assert listed == [{"name": "one", "active": True}, {"name": "two words", "active": False}]
    assert current == {"FOREBAY_API_URL": "http://one/api", "FOREBAY_API_KEY": "********"}
    assert other["PREFECT_CSRF_ENABLED"] == "True"


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("use", "nobody"), 3),
        (("inspect", "nobody"), 3),
        (("delete", "nobody", "--yes"), 3),
        (("rename", "nobody", "other"), 3),
        (("rename", "one", "two words"), 4),
        (("create", "one"), 4),
        (("create", " "), 2),
        (("create", "new", "--from", "nobody"), 3),
    ],
)
def test_refusals_change_nothing(file: Path, args: tuple[str, ...], code: int) -> None:
    ended = run_here("profile", *args)

    assert ended.returncode == code
    assert file.read_text() == FILE


@pytest.mark.usefixtures("file")
@pytest.mark.parametrize(
    "words",
    [
        ["--profile", "two words", "config", "view"],
        ["config", "--profile", "two words", "view"],
        ["config", "view", "--profile=two words", "--no-prompt"],
    ],
)
def test_profile_may_be_named_behind_every_group_and_command(words: list[str]) -> None:
    assert as_json(run_here(*words, "-o", "json"))["profile"] == "two words"


@pytest.mark.usefixtures("file")
def test_option_without_its_value_is_told() -> None:
    ended = run_here("config", "view", "--profile")

    assert ended.returncode == 2
    assert "--profile needs a value" in ended.stderr
