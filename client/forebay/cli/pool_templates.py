"""Base job templates as commands handle them: where one comes from, merged and compared."""

import difflib
import json
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import typer

from forebay.cli.everywhere import may_ask
from forebay.cli.failures import MissingPackage
from forebay.templates import variable_schemas, with_defaults

DEFAULT_TYPE = "process"

Template = Mapping[str, Any]


class Source(StrEnum):
    """Where the default template of a type is taken from."""

    BUNDLED = "bundled"  # this package's own data
    WORKER = "worker"  # what the installed worker type declares


def default_template(type: str, source: Source | None = None) -> dict[str, Any]:
    """The base job template that a new pool of the type begins with.

    Without a source the bundled one, and an installed worker's for a type that is not bundled.
    """
    from forebay.pool_types import default_template as bundled_template
    from forebay.pool_types import pool_types

    if source is not Source.WORKER and type in pool_types():
        return bundled_template(type)
    if source is Source.BUNDLED:
        raise typer.BadParameter(
            f"no type {type!r} is bundled; bundled: {', '.join(pool_types())}."
        )
    return _workers_template(type, list(pool_types()))


def with_values(template: Template, values: Mapping[str, Any], option: str) -> dict[str, Any]:
    """`template` with other defaults of its variables. Raises a usage error for unknown ones."""
    known = variable_schemas(template)
    for name in values:
        if name not in known:
            told = ", ".join(known) or "none"
            raise typer.BadParameter(f"{option}: no variable {name!r}; the template has: {told}.")
    return with_defaults(template, values)


def merged(own: Any, default: Any) -> Any:
    """`own` with what only `default` has, at every depth of its objects."""
    if not isinstance(own, Mapping) or not isinstance(default, Mapping):
        return own
    # A variable's schema is its owner's as a whole: half of one and half of another fit nobody.
    if "type" in own and own.get("type") != "object":
        return own
    joined = {key: merged(value, default.get(key)) for key, value in own.items()}
    return joined | {key: value for key, value in default.items() if key not in own}


def differences(before: Any, after: Any, names: tuple[str, str]) -> list[str]:
    """Lines of a unified diff of two JSON values; none where they are equal."""

    def lines(value: Any) -> list[str]:
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).splitlines()

    return list(difflib.unified_diff(lines(before), lines(after), *names, lineterm=""))


def ask_type() -> str:
    """The worker type of a new pool: asked on a terminal, else the default one."""
    if not may_ask():
        return DEFAULT_TYPE
    from forebay.pool_types import pool_types

    for name, known in pool_types().items():
        typer.echo(f"  {name:<31} {known.description}", err=True)
    while True:
        answer = typer.prompt("Type of the pool", default=DEFAULT_TYPE, err=True).strip()
        if answer in pool_types():
            return str(answer)
        typer.echo(f"There is no type {answer!r} in the list; --type takes others.", err=True)


def _workers_template(type: str, bundled: list[str]) -> dict[str, Any]:
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group="forebay.worker_types")}
    if type not in found:
        known = ", ".join(sorted({*bundled, *found}))
        raise typer.BadParameter(
            f"no worker type {type!r} is known here; known: {known}. "
            "Give its template with --base-job-template FILE."
        )
    try:
        template = found[type].load().base_job_template()
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"The worker type {type!r} needs the package {error.name}, which is not installed. "
            "Install it, or give the template with --base-job-template FILE."
        ) from error
    assert isinstance(template, dict)
    return template
