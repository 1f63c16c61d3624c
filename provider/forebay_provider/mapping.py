"""Models to request bodies and answers to models, by field name. Knows no resource."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from forebay.errors import FieldProblem, Invalid
from forebay_provider.framework import dynamic
from forebay_provider.framework.declarations import (
    Attribute,
    declaration,
    from_values,
    to_values,
)
from forebay_provider.framework.kinds import DYNAMIC
from forebay_provider.framework.semantics import means_same
from forebay_provider.framework.values import Unknown
from forebay_provider.rows import Row

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M")
W = TypeVar("W", bound="BaseModel")


def to_wire(plan: object, shape: type[W], since: object | None = None, **fixed: Any) -> W:
    """The request body of a planned object: what is null in it is sent as null.

    What is unknown is left to the API; with `since`, so is what did not change. `fixed` are
    fields that are no attributes. Raises `Invalid` where the API itself would answer 422.
    """
    from pydantic import ValidationError

    before = None if since is None else to_values(since)
    values = to_values(plan)
    body: dict[str, Any] = {}
    for attribute in declaration(plan).attributes:
        value = values[attribute.name]
        if attribute.wire not in shape.model_fields or isinstance(value, Unknown):
            continue
        if before is not None and means_same(attribute, value, before[attribute.name]):
            continue
        body[attribute.wire] = _to_json(attribute, value)
    try:
        return shape.model_validate({**body, **fixed})
    except ValidationError as error:
        problems = tuple(FieldProblem(e["loc"], e["msg"]) for e in error.errors())
        raise Invalid("the request is not valid", problems=problems) from None


def completed(plan: M, read: Callable[[], M]) -> M:
    """`plan` with what is unknown in it taken from the object that `read` answers.

    What was known is kept: it was a promise to Terraform. If somebody changes the object
    meanwhile, the next refresh tells.
    """
    values = to_values(plan)
    if _is_decided(values):
        return plan
    return from_values(type(plan), _decided(values, to_values(read())))


def from_wire(model: type[M], answer: "BaseModel | Row") -> M:
    """The object that the API answered; JSON objects become JSON text."""
    if isinstance(answer, dict):
        return from_values(model, _from_json(model, answer))
    # Times that nobody keeps cost most of it.
    kept = {attribute.wire for attribute in declaration(model).attributes}
    data = answer.model_dump(mode="json", include=kept)
    return from_values(model, _from_json(model, data))


def json_text(value: Any) -> str:
    """The JSON of a value in the one form that the provider writes: sorted, no spaces."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _to_json(attribute: Attribute, value: Any) -> Any:
    if value is None:
        return None
    if attribute.is_json:
        return json.loads(value)
    if attribute.kind is DYNAMIC:
        return dynamic.to_json(value)
    if attribute.nested is None:
        return value
    model = attribute.nested
    if attribute.nesting == "single":
        return _object_to_json(model, value)
    if attribute.nesting == "map":
        return {key: _object_to_json(model, item) for key, item in value.items()}
    return [_object_to_json(model, item) for item in value]


def _object_to_json(model: type[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        a.wire: _to_json(a, values[a.name])
        for a in declaration(model).attributes
        if not isinstance(values[a.name], Unknown)
    }


def _from_json(model: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        a.name: _value_of(a, data.get(a.wire, a.default)) for a in declaration(model).attributes
    }


def _value_of(attribute: Attribute, value: Any) -> Any:
    if value is None:
        return None
    if attribute.is_json:
        return json_text(value)
    if attribute.kind is DYNAMIC:
        return dynamic.from_json(value)
    if attribute.nested is None:
        return value
    if attribute.nesting == "single":
        return _from_json(attribute.nested, value)
    if attribute.nesting == "map":
        return {key: _from_json(attribute.nested, item) for key, item in value.items()}
    return [_from_json(attribute.nested, item) for item in value]


def _is_decided(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_decided, value.values()))
    return not isinstance(value, Unknown)


def _decided(value: Any, found: Any) -> Any:
    if isinstance(value, Unknown):
        return found
    if isinstance(value, dict) and isinstance(found, dict):
        return {key: _decided(item, found.get(key)) for key, item in value.items()}
    return value
