"""From a job configuration to a job of Cloud Run's API version 2. Sends nothing."""

import copy

from pydantic import Field, ValidationInfo, field_validator

from forebay_worker.base import Assignment
from forebay_worker.nested import at
from forebay_worker.worker_types.google_request import (
    CloudRunConfiguration,
    Json,
    Region,
    SecretVersion,
    drop_empty,
    first_container,
    mark,
    named_variables,
    plain_variables,
    set_command,
)

TASK = ("template", "template")
SQL_VOLUME = "cloudsql"
SQL_FOLDER = "/cloudsql"  # where the API wants it
UNSPECIFIED = ("LAUNCH_TAG_UNSPECIFIED", "LAUNCH_STAGE_UNSPECIFIED")


class CloudRunV2Configuration(CloudRunConfiguration):
    """Job configuration of a Cloud Run job, version 2."""

    region: Region = "us-central1"
    env_from_secrets: dict[str, SecretVersion] = Field(
        default_factory=dict, description="Environment variables that come out of secrets."
    )
    cloudsql_instances: list[str] = Field(
        default_factory=list, description="Cloud SQL instances mounted below /cloudsql."
    )

    @field_validator("env_from_secrets", "cloudsql_instances", mode="before")
    @classmethod
    def _null_is_empty(cls, value: object, info: ValidationInfo) -> object:
        return ({} if info.field_name == "env_from_secrets" else []) if value is None else value

    @field_validator("job_body")
    @classmethod
    def _is_a_job(cls, body: Json) -> Json:
        first_container(at(body, *TASK), ".".join(TASK))
        return body


def job(configuration: CloudRunV2Configuration, assignment: Assignment) -> Json:
    """The job of a run: what the template says, and what ties it to its run.

    Its name is not in it: the API takes that beside it. Raises `StartFailed`.
    """
    body = copy.deepcopy(configuration.job_body)
    body.pop("name", None)
    if body.get("launchStage") in UNSPECIFIED:
        del body["launchStage"]
    for described in (body, at(body, "template")):
        mark(described, configuration, assignment)
    task = at(body, *TASK)
    task.setdefault("maxRetries", 0)
    seconds = task.get("timeout") or configuration.timeout
    task["timeout"] = seconds if isinstance(seconds, str) else f"{seconds}s"
    drop_empty(task, "vpcAccess")
    container = first_container(task, ".".join(TASK))
    if isinstance(resources := container.get("resources"), dict):
        drop_empty(resources, "limits")
        drop_empty(container, "resources")
    container["env"] = _variables(container.get("env"), configuration, assignment)
    set_command(container, configuration)
    if configuration.cloudsql_instances:
        volume = {"instances": configuration.cloudsql_instances}
        task.setdefault("volumes", []).append({"name": SQL_VOLUME, "cloudSqlInstance": volume})
        mount = {"name": SQL_VOLUME, "mountPath": SQL_FOLDER}
        container.setdefault("volumeMounts", []).append(mount)
    return body


def _variables(
    given: object, configuration: CloudRunV2Configuration, assignment: Assignment
) -> list[Json]:
    secrets = {**configuration.env_from_secrets, **configuration.api_secrets}
    plain = plain_variables(configuration, assignment, secrets)
    return named_variables(
        given,
        {name: {"value": value} for name, value in plain.items()},
        {
            name: {
                "valueSource": {"secretKeyRef": {"secret": each.secret, "version": each.version}}
            }
            for name, each in secrets.items()
        },
    )
