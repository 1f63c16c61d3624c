"""What requests to run a container on Google Cloud have in common. Sends nothing."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field

from forebay_worker.base import Assignment, JobConfiguration, StartFailed
from forebay_worker.infrastructure import (
    EXECUTE,
    SECRET_VARIABLES,
    arguments,
    base_name,
    claim_name,
    environment,
    marks,
)
from forebay_worker.worker_types.google_session import GcpCredentials

Json = dict[str, Any]

# It becomes part of a host's name, to which the token is sent.
Region = Annotated[str, Field(pattern=r"^[a-z]+(-[a-z0-9]+)*$")]

RUN_LABEL, POOL_LABEL, WORKER_LABEL = (
    "forebay-flow-run-id",
    "forebay-work-pool",
    "forebay-worker",
)
KEEP_MARK = "forebay.io/keep"  # "true", or "false" on what may be deleted when it has ended
LONGEST_BASE = 30  # of a name, to which run and claim are added; executions add to it too
LONGEST_LABEL = 63


class SecretVersion(BaseModel):
    """A version of a secret in Secret Manager."""

    secret: str
    version: str


class GoogleConfiguration(JobConfiguration):
    """What all types on Google Cloud understand."""

    region: Region = Field(description="Region in which the run is started.")
    credentials: GcpCredentials | None = Field(
        default=None,
        description="A service account's key and a project; by default the surroundings' own.",
    )


class CloudRunConfiguration(GoogleConfiguration):
    """What both versions of Cloud Run understand."""

    job_body: Json = Field(description="The job, as the API describes it.")
    timeout: int = Field(default=600, gt=0, description="Seconds after which the run is ended.")
    keep_job: bool = Field(default=False, description="Whether the job stays when it has ended.")
    prefect_api_key_secret: SecretVersion | None = Field(
        default=None, description="The secret in which the run finds its API key."
    )
    prefect_api_auth_string_secret: SecretVersion | None = Field(
        default=None, description="The secret in which the run finds its API auth string."
    )

    @property
    def api_secrets(self) -> dict[str, SecretVersion]:
        """The API's credentials that come out of secrets, by variable."""
        given = (self.prefect_api_key_secret, self.prefect_api_auth_string_secret)
        named = zip(SECRET_VARIABLES, given, strict=True)
        return {name: secret for name, secret in named if secret}


def job_name(configuration: JobConfiguration, assignment: Assignment) -> str:
    """What the run is called, then what tells run and claim from others. It begins with a letter.

    The same whenever this claim of the run is started.
    """
    base = base_name(configuration, assignment, LONGEST_BASE)
    if not base[0].isalpha():
        base = f"run-{base}"[:LONGEST_BASE].rstrip("-")
    return claim_name(base, assignment)


def labels(configuration: JobConfiguration, assignment: Assignment) -> dict[str, str]:
    """The configured labels and those that tell whose this is, as Google accepts labels."""
    run = assignment.run
    ours = {
        RUN_LABEL: str(run.id),
        POOL_LABEL: run.work_pool_name or "",
        WORKER_LABEL: assignment.worker_name,
    }
    return {
        name: label(value)
        for key, value in {**configuration.labels, **ours}.items()
        if (name := label(key).lstrip("-_0123456789")) and value
    }


def label(text: str) -> str:
    """`text` as lower-case letters, digits, hyphens and underscores, as labels may have them."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:LONGEST_LABEL]


def plain_variables(
    configuration: JobConfiguration, assignment: Assignment, secret: Iterable[str] = ()
) -> dict[str, str]:
    """The environment as it is written into a request.

    Once an API credential comes out of a secret, the worker's own is not handed on.
    """
    secret = set(secret)
    api = (
        set(SECRET_VARIABLES) - set(configuration.env) if secret & set(SECRET_VARIABLES) else set()
    )
    given = environment(configuration, assignment)
    return {name: value for name, value in given.items() if name not in secret | api}


def named_variables(given: object, *layers: Mapping[str, Json]) -> list[Json]:
    """A template's entries of `env` with stronger ones, each as `{"name": …, …}`.

    Raises `StartFailed`.
    """
    named: dict[str, Json] = {}
    for entry in given if isinstance(given, list) else []:
        if not isinstance(entry, Mapping) or "name" not in entry:
            raise StartFailed("The job of the template has an entry of env without a name.")
        named[entry["name"]] = {key: item for key, item in entry.items() if key != "name"}
    for layer in layers:
        named |= layer
    return [{"name": name, **value} for name, value in named.items()]


def first_container(task: Json, path: str) -> Json:
    """The container that executes the run. Raises `ValueError`."""
    containers = task.get("containers")
    if not isinstance(containers, list) or not containers:
        raise ValueError(f"{path}.containers must have a container")
    if not all(isinstance(container, dict) for container in containers):
        raise ValueError(f"{path}.containers must be objects")
    first: Json = containers[0]
    if not first.get("image"):
        raise ValueError(f"{path}.containers[0].image is missing: set `image`")
    return first


def mark(described: Json, configuration: CloudRunConfiguration, assignment: Assignment) -> None:
    """Put labels and annotations on a job or an execution, beside those of the template."""
    keep = {KEEP_MARK: str(configuration.keep_job).lower()}
    ours = {
        "labels": labels(configuration, assignment),
        "annotations": {**marks(assignment), **keep},
    }
    for kind, values in ours.items():
        described[kind] = {**(described.get(kind) or {}), **values}


def set_command(container: Json, configuration: JobConfiguration) -> None:
    """A command is split; a template's own list, or its arguments of the image's program, stay.

    Raises `StartFailed`.
    """
    given = container.get("command")
    if isinstance(given, str) or (configuration.command and not given):
        container["command"] = arguments(configuration.command or given)
    elif not given and not container.get("args"):
        container["command"] = list(EXECUTE)


def drop_empty(body: Json, *keys: str) -> None:
    """Take objects out of `body` in which no variable has left anything."""
    for key in keys:
        if body.get(key) == {}:
            del body[key]
