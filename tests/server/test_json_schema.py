"""Checks of values against users' schemas, and their bounds."""

import time
from typing import Any

import pytest

from forebay_server.json_schema import InvalidSchema, check_schema, first_problem


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (1, {"type": "integer"}),
        ({"a": None}, {"properties": {"a": {"type": "string"}}}),
        ([1, "1", True, None], {"uniqueItems": True}),
        ([1, 1], {"uniqueItems": False}),
        ("2Gi", {"pattern": r"^\d+(?:G|Gi)$"}),
        (1, {"pattern": "a"}),
        ({"x-a": 1}, {"patternProperties": {"^x-": {}}, "additionalProperties": False}),
        ({"a": {"b": 1}}, {"$defs": {"b": {"type": "integer"}}, "properties": {}}),
    ],
)
def test_value_that_fulfils_its_schema_has_no_problem(value: Any, schema: dict[str, Any]) -> None:
    assert first_problem(value, schema) is None


@pytest.mark.parametrize(
    ("value", "schema", "told"),
    [
        ("secret", {"type": "integer"}, 'must satisfy type: "integer"'),
        (
            {"a": {"b": "secret"}},
            {"properties": {"a": {"properties": {"b": {"type": "integer"}}}}},
            "a.b",
        ),
        ({"a": None}, {"properties": {"a": {"type": "string"}}, "required": ["a"]}, "a"),
        ({}, {"required": ["a"]}, "'a' is a required property"),
        ({"secret": 1}, {"additionalProperties": {"type": "string"}}, "secret"),
        ([{"a": 1}, {"a": 1}], {"uniqueItems": True}, "uniqueItems"),
        ("secret", {"pattern": "^a"}, "pattern"),
        ("secret", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, "one of the given"),
        (1, {"$ref": "#/$defs/x"}, "does not have"),
    ],
)
def test_problem_tells_where_and_what_but_not_the_value(
    value: Any, schema: dict[str, Any], told: str
) -> None:
    problem = first_problem(value, schema)

    assert problem is not None
    assert told in problem
    assert "secret" not in problem or told == "secret"


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (list(range(20_000)), {"items": {"enum": [str(i) for i in range(20_000)]}}),
        ([str(i) if i % 2 else i for i in range(100_000)], {"uniqueItems": True}),
        ("a" * 100_000 + "b", {"pattern": "^(a|aa)+$"}),
        (
            [[[1] * 50] * 50] * 50,
            {"$defs": {"d": {"items": {"$ref": "#/$defs/d"}}}, "$ref": "#/$defs/d"},
        ),
    ],
)
def test_check_ends_soon_whatever_the_value(value: Any, schema: dict[str, Any]) -> None:
    started = time.process_time()

    first_problem(value, schema)

    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nonsense"},
        {"properties": 1},
        {"pattern": "("},
        {"items": {"pattern": r"(a)\1"}},
        {"$ref": "http://example.org/schema"},
        {"items": {"$dynamicRef": "other#x"}},
    ],
)
def test_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(InvalidSchema):
        check_schema(schema)
