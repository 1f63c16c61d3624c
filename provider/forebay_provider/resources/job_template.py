"""Base job templates: checked offline by the server's rules, and made from a type's. Knows no pool."""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from forebay import pool_types, templates
from forebay_provider.framework import dynamic
from forebay_provider.framework.declarations import JsonText
from forebay_provider.framework.values import Dynamic
from forebay_provider.mapping import json_text
from forebay_provider.resources.job_variables import mismatch


def complaint(text: str) -> str | None:
    """What the server would refuse in a template, if anything; an empty one is no template."""
    template = json.loads(text)
    if not isinstance(template, dict):
        return "must be a JSON object"
    if not template:
        return None
    parts = ("job_configuration", "variables")
    if missing := [part for part in parts if not template.get(part)]:
        return f"must have job_configuration and variables; missing or empty: {', '.join(missing)}"
    if not all(isinstance(template[part], dict) for part in parts):
        return "must have objects as job_configuration and variables"
    if undeclared := templates.undeclared(template):
        used = ", ".join(f"{{{{ {name} }}}}" for name in undeclared)
        return (
            f"uses {used}, which variables.properties does not declare; it declares "
            f"{_declared(template)}. Declare it there, or correct the name"
        )
    return None


def defaults_complaint(type: str, defaults: Dynamic) -> str | None:
    """What is wrong with defaults for the template of a type, if anything."""
    values = dynamic.to_json(defaults)
    if not isinstance(values, Mapping):
        return "must be an object: defaults by name of variable"
    if type not in pool_types.pool_types():
        known = ", ".join(pool_types.pool_types())
        return (
            f'needs a type whose template is known, and "{type}" is none of {known}. Set '
            "base_job_template instead"
        )
    template = pool_types.default_template(type)
    if strange := sorted(values.keys() - templates.variable_schemas(template).keys()):
        return (
            f'names {", ".join(strange)}, which the template of "{type}" does not declare; it '
            f"declares {_declared(template)}"
        )
    schemas = templates.variable_schemas(template)
    for name, value in values.items():
        if value is not None and (wrong := mismatch(value, schemas[name])):
            return f'has "{name}" wrong: {wrong}'
    return None


def of_type(type: str, defaults: Dynamic | None) -> JsonText | None:
    """The template of a type with other defaults; None for a type without a known one."""
    if type not in pool_types.pool_types():
        return None
    if defaults is None:
        return _own(type)
    template = pool_types.default_template(type)
    return JsonText(json_text(templates.with_defaults(template, dynamic.to_json(defaults))))


@cache
def _own(type: str) -> JsonText:
    """The template of a type as it is: every pool of the type is compared with it."""
    return JsonText(json_text(pool_types.default_template(type)))


def defaults_of(type: str, text: str) -> Dynamic | None:
    """The defaults that make `text` of the type's template; None if there are none, or no way."""
    template = json.loads(text)
    original = templates.defaults(pool_types.default_template(type))
    changed = templates.defaults(template)
    values: dict[str, Any] = {n: v for n, v in changed.items() if original.get(n, ...) != v}
    values |= {name: None for name in original.keys() - changed.keys()}
    found = dynamic.from_json(values)
    return found if values and of_type(type, found) == json_text(template) else None


def _declared(template: Mapping[str, Any]) -> str:
    return ", ".join(sorted(templates.variable_schemas(template))) or "nothing"
