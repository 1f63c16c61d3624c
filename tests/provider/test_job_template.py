"""Templates that are made of a type's own and of defaults, and read back from a whole one."""

import json
from typing import Any

import pytest

from forebay import pool_types
from forebay_provider.framework import dynamic
from forebay_provider.resources import job_template


def made(type: str, **defaults: Any) -> str:
    text = job_template.of_type(type, dynamic.from_json(defaults))
    assert text is not None
    return text


def test_defaults_are_laid_over_the_template_of_the_type_and_nothing_else_changes() -> None:
    original = pool_types.default_template("docker")
    template = json.loads(made("docker", image="python:3.12", stream_output=None))

    properties = template["variables"]["properties"]
    assert properties["image"]["default"] == "python:3.12"
    assert "default" not in properties["stream_output"]
    for name in ("image", "stream_output"):
        original["variables"]["properties"][name].pop("default", None)
        properties[name].pop("default", None)
    assert template == original


@pytest.mark.parametrize("type", list(pool_types.pool_types()))
def test_template_of_every_type_is_sound_and_needs_no_defaults(type: str) -> None:
    text = made(type)

    assert job_template.complaint(text) is None
    assert json.loads(text) == pool_types.default_template(type)
    assert job_template.defaults_of(type, text) is None


@pytest.mark.parametrize(
    "defaults",
    [{"image": "python:3.12"}, {"stream_output": None}, {"env": {"A": "1"}, "volumes": ["/a:/b"]}],
    ids=["one", "taken away", "nested"],
)
def test_defaults_are_found_again_in_the_template(defaults: dict[str, Any]) -> None:
    found = job_template.defaults_of("docker", made("docker", **defaults))

    assert dynamic.to_json(found) == defaults


def test_template_that_differs_in_more_than_defaults_has_none() -> None:
    template = pool_types.default_template("docker")
    template["job_configuration"]["more"] = "x"

    assert job_template.defaults_of("docker", json.dumps(template)) is None
    assert job_template.defaults_of("docker", "{}") is None
    assert job_template.defaults_of("mine", json.dumps(template)) is None


@pytest.mark.parametrize(
    ("type", "defaults", "words"),
    [
        ("docker", {"imagge": 1}, "imagge"),
        ("docker", ["image"], "must be an object"),
        ("mine", {"image": 1}, "base_job_template"),
        ("docker", {"image": 1}, "1 is not of type 'string'"),
        ("docker", {"image": "etl:1"}, None),
    ],
    ids=["unknown variable", "no object", "unknown type", "wrong type", "sound"],
)
def test_defaults_that_do_not_fit_are_complained_about(
    type: str, defaults: Any, words: str | None
) -> None:
    value = dynamic.from_json(defaults)
    assert value is not None

    found = job_template.defaults_complaint(type, value)

    assert (found is None) if words is None else (found is not None and words in found)
