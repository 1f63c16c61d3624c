"""The effective job configuration of a run that is only imagined. Pure: no SQL, no HTTP."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from forebay.templates import (
    Template,
    defaults,
    expand_dotted,
    job_configuration,
    merge_variables,
    variable_schemas,
)
from forebay.wire.dry_runs import DryRunResult, Origin, Problem, VariableValue
from forebay_server.errors import Invalid, NotFound
from forebay_server.json_schema import first_problem

Values = Mapping[str, Any]
Layers = Sequence[tuple[Origin, Values]]  # of job variables, the weakest first

ENV = "env"  # the variable whose keys are merged one by one


def template_problem(error: Invalid | NotFound) -> Problem:
    """Why a template was refused."""
    return Problem(loc=["base_job_template"], msg=str(error))


def dry_run(template: Template, layers: Layers) -> DryRunResult:
    """What a run would get of a template that was checked before."""
    given = [values for _, values in layers]
    problems = list(_problems(template, given))
    return DryRunResult(
        valid=not problems,
        problems=problems,
        variables=list(_values(template, layers)),
        job_configuration=job_configuration(template, *given),
    )


def _problems(template: Template, layers: Sequence[Values]) -> Iterator[Problem]:
    schema = template.get("variables") or {}
    declared = variable_schemas(template)
    merged = merge_variables(defaults(template), *layers)
    required = schema.get("required", ())
    is_told = False
    for name, value in merged.items():
        message = None
        if name not in declared:
            message = "the template declares no such variable, so it does nothing"
        elif value is not None or name in required:
            message = first_problem(value, declared[name], root=schema)
        if message is not None:
            is_told = True
            yield Problem(loc=["job_variables", name], msg=message)
    # What concerns no single variable, such as one that is missing.
    if not is_told and (message := first_problem(merged, schema)):
        yield Problem(loc=["job_variables"], msg=message)


def _values(template: Template, layers: Layers) -> Iterator[VariableValue]:
    found: dict[str, VariableValue] = {}
    for origin, values in ((Origin.DEFAULT, defaults(template)), *layers):
        for name, value in expand_dotted(values).items():
            if name == ENV and isinstance(value, Mapping):
                for key, item in value.items():
                    path = f"{ENV}.{key}"
                    found[path] = VariableValue(name=path, value=item, origin=origin)
            else:
                found[name] = VariableValue(name=name, value=value, origin=origin)
    for name in sorted(found):
        is_removed = name.startswith(f"{ENV}.") and found[name].value is None
        if not is_removed:
            yield found[name]
