"""Tokens on the command line, against a real server."""

import uuid

import pytest

from tests.conftest import RunningServer
from tests.core.builders import Run, as_json


@pytest.fixture
def name() -> str:
    return f"name-{uuid.uuid4()}"


def test_token_is_made_listed_without_its_secret_and_revoked(run: Run, name: str) -> None:
    made = as_json(run("token", "create", name, "--expires-in", "2h", "-o", "json"))
    listed = as_json(run("token", "ls", "-o", "json"))
    shown = run("token", "ls").stdout
    revoked = run("token", "revoke", name, "--yes")
    left = as_json(run("token", "ls", "-o", "json"))

    (found,) = (token for token in listed if token["name"] == name)
    assert (found["role"], "token" in found) == ("read", False)
    assert made["token"].startswith("fb_")
    assert made["token"] not in shown
    assert name in shown
    assert revoked.returncode == 0
    assert name not in [token["name"] for token in left]


def test_text_output_prints_the_token_alone(run: Run, name: str) -> None:
    ended = run("token", "create", name, "--role", "operator")

    assert ended.stdout.splitlines()[-1].startswith("fb_")
    run("token", "revoke", name, "--yes")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--role", "worker"], "add --pool NAME"),
        (["--pool", "etl"], "--role worker only"),
        (["--role", "king"], "role"),
        (["--expires-in", "soon"], "no time such as 30m"),
    ],
    ids=["worker without pool", "pool without worker", "unknown role", "no time"],
)
def test_what_makes_no_token_is_explained(
    run: Run, name: str, options: list[str], words: str
) -> None:
    ended = run("token", "create", name, *options)

    assert ended.returncode == 2
    assert words in ended.stderr


def test_unknown_token_is_told(run: Run, name: str, shared_server: RunningServer) -> None:
    ended = run("token", "revoke", name, "--yes")

    assert ended.returncode == 3
    assert "forebay token ls" in ended.stderr
