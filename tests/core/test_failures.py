"""Errors as exit codes and messages."""

import pytest

from forebay.cli.failures import advice, exit_code, message
from forebay.errors import (
    ApiError,
    ConfigurationError,
    Conflict,
    Forbidden,
    ForebayError,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
    Unreachable,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigurationError("x"), 2),
        (NotFound("x"), 3),
        (Conflict("x"), 4),
        (Forbidden("x"), 4),
        (Invalid("x"), 4),
        (Unreachable("x"), 5),
        (Unavailable("x"), 5),
        (Unauthorized("x"), 1),
        (ApiError("x", status=500), 1),
        (ForebayError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code_tells_the_kind_of_error(error: ForebayError, code: int) -> None:
    assert exit_code(error) == code


def test_error_of_the_server_points_at_the_servers_output() -> None:
    text = message(ApiError("Internal Server Error", status=500))

    assert text.startswith("Internal Server Error ")
    assert "server's output" in text


def test_advice_is_added_to_its_kind_of_error_only() -> None:
    with pytest.raises(NotFound) as found, advice(NotFound, "look there"):
        raise NotFound("gone")
    with pytest.raises(Conflict) as other, advice(NotFound, "look there"):
        raise Conflict("taken")

    assert message(found.value) == "gone\nlook there"
    assert message(other.value) == "taken"
