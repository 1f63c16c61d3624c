"""Job variables that a pool's template does not know. Knows neither HTTP nor SQL."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from forebay.templates import Template, expand_dotted, variable_schemas
from forebay_server.errors import Invalid

MAX_SHOWN = 80  # characters of a name that is not known


def unknown_variables(template: Template, variables: Mapping[str, Any] | None) -> list[str]:
    """Names that the template does not declare, sorted: what they say, nobody hears.

    A pool without a template gets one from its first worker, and a template whose variables allow
    further properties means them.
    """
    schema = template.get("variables")
    if not isinstance(schema, Mapping):
        return []
    if schema.get("patternProperties") or schema.get("additionalProperties", False) is not False:
        return []
    known = set(variable_schemas(template))
    configuration = template.get("job_configuration")
    literal = configuration.get("env") if isinstance(configuration, Mapping) else None
    if literal and isinstance(literal, Mapping):
        known.add("env")  # which is added to what the template has literally
    return sorted(set(expand_dotted(variables or {})) - known)


def check_known(template: Template, variables: Mapping[str, Any] | None) -> None:
    """Raise `Invalid`, naming each, for variables that the pool's template does not declare."""
    unknown = unknown_variables(template, variables)
    if not unknown:
        return
    known = sorted(variable_schemas(template))
    problems = [
        {
            "type": "unknown_job_variable",
            "loc": ["body", "job_variables", name[:MAX_SHOWN]],
            "msg": _complaint(name[:MAX_SHOWN], known),
        }
        for name in unknown
    ]
    raise Invalid(
        f"job_variables: {problems[0]['msg']}",
        exception_message="Invalid request received.",
        exception_detail=problems,
        request_body=None,
    )


def _complaint(name: str, known: list[str]) -> str:
    nearest = get_close_matches(name, known, n=1)
    meant = f' Did you mean "{nearest[0]}"?' if nearest else ""
    listed = ", ".join(known) or "none"
    return f'the pool\'s template declares no variable "{name}".{meant} It declares: {listed}.'
