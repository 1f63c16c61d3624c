"""From a job configuration to a job of Cloud Run's API version 1. Sends nothing."""

import copy

from pydantic import field_validator

from forebay_worker.base import Assignment
from forebay_worker.nested import at
from forebay_worker.worker_types.google_request import (
    CloudRunConfiguration,
    Json,
    Region,
    drop_empty,
    first_container,
    job_name,
    mark,
    named_variables,
    plain_variables,
    set_command,
)

TASK = ("spec", "template", "spec", "template", "spec")


class CloudRunV1Configuration(CloudRunConfiguration):
    """Job configuration of a Cloud Run job, version 1."""

    region: Region = "us-central1"

    @field_validator("job_body")
    @classmethod
    def _is_a_job(cls, body: Json) -> Json:
        if body.get("kind", "Job") != "Job":
            raise ValueError(f"kind is {body['kind']!r}; it must be 'Job'")
        for path in (("metadata",), ("spec", "template", "metadata")):
            at(body, *path)
        first_container(at(body, *TASK), ".".join(TASK))
        return body


def job(configuration: CloudRunV1Configuration, assignment: Assignment, project: str) -> Json:
    """The job of a run: what the template says, and what ties it to its run.

    Raises `StartFailed`.
    """
    body = copy.deepcopy(configuration.job_body)
    body |= {"apiVersion": body.get("apiVersion", "run.googleapis.com/v1"), "kind": "Job"}
    metadata, execution = at(body, "metadata"), at(body, "spec", "template", "metadata")
    for described in (metadata, execution):
        mark(described, configuration, assignment)
    metadata |= {"name": job_name(configuration, assignment), "namespace": project}
    task = at(body, *TASK)
    # Two rules of the API that no user expects: a failed task is started three more times, and
    # whole numbers of 64 bits are text.
    task.setdefault("maxRetries", 0)
    task["timeoutSeconds"] = str(task.get("timeoutSeconds") or configuration.timeout)
    container = first_container(task, ".".join(TASK))
    if isinstance(resources := container.get("resources"), dict):
        drop_empty(resources, "limits", "requests")
        drop_empty(container, "resources")
    container["env"] = _variables(container.get("env"), configuration, assignment)
    set_command(container, configuration)
    return body


def _variables(
    given: object, configuration: CloudRunV1Configuration, assignment: Assignment
) -> list[Json]:
    secrets = configuration.api_secrets
    plain = plain_variables(configuration, assignment, secrets)
    return named_variables(
        given,
        {name: {"value": value} for name, value in plain.items()},
        {
            name: {"valueFrom": {"secretKeyRef": {"name": each.secret, "key": each.version}}}
            for name, each in secrets.items()
        },
    )
