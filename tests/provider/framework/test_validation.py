"""Checks of a configuration, and where each complaint points."""

from typing import Any

import pytest

from forebay_provider.framework.checks import at_least, at_most, custom, matches, one_of
from forebay_provider.framework.declarations import JsonText, attribute, declaration, model
from forebay_provider.framework.validation import validate
from forebay_provider.framework.values import UNKNOWN


@model
class Part:
    weight: int = attribute("Weight.", default=None, checks=(at_least(1), at_most(9)))


@model
class Thing:
    kind: str | None = attribute("Kind.", default=None, checks=(one_of("a", "b"),))
    code: str | None = attribute("Code.", default=None, checks=(matches("[A-Z]+", "be capitals"),))
    text: JsonText | None = attribute("Text.", default=None)
    token: str | None = attribute(
        "Token.", default=None, sensitive=True, checks=(custom(lambda v: f"is bad: {v}"),)
    )
    secret: str | None = attribute("Secret.", default=None, write_only=True)
    old: str | None = attribute("Old.", default=None, deprecated="Use kind.")
    parts: list[Part] | None = attribute("Parts.", default=None)
    named: dict[str, Part] | None = attribute("Named.", default=None)
    heap: set[Part] | None = attribute("Heap.", default=None)
    one: Part | None = attribute("One.", default=None)


NOTHING = {a.name: None for a in declaration(Thing).attributes}


@pytest.mark.parametrize(
    ("config", "path", "words"),
    [
        ({"kind": "c"}, ("kind",), 'must be one of "a", "b"'),
        ({"code": "Ab"}, ("code",), "must be capitals, not 'Ab'"),
        ({"text": "{"}, ("text",), "is not JSON"),
        ({"text": "[" * 100_000}, ("text",), "nested too deeply"),
        ({"parts": [{"weight": 1}, {"weight": 0}]}, ("parts", 1, "weight"), "at least 1, not 0"),
        ({"named": {"k": {"weight": 10}}}, ("named", "k", "weight"), "at most 9"),
        ({"heap": [{"weight": 0}]}, ("heap",), "at least 1"),
        ({"one": {"weight": 1.5}}, ("one", "weight"), "whole number"),
    ],
)
def test_complaint_points_at_the_value(config: dict[str, Any], path: object, words: str) -> None:
    (found,) = validate(Thing, {**NOTHING, **config})

    assert found.path == path
    assert words in found.detail
    assert not found.is_warning


@pytest.mark.parametrize(
    "config",
    [
        {"kind": UNKNOWN, "text": UNKNOWN, "parts": UNKNOWN, "one": UNKNOWN},
        {"parts": [UNKNOWN, {"weight": UNKNOWN}, None]},
        {"kind": "a", "code": "AB", "text": "null", "one": {"weight": 9}},
    ],
)
def test_good_and_unknown_values_pass(config: dict[str, Any]) -> None:
    assert list(validate(Thing, {**NOTHING, **config})) == []


def test_complaint_about_a_sensitive_value_does_not_repeat_it() -> None:
    (found,) = validate(Thing, {**NOTHING, "token": "hunter2"})

    assert "hunter2" not in found.detail


def test_deprecated_value_is_warned_about() -> None:
    (found,) = validate(Thing, {**NOTHING, "old": "x"})

    assert found.is_warning
    assert found.detail == "Use kind."


def test_write_only_value_needs_a_terraform_that_knows_them() -> None:
    config = {**NOTHING, "secret": "x"}

    (found,) = validate(Thing, config, allows_write_only=False)

    assert found.path == ("secret",)
    assert list(validate(Thing, config, allows_write_only=True)) == []
