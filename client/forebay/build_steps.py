"""Steps before a deployment is made, or before its runs begin. Source: Prefect 3.8.4.

Two are carried out here, and the images' in `docker_steps`; another one is refused by name
before any has run.
"""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from forebay import docker_steps
from forebay.errors import ConfigurationError, ForebayError

PREFIXES = ("prefect.deployments.steps.", "prefect.deployments.steps.utility.")
SHELL = "run_shell_script"
PIP = "pip_install_requirements"
KNOWN = (SHELL, PIP)

Step = Mapping[str, Any]


class StepFailed(ForebayError):
    """A step ended with an error."""


def check(steps: Iterable[Step]) -> None:
    """Raise `ConfigurationError` for a step that is not known here."""
    for step in steps:
        [path] = step
        if _short_name(path) not in KNOWN and _docker_step(path) is None:
            known = ", ".join(
                [*(PREFIXES[0] + name for name in KNOWN)]
                + [docker_steps.PREFIX + name for name in docker_steps.KNOWN]
            )
            raise ConfigurationError(
                f"The step {path!r} is not known here; known: {known}. Take it out of the file "
                "and do its work before `forebay deploy`."
            )


def run(
    steps: Iterable[Step],
    outputs: Mapping[str, Any],
    fill: Callable[[Any, Mapping[str, Any]], Any],
    folder: Path,
) -> dict[str, Any]:
    """`outputs` with those of the steps, run one after the other in `folder`, by `id.key`.

    `fill` fills the templates of a step's inputs. Raises `StepFailed`.
    """
    found = dict(outputs)
    for step in steps:
        [(path, raw)] = step.items()
        inputs = fill(dict(raw or {}), found)
        id = inputs.pop("id", None)
        inputs.pop("requires", None)  # a package that Prefect would install for the step
        image_step = _docker_step(path)
        gave: Mapping[str, Any]
        if image_step is not None:
            gave = docker_steps.carry_out(image_step, inputs, folder)
        else:
            gave = carry_out(_short_name(path), inputs, folder)
        if id:
            found |= {f"{id}.{key}": value for key, value in gave.items()}
    return found


def carry_out(name: str, inputs: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """What one of the known steps gives, run in `folder`. Raises `StepFailed`."""
    return _shell(inputs, folder) if name == SHELL else _pip(inputs, folder)


def _short_name(path: str) -> str:
    prefix, _, name = path.rpartition(".")
    return name if f"{prefix}." in PREFIXES else path


def _docker_step(path: str) -> str | None:
    """The name of a step about images; none for another one."""
    name = path.removeprefix(docker_steps.PREFIX)
    return name if name != path and name in docker_steps.KNOWN else None


def _shell(inputs: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Each line of `script` as a command of its own, without a shell, as the original does."""
    environment = {**os.environ, **{k: str(v) for k, v in (inputs.get("env") or {}).items()}}
    place = folder / str(inputs.get("directory") or ".")
    told, complained = [], []
    for line in str(inputs.get("script", "")).splitlines():
        text = os.path.expandvars(line) if inputs.get("expand_env_vars") else line
        try:
            words = shlex.split(text, comments=True)
        except ValueError as error:
            raise StepFailed(f"The line {line!r} of a step cannot be read: {error}.") from None
        if words:
            out, errors = _run(words, place, environment)
            told.append(out)
            complained.append(errors)
    return {"stdout": "".join(told).strip(), "stderr": "".join(complained).strip()}


def _pip(inputs: Mapping[str, Any], folder: Path) -> dict[str, str]:
    file = str(inputs.get("requirements_file") or "requirements.txt")
    command = [sys.executable, "-m", "pip", "install", "-r", file]
    out, errors = _run(command, folder / str(inputs.get("directory") or "."), dict(os.environ))
    return {"stdout": out.strip(), "stderr": errors.strip()}


def _run(words: list[str], folder: Path, environment: dict[str, str]) -> tuple[str, str]:
    try:
        ended = subprocess.run(
            words,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise StepFailed(f"Cannot run {shlex.join(words)}: {error.strerror}.") from None
    if ended.returncode:
        raise StepFailed(
            f"{shlex.join(words)} ended with code {ended.returncode}. {ended.stderr.strip()}"
        )
    return ended.stdout, ended.stderr
