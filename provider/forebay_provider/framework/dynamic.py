"""JSON values to and from values whose type travels with them. Knows no resource."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from forebay_provider.framework import kinds
from forebay_provider.framework.values import Dynamic


def from_json(value: Any) -> Dynamic | None:
    """The value as Terraform would type it as a literal: objects and tuples, no maps or lists."""
    return None if value is None else Dynamic(_kind(value), value)


def to_json(value: Any) -> Any:
    """The JSON value of a known `Dynamic`, or of anything inside one; null is None."""
    if isinstance(value, Dynamic):
        return to_json(value.value)
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_json(item) for item in value]
    return value


def _kind(value: Any) -> kinds.Kind:
    if value is None:
        return kinds.DYNAMIC
    if isinstance(value, bool):
        return kinds.BOOL
    if isinstance(value, str):
        return kinds.STRING
    if isinstance(value, Mapping):
        return kinds.Object({key: _kind(item) for key, item in value.items()})
    if isinstance(value, list):
        return kinds.Tuple([_kind(item) for item in value])
    return kinds.NUMBER
