"""Steps that build and push an image. Source: Prefect 3.8.4 `prefect_docker.deployments.steps`.

They call Docker's own command, which knows where the engine is. No library is needed.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from forebay import __version__
from forebay.errors import ForebayError

PREFIX = "prefect_docker.deployments.steps."
BUILD = "build_docker_image"
PUSH = "push_docker_image"
KNOWN = (BUILD, PUSH)
BUILD_INPUTS = (
    *("image_name", "tag", "additional_tags", "dockerfile", "ignore_cache"),
    *("persist_dockerfile", "dockerfile_output_path", "build_backend"),
    # What the original hands on to the engine.
    *("path", "platform", "buildargs", "labels", "target", "pull", "nocache", "network_mode"),
)
PUSH_INPUTS = ("image_name", "tag", "additional_tags", "credentials")
CREDENTIALS = ("username", "password")


class DockerStepFailed(ForebayError):
    """An image could not be built or pushed; the text says why."""


def carry_out(name: str, inputs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """What the step gives to those after it. Raises `DockerStepFailed`."""
    known = BUILD_INPUTS if name == BUILD else PUSH_INPUTS
    unknown = sorted(inputs.keys() - {*known})
    if unknown:
        raise DockerStepFailed(
            f"The step {name} has no input {unknown[0]!r}; it has: {', '.join(known)}."
        )
    if not inputs.get("image_name"):
        raise DockerStepFailed(f"The step {name} needs an `image_name`.")
    return _build(inputs, folder) if name == BUILD else _push(inputs, folder)


def automatic_dockerfile(folder: Path) -> str:
    """The lines that put the code of `folder`, and what it requires, into an image."""
    place = f"/opt/forebay/{folder.resolve().name}/"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    lines = [f"FROM python:{python}-slim", f"RUN pip install forebay=={__version__}"]
    if (folder / "requirements.txt").is_file():
        lines += [
            f"COPY requirements.txt {place}requirements.txt",
            f"RUN pip install -r {place}requirements.txt",
        ]
    lines += [f"COPY . {place}", f"WORKDIR {place}"]
    return "\n".join(lines) + "\n"


def _build(inputs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    tag = str(inputs.get("tag") or datetime.now(UTC).strftime("%Y-%m-%d-%H-%M-%S"))
    gives = _given(inputs, tag)
    place = folder / str(inputs.get("path") or ".")
    with tempfile.TemporaryDirectory() as own:
        id_file = Path(own, "id")
        command = ["docker", "build", f"--iidfile={id_file}"]
        command += [f"--tag={gives['image_name']}:{each}" for each in _tags(inputs, tag)]
        command += [f"--file={_dockerfile(inputs, place, Path(own))}"]
        if inputs.get("ignore_cache") or inputs.get("nocache"):
            command.append("--no-cache")
        if inputs.get("pull"):
            command.append("--pull")
        for option, key in (("platform", "platform"), ("target", "target")):
            command += [f"--{option}={inputs[key]}"] if inputs.get(key) else []
        command += [f"--network={inputs['network_mode']}"] if inputs.get("network_mode") else []
        for option, key in (("build-arg", "buildargs"), ("label", "labels")):
            command += [f"--{option}={name}={value}" for name, value in _pairs(inputs, key)]
        _run([*command, str(place)], folder)
        return {**gives, "image_id": id_file.read_text("utf-8").strip()}


def _dockerfile(inputs: Mapping[str, Any], place: Path, own: Path) -> Path:
    """The file to build from; one that is made is kept in the folder where that is asked for."""
    named = str(inputs.get("dockerfile") or "Dockerfile")
    if named != "auto":
        return place / named
    text = automatic_dockerfile(place)
    kept = str(inputs.get("dockerfile_output_path") or "Dockerfile.generated")
    made = place / kept if inputs.get("persist_dockerfile") else own / "Dockerfile"
    made.write_text(text, "utf-8")
    return made


def _push(inputs: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    tag = str(inputs.get("tag") or "latest")
    gives = _given(inputs, tag)
    credentials = inputs.get("credentials")
    with tempfile.TemporaryDirectory() as own:
        environment = dict(os.environ)
        if credentials:
            # A configuration of its own: nobody else's login is changed.
            environment["DOCKER_CONFIG"] = own
            _log_in(credentials, gives["image_name"], folder, environment)
        for each in _tags(inputs, tag):
            _run(["docker", "push", f"{gives['image_name']}:{each}"], folder, environment)
    return gives


def _log_in(
    credentials: Any, image_name: str, folder: Path, environment: Mapping[str, str]
) -> None:
    if not isinstance(credentials, Mapping) or not all(map(credentials.get, CREDENTIALS)):
        raise DockerStepFailed(
            f"`credentials` of the step {PUSH} needs {' and '.join(CREDENTIALS)}; a block's are "
            "not read here, so name a variable of the environment: '{{ $PASSWORD }}'."
        )
    registry = str(credentials.get("registry_url") or image_name.partition("/")[0])
    command = ["docker", "login", f"--username={credentials['username']}", "--password-stdin"]
    _run([*command, registry], folder, environment, stdin=str(credentials["password"]))


def _given(inputs: Mapping[str, Any], tag: str) -> dict[str, Any]:
    name = str(inputs["image_name"])
    further = [str(each) for each in inputs.get("additional_tags") or ()]
    return {
        "image_name": name,
        "tag": tag,
        "image": f"{name}:{tag}",
        "additional_tags": further,
    }


def _tags(inputs: Mapping[str, Any], tag: str) -> list[str]:
    return [tag, *(str(each) for each in inputs.get("additional_tags") or ())]


def _pairs(inputs: Mapping[str, Any], key: str) -> list[tuple[str, Any]]:
    given = inputs.get(key) or {}
    if not isinstance(given, Mapping):
        raise DockerStepFailed(f"`{key}` of the step {BUILD} must map names to values.")
    return list(given.items())


def _run(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    stdin: str = "",
) -> None:
    try:
        ended = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise DockerStepFailed(f"Cannot run docker: {error.strerror}.") from None
    if ended.returncode:
        # Docker tells the reason last; the values of build arguments are not repeated.
        why = ended.stderr.strip().splitlines()[-1:] or [f"it ended with code {ended.returncode}"]
        raise DockerStepFailed(f"{shlex.join(command[:2])} failed: {why[0]}")
