"""Functions over base job templates, by the rules of servers and workers. Know no pool."""

import json
from collections.abc import Mapping
from typing import Any

from forebay import templates
from forebay_provider.framework import dynamic
from forebay_provider.framework.functions import Function, Parameter, Refused
from forebay_provider.framework.kinds import BOOL, DYNAMIC, STRING
from forebay_provider.framework.values import Dynamic, is_known
from forebay_provider.mapping import json_text
from forebay_provider.resources import job_template

MAX_DEPTH = 64  # of a template that a server would take

_TEMPLATE = Parameter(
    "template",
    DYNAMIC,
    "The base job template: an object, or its JSON as text, for example of `file`.",
)


def validate_job_template(template: Dynamic) -> bool:
    """True; a template that a server would refuse ends the call with the reason."""
    value = _object(template, 0)
    complaint = job_template.complaint(json.dumps(value))
    if complaint is not None:
        raise Refused(f"the template {complaint}", 0)
    return True


def merge_job_template(template: Dynamic, defaults: Dynamic) -> str:
    """The template with other defaults of its variables."""
    whole, values = _object(template, 0), _object(defaults, 1)
    _refuse_strange(whole, values, 1)
    return json_text(templates.with_defaults(whole, values))


def render_job_template(template: Dynamic, job_variables: Dynamic) -> str:
    """What a worker would run."""
    whole, values = _object(template, 0), _object(job_variables, 1)
    return json_text(templates.job_configuration(whole, values))


def job_template_variables(template: Dynamic) -> Dynamic | None:
    """The template's variables: JSON Schema by name."""
    return dynamic.from_json(dict(templates.variable_schemas(_object(template, 0))))


def _object(argument: Dynamic, position: int) -> dict[str, Any]:
    """The JSON object that an argument is, or that its text holds."""
    if not is_known(argument):
        raise Refused("must be known", position)
    value = dynamic.to_json(argument)
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise Refused(f"must be an object or its JSON ({error})", position) from None
    if not isinstance(value, dict):
        raise Refused("must be an object or its JSON", position)
    if _depth(value) > MAX_DEPTH:
        raise Refused(f"is nested more than {MAX_DEPTH} deep", position)
    return value


def _depth(value: Any) -> int:
    deepest, left = 0, [(value, 1)]
    while left:
        item, depth = left.pop()
        deepest = max(deepest, depth)
        inner = item.values() if isinstance(item, Mapping) else item
        if isinstance(item, Mapping | list):
            left.extend((part, depth + 1) for part in inner)
    return deepest


def _refuse_strange(template: Mapping[str, Any], values: Mapping[str, Any], position: int) -> None:
    declared = templates.variable_schemas(template)
    if strange := sorted(values.keys() - declared.keys()):
        known = ", ".join(sorted(declared)) or "nothing"
        raise Refused(
            f"names {', '.join(strange)}, which the template does not declare; it declares "
            f"{known}",
            position,
        )


FUNCTIONS = (
    Function(
        "validate_job_template",
        "Whether a server takes a base job template",
        "Returns true for a template that a server takes. Any other ends the plan with the "
        "reason, such as the name of a placeholder that is not declared.",
        (_TEMPLATE,),
        BOOL,
        validate_job_template,
    ),
    Function(
        "merge_job_template",
        "A base job template with other defaults",
        "Returns the template as JSON, with the given defaults for its variables; null takes a "
        "default away. A variable that the template does not declare is refused.",
        (
            _TEMPLATE,
            Parameter("defaults", DYNAMIC, "Defaults by name of variable: an object or JSON."),
        ),
        STRING,
        merge_job_template,
    ),
    Function(
        "render_job_template",
        "The job configuration that a worker makes of a template",
        "Returns as JSON what a worker would run: the template's `job_configuration`, filled from "
        "the defaults and the job variables. What has no value is left out.",
        (
            _TEMPLATE,
            Parameter("job_variables", DYNAMIC, "Values by name of variable: an object or JSON."),
        ),
        STRING,
        render_job_template,
    ),
    Function(
        "job_template_variables",
        "The variables that a base job template declares",
        "Returns the JSON Schema of each variable by its name, as an object.",
        (_TEMPLATE,),
        DYNAMIC,
        job_template_variables,
    ),
)
