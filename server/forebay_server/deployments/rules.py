"""Which values a deployment and its runs may have. Knows neither HTTP nor SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from forebay.templates import Template, defaults, merge_variables
from forebay.wire.schedules import Schedule
from forebay_server.deployments import recurrence
from forebay_server.errors import Conflict, Invalid
from forebay_server.json_schema import InvalidSchema, check_schema, first_problem

Location = Sequence[str | int]  # of a value in the body

CREATING = "Error creating deployment"
RUNNING = "Error creating flow run"

Values = Mapping[str, Any]


def check_parameter_schema(schema: Values | None) -> None:
    """Raise `Invalid` unless parameters can be checked against `schema`."""
    try:
        check_schema(schema or {})
    except InvalidSchema as error:
        raise Invalid(f"{CREATING}: parameter_openapi_schema is not valid: {error}") from None


def check_default_parameters(parameters: Values, schema: Values | None) -> None:
    """Raise `Invalid` for defaults that no run could use; runs may add what is missing."""
    problem = first_problem(parameters, _without_required(schema or {}))
    if problem:
        raise Invalid(f"{CREATING}: Validation failed. Failure reason: {problem}")


def check_run_parameters(parameters: Values, schema: Values | None) -> None:
    """Raise `Conflict` for parameters that the deployment's schema does not allow."""
    if problem := first_problem(parameters, schema or {}):
        raise Conflict(f"{RUNNING}: Validation failed. Failure reason: {problem}")


def job_variable_problem(template: Template, variables: Values) -> str | None:
    """What is wrong with a deployment's variables, if anything; runs may add what is missing."""
    schema = template.get("variables")
    if not schema or not variables:
        return None
    return first_problem(merge_variables(variables), _without_required(schema))


def check_run_variables(template: Template, *layers: Values | None) -> None:
    """Raise `Invalid` unless the layers, weakest first, fill the pool's template.

    Source: Prefect 3.8.4 `validate_job_variables_for_deployment_flow_run`.
    """
    schema = template.get("variables")
    if not schema:
        return
    if problem := first_problem(merge_variables(defaults(template), *layers), schema):
        raise Invalid(f"{RUNNING}: Validation failed. Failure reason: {problem}")


def check_schedule(schedule: Schedule, now: datetime, location: Location) -> None:
    """Raise `Invalid`, naming the field, for a schedule that cannot be followed."""
    try:
        recurrence.check(schedule, now)
    except recurrence.BadSchedule as error:
        path = [*location, error.field]
        message = f"{error.field} {error}"
        raise Invalid(
            f"{'.'.join(map(str, path))}: {message}",
            exception_message="Invalid request received.",
            exception_detail=[{"type": "value_error", "loc": ["body", *path], "msg": message}],
            request_body=None,
        ) from None


def check_slugs(slugs: Sequence[str | None]) -> None:
    """Raise `Conflict` when two schedules of a deployment have one slug."""
    named = [slug for slug in slugs if slug is not None]
    twice = sorted({slug for slug in named if named.count(slug) > 1})
    if twice:
        raise Conflict(f'The slug "{twice[0]}" is that of more than one schedule.')


def united(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Tags of both, each once, in the order they come."""
    return list(dict.fromkeys([*first, *second]))


def _without_required(schema: Values) -> Values:
    return {key: value for key, value in schema.items() if key != "required"}
