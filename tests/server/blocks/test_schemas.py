"""Checksums and secret places, as tables of cases."""

from typing import Any

import pytest

from forebay_server.blocks.schemas import Path, checksum, replaced, secret_paths

MODEL = {"type": "object", "properties": {"z": {"type": "integer"}}}
BLOCK = {**MODEL, "block_type_slug": "inner", "secret_fields": ["z"]}


def test_the_checksum_is_the_one_that_stock_clients_calculate() -> None:
    # Prefect 3.8.4: JSON block schema of `class Inner(Block): a: int = 1; p: SecretStr`.
    fields = {
        "block_schema_references": {},
        "block_type_slug": "inner",
        "properties": {
            "a": {"default": 1, "title": "A", "type": "integer", "position": 0},
            "p": {
                "format": "password",
                "title": "P",
                "type": "string",
                "writeOnly": True,
                "position": 1,
            },
        },
        "required": ["p"],
        "secret_fields": ["p"],
        "title": "Inner",
        "type": "object",
    }

    assert checksum(fields) == (
        "sha256:eb80729e951d4892ad8a3b889ec2ac8d273fbeedb53ff5ad1233e83e3e72b031"
    )


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"secret_fields": ["a"]}, True),
        ({"title": "other"}, False),
        ({"definitions": {"Unused": MODEL}}, True),
        ({"definitions": {"Used": MODEL}}, False),
        ({"definitions": {"Used": BLOCK}}, True),
    ],
)
def test_secrets_unused_definitions_and_other_blocks_are_not_in_the_checksum(
    change: dict[str, Any], is_same: bool
) -> None:
    fields = {"title": "t", "properties": {"a": {"$ref": "#/definitions/Used"}}}

    assert (checksum({**fields, **change}) == checksum(fields)) is is_same


@pytest.mark.parametrize(
    ("secret_fields", "data", "places"),
    [
        (["a"], {"a": 1, "b": 2}, [("a",)]),
        (["a"], {"a": {"b": 1}}, [("a",)]),
        (["a"], {"a": None}, []),
        (["a"], {}, []),
        (["a.b"], {"a": {"b": 1, "c": 2}}, [("a", "b")]),
        (["a.b"], {"a": [{"b": 1}, {"c": 1}]}, [("a", 0, "b")]),
        (["a.*"], {"a": {"x": 1, "y": {"z": 2}}}, [("a", "x"), ("a", "y")]),
        (["a.*.k"], {"a": {"x": {"k": 1, "o": 2}}}, [("a", "x", "k")]),
        (["a.*"], {"a": "of another shape"}, [("a",)]),
        (["a.b"], {"a": "of another shape"}, [("a",)]),
        (["a.b"], {"a.b": 1}, [("a.b",)]),
        (["a", "a.b"], {"a": {"b": 1}}, [("a",)]),
        ([1, None], {"a": 1}, []),
        ("a", {"a": 1}, [("a",)]),
    ],
)
def test_secret_places_are_found(
    secret_fields: Any, data: dict[str, Any], places: list[Path]
) -> None:
    assert secret_paths({"secret_fields": secret_fields}, data) == places


def test_what_is_for_writing_only_is_secret_though_it_is_not_listed() -> None:
    fields = {"properties": {"a": {"writeOnly": True}, "b": {}}}

    assert secret_paths(fields, {"a": 1, "b": 2}) == [("a",)]


def test_values_are_replaced_in_a_copy() -> None:
    data = {"a": [{"b": 1}, 2], "c": 3}

    changed = replaced(data, {("a", 0, "b"): "x", ("c",): None})

    assert changed == {"a": [{"b": "x"}, 2], "c": None}
    assert data == {"a": [{"b": 1}, 2], "c": 3}
