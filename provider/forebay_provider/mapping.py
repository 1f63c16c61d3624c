"""Models to request bodies and answers to models, by field name. Knows no resource."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from forebay.errors import FieldProblem, Invalid
from forebay_provider.framework.declarations import declaration, from_values, to_values
from forebay_provider.framework.semantics import means_same
from forebay_provider.framework.values import Unknown

if TYPE_CHECKING:
    from pydantic import BaseModel

M = TypeVar("M")
W = TypeVar("W", bound="BaseModel")


def to_wire(plan: object, shape: type[W], since: object | None = None) -> W:
    """The request body of a planned object: what is null in it is sent as null.

    What is unknown is left to the API; with `since`, so is what did not change. Raises `Invalid`
    where the API itself would answer 422.
    """
    from pydantic import ValidationError

    body: dict[str, Any] = {}
    for attribute in declaration(plan).attributes:
        value = getattr(plan, attribute.name)
        if attribute.wire not in shape.model_fields or isinstance(value, Unknown):
            continue
        if since is not None and means_same(attribute, value, getattr(since, attribute.name)):
            continue
        is_text = attribute.is_json and value is not None
        body[attribute.wire] = json.loads(value) if is_text else value
    try:
        return shape.model_validate(body)
    except ValidationError as error:
        problems = tuple(FieldProblem(e["loc"], e["msg"]) for e in error.errors())
        raise Invalid("the request is not valid", problems=problems) from None


def completed(plan: M, read: Callable[[], M]) -> M:
    """`plan` with what is unknown in it taken from the object that `read` answers.

    What was known is kept: it was a promise to Terraform. If somebody changes the object
    meanwhile, the next refresh tells.
    """
    values = to_values(plan)
    unknown = [name for name, value in values.items() if isinstance(value, Unknown)]
    if unknown:
        found = to_values(read())
        values |= {name: found[name] for name in unknown}
    return from_values(type(plan), values)


def from_wire(model: type[M], answer: "BaseModel") -> M:
    """The object that the API answered; JSON objects become JSON text."""
    data = answer.model_dump(mode="json")
    values = {}
    for attribute in declaration(model).attributes:
        value = data.get(attribute.wire)
        if attribute.is_json and value is not None:
            value = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        values[attribute.name] = value
    return from_values(model, values)
