"""When two values of an attribute mean the same. Knows no plan."""

import json
from decimal import Decimal
from typing import Any

from forebay_provider.framework.declarations import Attribute, declaration
from forebay_provider.framework.dynamic import to_json
from forebay_provider.framework.kinds import DYNAMIC, Set
from forebay_provider.framework.values import Unknown, is_known


def means_same(attribute: Attribute, one: Any, other: Any) -> bool:
    """Whether two values say the same to the API: JSON text compares by its value.

    So do values of any type, because the API knows no other types than those of JSON.
    """
    if attribute.kind.same(one, other):
        return True
    if one is None or other is None or isinstance(one, Unknown) or isinstance(other, Unknown):
        return False
    if attribute.kind is DYNAMIC:
        is_decided = is_known(one) and is_known(other)
        return is_decided and bool(_comparable(to_json(one)) == _comparable(to_json(other)))
    return attribute.is_json and json_equal(one, other)


def json_equal(one: str, other: str) -> bool:
    """Whether two JSON texts have one value: objects without order, numbers exact."""
    try:
        return bool(_comparable(_load(one)) == _comparable(_load(other)))
    except (ValueError, RecursionError):
        return False


def keep_form(model: type[Any], values: dict[str, Any], like: dict[str, Any]) -> dict[str, Any]:
    """`values` with the bytes and the order of `like` wherever both mean the same."""
    return {
        a.name: _keep(a, values[a.name], like.get(a.name)) for a in declaration(model).attributes
    }


def _keep(attribute: Attribute, value: Any, like: Any) -> Any:
    if value is like or means_same(attribute, value, like):
        return like
    nested = attribute.nested
    if nested is None or isinstance(attribute.kind, Set) or not _continues(value, like):
        return value
    if attribute.nesting == "single":
        return keep_form(nested, value, like)
    if attribute.nesting == "map":
        return {key: _keep_one(nested, item, like.get(key)) for key, item in value.items()}
    olds = [*like, *[None] * len(value)]
    return [_keep_one(nested, item, old) for item, old in zip(value, olds, strict=False)]


def _keep_one(model: type[Any], value: Any, like: Any) -> Any:
    return keep_form(model, value, like) if _continues(value, like) else value


def _continues(value: Any, like: Any) -> bool:
    return isinstance(value, dict | list) and type(value) is type(like)


def _load(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


def _comparable(value: Any) -> Any:
    # JSON tells true from 1 and Python does not.
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, dict):
        return {key: _comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    return value
