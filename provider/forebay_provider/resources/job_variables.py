"""Job variables against a template: by the server's dry run, or without one as far as that goes.

Knows no deployment and no pool beyond its name and template.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from forebay import templates
from forebay.errors import ApiError, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection

NO_SUCH_ENDPOINT = (404, 405)
Problems = list[tuple[str | None, str]]  # the variable, None for all together, and what is wrong

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "array": (list,),
    "null": (type(None),),
}


def problems(
    client: Connection, pool: str, template: str | None, variables: Mapping[str, Any]
) -> Problems:
    """What the pool would not accept of `variables`; `template` is the one it will have.

    Without a template the pool's own is meant; of a pool without one, nothing can be told. A
    server without the dry run, or without the pool yet, leaves what can be told from the template.
    Raises `ForebayError`.
    """
    body: dict[str, Any] = {"job_variables": dict(variables)}
    if template is not None:
        body["base_job_template"] = json.loads(template)
    try:
        result = client.send(calls.dry_runs.validate(pool, wire.dry_runs.DryRun(**body)))
    except ApiError as error:
        if error.status not in NO_SUCH_ENDPOINT:
            raise
        return list(_offline(_template(client, pool, template), variables))
    return [
        (str(problem.loc[1]) if len(problem.loc) > 1 else None, problem.msg)
        for problem in result.problems
        if problem.loc[:1] == ["job_variables"]
    ]


def _template(client: Connection, pool: str, template: str | None) -> Mapping[str, Any]:
    if template is not None:
        found: Mapping[str, Any] = json.loads(template)
        return found
    try:
        return client.send(calls.work_pools.read(pool)).base_job_template
    except NotFound:
        return {}


def _offline(template: Mapping[str, Any], variables: Mapping[str, Any]) -> Iterator[Any]:
    declared = templates.variable_schemas(template)
    if not declared:
        return
    for name, value in templates.expand_dotted(variables).items():
        if name not in declared:
            yield name, "the template declares no such variable, so it does nothing"
        elif value is not None and (complaint := mismatch(value, declared[name])):
            yield name, complaint


def mismatch(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Why `value` does not fit the types and choices of a JSON schema, as far as it names them."""
    if alternatives := schema.get("anyOf"):
        complaints = [mismatch(value, each) for each in alternatives]
        return None if None in complaints else complaints[0]
    if "enum" in schema and value not in schema["enum"]:
        return f"{value!r} is not one of {schema['enum']!r}"
    named = schema.get("type", ())
    wanted = [named] if isinstance(named, str) else list(named)
    if not wanted or any(_is_a(value, type) for type in wanted):
        return None
    return f"{value!r} is not of type {' or '.join(map(repr, wanted))}"


def _is_a(value: Any, type: str) -> bool:
    if isinstance(value, bool) and type != "boolean":
        return False
    is_whole = type == "integer" and isinstance(value, float) and value.is_integer()
    return is_whole or isinstance(value, _TYPES.get(type, (object,)))
