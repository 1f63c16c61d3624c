"""Base job template + variables → job configuration. Pure; knows no API and no worker type.

A placeholder is `{{ name }}` and stands for a declared variable; there is no expression, no
filter and no second pass, so a value that itself contains braces stays text.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

Json = Any
Template = Mapping[str, Any]  # {"job_configuration": {...}, "variables": {"properties": {...}}}

_PLACEHOLDER = re.compile(r"\{\{\s*([\w$.\-\[\]]+)\s*\}\}")


class _Absent:
    """The value of a variable that was not given and has no default; not null."""


ABSENT = _Absent()


def placeholders(value: Json) -> Iterator[str]:
    """Names of the placeholders anywhere in `value`, keys included, in order, repeats too."""
    if isinstance(value, str):
        yield from _PLACEHOLDER.findall(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from placeholders(key)
            yield from placeholders(item)
    elif isinstance(value, list):
        for item in value:
            yield from placeholders(item)


def variable_schemas(template: Template) -> Mapping[str, Any]:
    """The template's declared variables: JSON Schema by name."""
    variables = template.get("variables")
    properties = variables.get("properties") if isinstance(variables, Mapping) else None
    return properties if isinstance(properties, Mapping) else {}


def undeclared(template: Template) -> list[str]:
    """Placeholders of `job_configuration` that are no declared variable, sorted.

    Source: Prefect 3.8.4 refuses such a template with 422.
    """
    used = set(placeholders(template.get("job_configuration")))
    return sorted(used - set(variable_schemas(template)))


def defaults(template: Template) -> dict[str, Json]:
    """Default by variable; a variable without a `default` key is left out."""
    return {
        name: schema["default"]
        for name, schema in variable_schemas(template).items()
        if isinstance(schema, Mapping) and "default" in schema
    }


def with_defaults(template: Template, values: Mapping[str, Json]) -> dict[str, Json]:
    """`template` with other defaults for declared variables; null takes a default away.

    What `template` does not declare is left out: `variable_schemas` tells.
    """
    schemas = dict(variable_schemas(template))
    for name, value in values.items():
        if isinstance(schema := schemas.get(name), Mapping):
            rest = {key: item for key, item in schema.items() if key != "default"}
            schemas[name] = rest if value is None else {**rest, "default": value}
    variables = {**_mapping(template.get("variables")), "properties": schemas}
    return {**template, "variables": variables}


def merge_variables(*layers: Mapping[str, Json] | None) -> dict[str, Json]:
    """Job variables of all layers, the weakest first.

    A later layer replaces a variable whole; only `env` is merged key by key, where null removes
    a key. A dotted name (`env.FOO`) sets one key of an object.
    """
    merged: dict[str, Json] = {}
    for layer in layers:
        for name, value in expand_dotted(layer or {}).items():
            if name == "env" and isinstance(value, Mapping):
                merged["env"] = merge_env(merged.get("env"), value)
            else:
                merged[name] = value
    return merged


def expand_dotted(variables: Mapping[str, Json]) -> dict[str, Json]:
    """`variables` with dotted names turned into nested objects; plain names come first."""
    expanded = {name: value for name, value in variables.items() if "." not in name}
    for name, value in variables.items():
        first, *rest = name.split(".")
        if not rest or not all((first, *rest)):
            expanded[name] = value
            continue
        target = expanded[first] = dict(_mapping(expanded.get(first)))
        for part in rest[:-1]:
            target[part] = dict(_mapping(target.get(part)))
            target = target[part]
        target[rest[-1]] = value
    return expanded


def merge_env(*layers: Json) -> dict[str, Json]:
    """Environment variables of all layers, the weakest first; null removes a key."""
    merged: dict[str, Json] = {}
    for layer in layers:
        merged.update(_mapping(layer))
    return {key: value for key, value in merged.items() if value is not None}


def job_configuration(template: Template, *layers: Mapping[str, Json] | None) -> dict[str, Json]:
    """What a worker runs: the template's `job_configuration` filled from defaults and `layers`.

    Layers of job variables go from the weakest (deployment) to the strongest (run). Literal
    entries of `env` in the template are weaker than any variable.
    """
    variables = merge_variables(defaults(template), *layers)
    configuration = _mapping(template.get("job_configuration"))
    rendered = render(dict(configuration), variables)
    assert isinstance(rendered, dict)
    literal = _mapping(configuration.get("env"))
    if literal:
        rendered["env"] = merge_env(_mapping(rendered.get("env")), variables.get("env"))
    return rendered


def render(value: Json, variables: Mapping[str, Json]) -> Json:
    """`value` with its placeholders replaced, in one pass.

    A string that is exactly one placeholder becomes the variable's value with its own type, or
    `ABSENT`, which drops its key or item. Inside other text a value is written as text and an
    absent one as nothing.
    """
    if isinstance(value, str):
        return _render_text(value, variables)
    if isinstance(value, Mapping):
        items = ((key, render(item, variables)) for key, item in value.items())
        return {
            _as_text(render(key, variables)): item for key, item in items if item is not ABSENT
        }
    if isinstance(value, list):
        return [item for item in (render(i, variables) for i in value) if item is not ABSENT]
    return value


def _render_text(text: str, variables: Mapping[str, Json]) -> Json:
    if whole := _PLACEHOLDER.fullmatch(text):
        return _look_up(whole[1], variables)
    return _PLACEHOLDER.sub(lambda found: _as_text(_look_up(found[1], variables)), text)


def _look_up(name: str, variables: Mapping[str, Json]) -> Json:
    """The value of `name`; a dotted name that is no variable itself walks into objects."""
    if name in variables:
        return variables[name]
    found: Json = variables
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return ABSENT
        found = found[part]
    return found


def _as_text(value: Json) -> str:
    if value is ABSENT:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _mapping(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}
