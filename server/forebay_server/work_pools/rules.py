"""Which names and base job templates a pool may have. Knows neither HTTP nor SQL."""

import json
from collections.abc import Collection
from typing import Any
from uuid import UUID

from forebay.templates import Template, undeclared, variable_schemas
from forebay_server.blocks.schemas import referred_id
from forebay_server.errors import Forbidden, Invalid, NotFound
from forebay_server.json_schema import InvalidSchema, check_schema, first_problem

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
MAX_NODES = 2000
MAX_VARIABLES = 200

RESERVED = "prefect"  # how the names of a server's own pools begin
OPEN_FIELDS = frozenset({"is_paused", "concurrency_limit"})  # what may be changed on them


def is_reserved(name: str) -> bool:
    """Whether pools of that name are not the caller's to make, reshape or delete."""
    return name.lower().startswith(RESERVED)


def refuse_reserved(name: str) -> None:
    """Raise `Forbidden` for a reserved name."""
    if is_reserved(name):
        raise Forbidden(f'Work pools whose name begins with "{RESERVED}" are reserved.')


def check_template(template: Template, blocks: Collection[UUID] = ()) -> None:
    """Raise `Invalid` for a template that no worker could use; `{}` is one to be filled later.

    Source: Prefect 3.8.4 `validate_base_job_template` and `api/validation.py`; it looks at schema
    and defaults on create only, here they are looked at on update too. A default that refers to a
    block which is not one of `blocks` raises `NotFound`. Bounds: rules S6 and S7.
    """
    if not template:
        return
    _check_size(template)
    configuration, variables = template.get("job_configuration"), template.get("variables")
    if not configuration or not variables:
        raise _refusal("it must contain both job_configuration and variables, neither empty")
    if not isinstance(configuration, dict) or not isinstance(variables, dict):
        raise _refusal("job_configuration and variables must be objects")
    if len(variable_schemas(template)) > MAX_VARIABLES:
        raise _refusal(f"it declares more than {MAX_VARIABLES} variables")
    if unknown := undeclared(template):
        raise _refusal(
            f"job_configuration uses {', '.join(unknown)}, which variables.properties does not "
            "declare; declare each there or take its placeholder out"
        )
    try:
        check_schema(variables)
    except InvalidSchema as error:
        raise _refusal(f"variables is no valid JSON Schema: {error}") from None
    _check_defaults(template, blocks)


def referred_blocks(template: Template) -> set[UUID]:
    """The blocks that defaults refer to: credentials that a pool's runs begin with."""
    if not isinstance(template.get("variables"), dict):
        return set()
    schemas = variable_schemas(template).values()
    defaults = [schema.get("default") for schema in schemas if isinstance(schema, dict)]
    return {id for id in map(referred_id, defaults) if id is not None}


def _check_defaults(template: Template, blocks: Collection[UUID]) -> None:
    variables = template["variables"]
    required = variables.get("required", ())
    for name, schema in variable_schemas(template).items():
        if not isinstance(schema, dict) or "default" not in schema:
            continue
        default = schema["default"]
        if default is None and name not in required:
            continue
        if _is_block_reference(default):
            if referred_id(default) not in blocks:
                raise NotFound(f"Block not found: the default of {name} refers to it.")
            continue  # the block's own schema says what it holds
        if problem := first_problem(default, schema, root=variables):
            raise _refusal(f"the default of {name} is not valid: {problem}")


def _is_block_reference(value: Any) -> bool:
    reference = value.get("$ref") if isinstance(value, dict) else None
    return isinstance(reference, dict) and "block_document_id" in reference


def _check_size(template: Template) -> None:
    nodes, deepest = 0, 0
    left: list[tuple[Any, int]] = [(template, 1)]
    while left:
        item, depth = left.pop()
        nodes, deepest = nodes + 1, max(deepest, depth)
        parts = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        left.extend((part, depth + 1) for part in parts)
    if nodes > MAX_NODES:
        raise _refusal(f"it has {nodes} values, more than {MAX_NODES}")
    if deepest > MAX_DEPTH:
        raise _refusal(f"it is nested {deepest} deep, more than {MAX_DEPTH}")
    if len(json.dumps(template, ensure_ascii=False).encode()) > MAX_BYTES:
        raise _refusal(f"it is larger than {MAX_BYTES} bytes")


def _refusal(reason: str) -> Invalid:
    """Both shapes of 422 at once, so that clients find the sentence and the field."""
    message = f"base_job_template is not valid: {reason}."
    problem = {"type": "value_error", "loc": ["body", "base_job_template"], "msg": message}
    return Invalid(
        message,
        exception_message="Invalid request received.",
        exception_detail=[problem],
        request_body=None,
    )
