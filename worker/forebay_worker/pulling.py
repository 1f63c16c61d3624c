"""Carries out a deployment's pull steps. Source: Prefect 3.8.4 `prefect.deployments.steps`.

Knows no worker type. Steps run in the run's own process, one after the other.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from forebay import build_steps
from forebay.calls import Call
from forebay.client import Client
from forebay.templates import placeholders, render
from forebay_worker.cloning import CloneFailed, Repository, clone, credentials_of
from forebay_worker.configuration import InvalidConfiguration
from forebay_worker.entrypoints import BadEntrypoint, enter
from forebay_worker.references import BLOCKS, VARIABLES, resolved

Step = Mapping[str, Any]

PREFIXES = (*build_steps.PREFIXES, "prefect.deployments.steps.pull.")
CLONE, ENTER = "git_clone", "set_working_directory"
KNOWN = (CLONE, ENTER, *build_steps.KNOWN)


def pull(steps: Sequence[Step], client: Client) -> None:
    """Carry out the steps and end in the folder that they lead to. Raises `BadEntrypoint`."""
    names = [_name(step) for step in steps]  # what is not known is told before anything is done
    outputs: dict[str, Any] = {}
    base: Path | None = None
    for name, step in zip(names, steps, strict=True):
        [raw] = step.values()
        inputs = _filled(raw, outputs, client)
        id = inputs.pop("id", None)
        inputs.pop("requires", None)  # a package that Prefect would install for the step
        gave = _carry_out(name, inputs)
        if "directory" in gave:
            base = Path(gave["directory"]).absolute()
        outputs |= gave
        if id:
            outputs |= {f"{id}.{key}": value for key, value in gave.items()}
    # As in the original: steps that follow a clone begin where it began.
    if base is not None:
        enter(str(base))


def _name(step: Step) -> str:
    """The short name of a step. Raises `BadEntrypoint` for one that is not known here."""
    path = next(iter(step), "")
    prefix, _, name = path.rpartition(".")
    if len(step) != 1 or f"{prefix}." not in PREFIXES or name not in KNOWN:
        raise BadEntrypoint(
            f"The pull step {path!r} is not known here; known: {', '.join(KNOWN)}, all of "
            f"{PREFIXES[0].rstrip('.')}. Use these, or bring the code along in an image."
        )
    return name


def _carry_out(name: str, inputs: dict[str, Any]) -> dict[str, str]:
    """What the step gives to those after it."""
    try:
        if name == CLONE:
            return {"directory": str(clone(_repository(inputs)))}
        if name == ENTER:
            enter(_text(name, inputs, "directory"))
            return {"directory": os.getcwd()}
        return build_steps.carry_out(name, inputs, Path.cwd())
    except (CloneFailed, build_steps.StepFailed) as error:
        raise BadEntrypoint(f"The pull step {name} failed: {error}") from None


def _repository(inputs: dict[str, Any]) -> Repository:
    token, block = inputs.get("access_token"), inputs.get("credentials")
    if token and block:
        raise BadEntrypoint(f"The pull step {CLONE} takes access_token or credentials, not both.")
    return Repository(
        url=_text(CLONE, inputs, "repository"),
        branch=inputs.get("branch") or None,
        commit=inputs.get("commit_sha") or None,
        folders=tuple(inputs.get("directories") or ()),
        has_submodules=bool(inputs.get("include_submodules")),
        credentials=credentials_of(token, block if isinstance(block, Mapping) else None),
        name=inputs.get("clone_directory_name") or None,
    )


def _text(name: str, inputs: Mapping[str, Any], key: str) -> str:
    value = inputs.get(key)
    if not isinstance(value, str) or not value:
        raise BadEntrypoint(f"The pull step {name} needs a `{key}`.")
    return value


def _filled(inputs: Any, outputs: Mapping[str, Any], client: Client) -> dict[str, Any]:
    """A step's inputs with what they refer to: earlier steps, the environment, variables, blocks.

    In one pass, so that a value with braces in it stays text.
    """
    if not isinstance(inputs, Mapping):
        return {}

    async def send(call: Call[Any]) -> Any:
        return client.send(call)

    def value_of(reference: Any) -> Any:
        try:
            return asyncio.run(resolved({"found": reference}, send)).get("found", "")
        except InvalidConfiguration as error:
            raise BadEntrypoint(f"A pull step cannot be filled in. {error}") from None

    names = {*placeholders(inputs)} - outputs.keys()
    for name in names:
        if not name.startswith(("$", BLOCKS, VARIABLES)):
            raise BadEntrypoint(f"Nothing gives a pull step a value for {name!r}.")
    known = {**outputs, **{name: value_of("{{ " + name + " }}") for name in sorted(names)}}
    filled = render(dict(inputs), known)
    assert isinstance(filled, dict)
    if isinstance(filled.get("credentials"), Mapping):
        filled["credentials"] = value_of(filled["credentials"])  # a reference by a block's id
    return filled
