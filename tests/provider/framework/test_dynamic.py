"""JSON values as values whose type travels with them, and back."""

from decimal import Decimal
from typing import Any

import pytest

from forebay_provider.framework import codec, dynamic
from forebay_provider.framework.kinds import DYNAMIC, NUMBER, STRING, Map, Sequence
from forebay_provider.framework.values import Dynamic

VALUES: list[Any] = ["ü", 1, 0.5, True, [], {}, [1, "two", [None]], {"a": {"b": None}, "c": [1.5]}]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_json_value_survives_the_way_to_terraform_and_back(value: Any) -> None:
    sent = codec.encode(DYNAMIC, dynamic.from_json(value))

    assert dynamic.to_json(codec.decode(DYNAMIC, sent)) == value


def test_null_has_no_type_of_its_own() -> None:
    assert dynamic.from_json(None) is None
    assert dynamic.to_json(None) is None


def test_value_of_any_type_has_its_json() -> None:
    words = Dynamic(Sequence(STRING), ["a"])
    numbers = Dynamic(Map(NUMBER), {"a": Decimal("0.1")})

    assert dynamic.to_json(words) == ["a"]
    assert dynamic.to_json(numbers) == {"a": 0.1}
