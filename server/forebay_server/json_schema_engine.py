"""The engine behind `json_schema`: draft 2020-12 in bounded time, with nothing fetched.

Importing it costs a start as much as all that the server itself does then, so it is imported by
the first schema that is looked at.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator, SchemaError, ValidationError
from jsonschema.exceptions import best_match
from jsonschema.validators import extend
from pydantic_core import SchemaError as PatternError
from pydantic_core import SchemaValidator, core_schema
from pydantic_core import ValidationError as PatternMismatch
from referencing import Registry
from referencing.exceptions import Unresolvable

from forebay_server.json_schema import InvalidSchema, Schema

MAX_STEPS = 50_000  # of one check: keywords looked at, each counted with its alternatives
NOTHING_FETCHED: Registry[Any] = Registry()  # a reference that is not in the schema stays unknown
DATA_KEYWORDS = frozenset({"const", "default", "enum", "example", "examples"})  # hold no schema

_steps_left: ContextVar[list[int]] = ContextVar("steps_left")


class _TooManySteps(Exception):
    pass


def check_schema(schema: Schema) -> None:
    """As `json_schema.check_schema`."""
    for keyword, value in _keywords(schema):
        if keyword in ("$ref", "$dynamicRef") and not value.startswith("#"):
            raise InvalidSchema(f"{keyword} may only refer to the schema itself (#…): {value!r}")
        if keyword == "pattern":
            _compiled(value)
    try:
        error = best_match(
            Draft202012Validator(Draft202012Validator.META_SCHEMA).iter_errors(schema)
        )
    except RecursionError:
        raise InvalidSchema("it is nested too deep") from None
    if error is not None:
        raise InvalidSchema(_told(error))


def first_problem(value: Any, schema: Schema, *, root: Schema | None = None) -> str | None:
    """As `json_schema.first_problem`."""
    whole = _without_dialect(root if root is not None else schema)
    validator = _Bounded(whole, registry=NOTHING_FETCHED)
    if root is not None:
        validator = validator.evolve(schema=_without_dialect(schema))
    left = _steps_left.set([MAX_STEPS])
    try:
        error = next(validator.iter_errors(value), None)
    except Unresolvable as unknown:
        return f"the schema refers to {unknown.ref!r}, which it does not have"
    except (RecursionError, _TooManySteps):
        return "checking it takes too long: the value is too large, or references have no end"
    except InvalidSchema as invalid:
        return str(invalid)
    finally:
        _steps_left.reset(left)
    return None if error is None else _told(error)


def _told(error: ValidationError | SchemaError) -> str:
    where = ".".join(map(str, error.absolute_path))
    told = {
        "required": error.message,  # names keys only, as does the next one
        "additionalProperties": error.message,
        "anyOf": "must be valid under one of the given schemas",
        "oneOf": "must be valid under exactly one of the given schemas",
    }.get(str(error.validator))
    if told is None:
        told = f"must satisfy {error.validator}: {json.dumps(error.validator_value)[:200]}"
    return f"{where}: {told}" if where else told


def _keywords(schema: Any) -> Iterator[tuple[str, str]]:
    """Keywords with a text as value; a property that is called like one has no text."""
    left = [schema]
    while left:
        item = left.pop()
        if isinstance(item, Mapping):
            yield from ((key, value) for key, value in item.items() if isinstance(value, str))
            left.extend(value for key, value in item.items() if key not in DATA_KEYWORDS)
        elif isinstance(item, list):
            left.extend(item)


def _without_dialect(schema: Any) -> Any:
    # A `$schema` inside would make jsonschema go on with its own, unbounded validator.
    if isinstance(schema, Mapping):
        return {key: _without_dialect(v) for key, v in schema.items() if key != "$schema"}
    if isinstance(schema, list):
        return [_without_dialect(item) for item in schema]
    return schema


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> SchemaValidator:
    try:
        return SchemaValidator(core_schema.str_schema(pattern=pattern, regex_engine="rust-regex"))
    except PatternError as error:
        reason = str(error).strip().splitlines()[-1]
        raise InvalidSchema(f"pattern {pattern[:80]!r} is not supported: {reason}") from None


def _pattern(
    validator: Any, pattern: str, instance: Any, schema: Schema
) -> Iterator[ValidationError]:
    if not isinstance(instance, str):
        return
    try:
        _compiled(pattern).validate_python(instance)
    except PatternMismatch:
        yield ValidationError(f"must match {pattern!r}")


def _properties(
    validator: Any, properties: Mapping[str, Any], instance: Any, schema: Schema
) -> Iterator[ValidationError]:
    if not isinstance(instance, Mapping):
        return
    required = schema.get("required", ())
    for name, subschema in properties.items():
        if name in instance and (instance[name] is not None or name in required):
            yield from validator.descend(instance[name], subschema, path=name, schema_path=name)


def _additional_properties(
    validator: Any, additional: Any, instance: Any, schema: Schema
) -> Iterator[ValidationError]:
    # With patterns beside it, the keyword would run them in the standard library's engine.
    if "patternProperties" not in schema:
        check = Draft202012Validator.VALIDATORS["additionalProperties"]
        yield from check(validator, additional, instance, schema) or ()


def _unique_items(
    validator: Any, is_wanted: bool, instance: Any, schema: Schema
) -> Iterator[ValidationError]:
    # jsonschema compares every item with every other where they cannot be sorted.
    if not is_wanted or not isinstance(instance, list):
        return
    if len({json.dumps(item, sort_keys=True) for item in instance}) < len(instance):
        yield ValidationError("has equal items")


def _unchecked(*_: Any) -> None:
    """Stand for a keyword that would need time without bound."""


def _counted(check: Callable[..., Any]) -> Callable[..., Any]:
    def counted(validator: Any, value: Any, instance: Any, schema: Schema) -> Any:
        left = _steps_left.get()
        left[0] -= 1 + (len(value) if isinstance(value, (list, dict)) else 0)
        if left[0] < 0:
            raise _TooManySteps
        return check(validator, value, instance, schema)

    return counted


_KEYWORDS = {
    **Draft202012Validator.VALIDATORS,
    "pattern": _pattern,
    "properties": _properties,
    "additionalProperties": _additional_properties,
    "patternProperties": _unchecked,
    "unevaluatedProperties": _unchecked,
    "unevaluatedItems": _unchecked,
    "uniqueItems": _unique_items,
}
_Bounded = extend(
    Draft202012Validator, {name: _counted(check) for name, check in _KEYWORDS.items()}
)
