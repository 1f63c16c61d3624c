"""`forebay.yaml` and `prefect.yaml`: reading, templating. Source: Prefect 3.8.4's published format.

Sends nothing and runs nothing: variables are looked up, and steps run, by who calls.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, ValidationError, field_validator

from forebay.errors import ConfigurationError
from forebay.templates import placeholders, render
from forebay.wire.base import Action, problems

NAMES = ("forebay.yaml", "prefect.yaml")
VARIABLE = "prefect.variables."
BLOCK = "prefect.blocks."

Step = Mapping[str, Any]


class Placement(Action):
    """Where a deployment's runs go."""

    name: str | None = None
    work_queue_name: str | None = None
    job_variables: dict[str, Any] | None = None


class Entry(Action):
    """One deployment of a file; what is not said is the function's own or the server's default."""

    name: str
    entrypoint: str
    flow_name: str | None = None
    version: str | None = None
    tags: list[str] = Field(default_factory=list)
    description: str | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    enforce_parameter_schema: bool = True
    schedule: dict[str, Any] | None = None
    schedules: list[dict[str, Any]] | None = None
    concurrency_limit: int | dict[str, Any] | None = None
    paused: bool = False
    work_pool: Placement = Field(default_factory=Placement)

    @field_validator("tags", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value or []

    @field_validator("parameters", "work_pool", mode="before")
    @classmethod
    def _empty(cls, value: Any) -> Any:
        return {} if value is None else value  # a key without a value, as templates have many

    def all_schedules(self) -> list[dict[str, Any]]:
        """The schedules, in whichever of the two ways they were written."""
        return [*(self.schedules or []), *([self.schedule] if self.schedule else [])]


@dataclass(frozen=True)
class Declaration:
    """One deployment as it stands in the file: templates unfilled, steps resolved."""

    name: str
    values: Mapping[str, Any]
    build: tuple[Step, ...]
    push: tuple[Step, ...]
    pull: tuple[Step, ...] | None  # None where neither it nor the file says anything


def find_file(folder: Path) -> Path:
    """The file of deployments in `folder`. Raises `ConfigurationError`."""
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    raise ConfigurationError(
        f"There is neither {' nor '.join(NAMES)} in {folder}. Name another file with --file, or "
        "register one function with `forebay deployment create FILE.py:FUNCTION --pool POOL`."
    )


def read_file(path: Path) -> list[Declaration]:
    """The deployments that a file declares. Raises `ConfigurationError`."""
    try:
        document = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"Cannot read {path}: {error}") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path} is not YAML: {error}") from None
    entries = document.get("deployments") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigurationError(f"{path} has no list `deployments`.")
    found = [_declaration(path, document, entry) for entry in entries]
    names = [declaration.name for declaration in found]
    if len({*names}) < len(names):
        flows = [(d.name, d.values.get("flow_name"), d.values.get("entrypoint")) for d in found]
        if len({*flows}) < len(flows):
            raise ConfigurationError(f"{path} declares a deployment twice.")
    return found


def chosen(found: list[Declaration], names: list[str], is_all: bool) -> list[Declaration]:
    """The deployments to make: those that `names` fit, all, or the only one."""
    known = ", ".join(declaration.name for declaration in found) or "none"
    if names:
        for pattern in names:
            if not any(fnmatchcase(declaration.name, pattern) for declaration in found):
                raise ConfigurationError(
                    f"No deployment {pattern!r} in the file; it has: {known}."
                )
        return [d for d in found if any(fnmatchcase(d.name, pattern) for pattern in names)]
    if len(found) != 1 and not is_all:
        raise ConfigurationError(f"Choose with --name, or take --all. The file has: {known}.")
    return found


def filled(
    value: Any,
    outputs: Mapping[str, Any],
    read_variable: Callable[[str], Any] | None,
    *,
    is_lenient: bool = False,
) -> Any:
    """`value` with its placeholders replaced.

    `{{ $NAME }}` is of the environment, `{{ prefect.variables.name }}` comes from
    `read_variable` (without one it stays as it is), `{{ id.key }}` is what a step gave. Blocks
    stay as they are, for the worker. Of other names none may be left, unless `is_lenient`.
    """
    known: dict[str, Any] = {}
    for name in {*placeholders(value)}:
        if name.startswith("$"):
            if name[1:] not in os.environ:
                raise ConfigurationError(f"The environment has no variable {name[1:]!r}.")
            known[name] = os.environ[name[1:]]
        elif name in outputs:
            known[name] = outputs[name]
        elif name.startswith(VARIABLE) and read_variable is not None:
            known[name] = read_variable(name.removeprefix(VARIABLE))
        elif is_lenient or name.startswith((VARIABLE, BLOCK)):
            known[name] = "{{ " + name + " }}"
        else:
            raise ConfigurationError(f"Nothing gives a value for the placeholder {name!r}.")
    return render(value, known)


def checked_entry(declaration: Declaration, values: Any) -> Entry:
    """The deployment with its templates filled. Raises `ConfigurationError`."""
    try:
        return Entry.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(
            f"The deployment {declaration.name!r} of the file: {problems(error)}"
        ) from None


def _declaration(path: Path, document: Mapping[str, Any], entry: dict[str, Any]) -> Declaration:
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"{path}: a deployment has no name.")
    for key in ("triggers", "sla"):
        if entry.get(key):
            raise ConfigurationError(f"{path}: `{key}` of {name!r} is not supported; remove it.")
    steps = {key: entry.get(key, document.get(key)) for key in ("build", "push", "pull")}
    for key, value in steps.items():
        if value is not None and not (
            isinstance(value, list) and all(isinstance(s, dict) and len(s) == 1 for s in value)
        ):
            raise ConfigurationError(
                f"{path}: `{key}` of {name!r} is not a list of steps of one name each."
            )
    left_out = ("build", "push", "pull", "triggers", "sla")
    return Declaration(
        name=name,
        values={key: value for key, value in entry.items() if key not in left_out},
        build=tuple(steps["build"] or ()),
        push=tuple(steps["push"] or ()),
        pull=None if steps["pull"] is None else tuple(steps["pull"]),
    )
