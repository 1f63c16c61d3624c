"""What a declaration becomes in Terraform's schema."""

import json
from typing import Any

import pytest

from forebay_provider.framework.declarations import (
    JsonText,
    attribute,
    declaration,
    from_values,
    model,
    to_values,
)
from forebay_provider.framework.schema import schema
from forebay_provider.pb import tfplugin6_pb2 as pb


@model
class Part:
    label: str = attribute("Label.")


@model
class Everything:
    """All that
    can be declared."""

    required: str = attribute("R.")
    optional: str | None = attribute("O.", default=None)
    defaulted: bool = attribute("D.", default=False)
    computed: int = attribute("C.", computed=True)
    either: int = attribute("E.", default=None, computed=True)
    ratio: float | None = attribute("F.", default=None)
    text: JsonText | None = attribute("J.", default=None)
    anything: Any = attribute("A.", default=None)
    names: list[str] | None = attribute("L.", default=None)
    labels: set[str] | None = attribute("S.", default=None)
    numbers: dict[str, int] | None = attribute("M.", default=None)
    one: Part | None = attribute("P.", default=None)
    many: list[Part] | None = attribute("PL.", default=None)
    heap: set[Part] | None = attribute("PS.", default=None)
    named: dict[str, Part] | None = attribute("PM.", default=None)
    secret: str | None = attribute("X.", default=None, sensitive=True, write_only=True)
    old: str | None = attribute("Y.", default=None, deprecated="Use new.")


ATTRIBUTES = {a.name: a for a in schema(Everything).block.attributes}


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("required", {"required"}),
        ("optional", {"optional"}),
        ("defaulted", {"optional", "computed"}),
        ("computed", {"computed"}),
        ("either", {"optional", "computed"}),
        ("secret", {"optional", "sensitive", "write_only"}),
        ("old", {"optional", "deprecated"}),
    ],
)
def test_flags_follow_from_annotation_and_default(name: str, flags: set[str]) -> None:
    message = ATTRIBUTES[name]

    every = ("required", "optional", "computed", "sensitive", "write_only", "deprecated")
    assert {flag for flag in every if getattr(message, flag)} == flags


@pytest.mark.parametrize(
    ("name", "constraint"),
    [
        ("required", "string"),
        ("defaulted", "bool"),
        ("computed", "number"),
        ("ratio", "number"),
        ("text", "string"),
        ("anything", "dynamic"),
        ("names", ["list", "string"]),
        ("labels", ["set", "string"]),
        ("numbers", ["map", "number"]),
    ],
)
def test_type_follows_from_annotation(name: str, constraint: object) -> None:
    assert json.loads(ATTRIBUTES[name].type) == constraint


@pytest.mark.parametrize(
    ("name", "nesting"), [("one", "SINGLE"), ("many", "LIST"), ("heap", "SET"), ("named", "MAP")]
)
def test_nested_model_is_a_nested_attribute(name: str, nesting: str) -> None:
    nested = ATTRIBUTES[name].nested_type

    assert pb.Schema.Object.NestingMode.Name(nested.nesting) == nesting
    assert [a.name for a in nested.attributes] == ["label"]
    assert not ATTRIBUTES[name].type


def test_docstring_describes_the_block() -> None:
    assert schema(Everything).block.description == "All that can be declared."


def test_instance_has_the_values_it_was_made_of() -> None:
    values = {a.name: None for a in declaration(Everything).attributes}
    values |= {"required": "r", "one": {"label": "a"}, "named": {"k": {"label": "b"}}}

    instance = from_values(Everything, values)

    assert instance.one is not None
    assert instance.one.label == "a"
    assert to_values(instance) == values


def test_sensitive_value_is_not_in_the_representation() -> None:
    instance = from_values(Everything, {"required": "r", "secret": "hunter2"})

    assert "hunter2" not in repr(instance)


def test_write_only_attribute_below_the_root_is_refused() -> None:
    @model
    class Hidden:
        key: str | None = attribute("K.", default=None, write_only=True)

    with pytest.raises(TypeError, match="root"):

        @model
        class Holder:
            hidden: list[Hidden] = attribute("H.")
