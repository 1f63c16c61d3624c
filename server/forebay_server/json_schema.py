"""Checks JSON values against schemas that users wrote, in bounded time. Knows no domain."""

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]


class InvalidSchema(ValueError):
    """A schema that cannot be used; the text says why and where."""


def check_schema(schema: Schema) -> None:
    """Raise `InvalidSchema` unless `schema` is draft 2020-12 with local references only.

    Patterns must suit an engine of linear time, so neither look-around nor back-references.
    """
    from forebay_server import json_schema_engine  # imported late: see there

    json_schema_engine.check_schema(schema)


def first_problem(value: Any, schema: Schema, *, root: Schema | None = None) -> str | None:
    """What is wrong with `value`, or None; never the value itself, which may be a secret.

    `root` is where the references of `schema` point into. Null is accepted for every property
    that is not required (Prefect 3.8.4: `preprocess_schema`). What only `patternProperties` or
    an `unevaluated…` keyword describes is not checked.
    """
    from forebay_server import json_schema_engine  # imported late: see there

    return json_schema_engine.first_problem(value, schema, root=root)
