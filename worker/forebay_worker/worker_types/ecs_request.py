"""From a job configuration to the task definition and the task that ECS is asked for. Sends nothing.

A definition holds nothing of a single run, so that many runs share it: their command, environment
and tags are in the request for the task.
"""

import copy
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from forebay_worker.base import Assignment, JobConfiguration, StartFailed
from forebay_worker.execute import PARAMETERS_VARIABLE
from forebay_worker.infrastructure import (
    CLAIM_MARK,
    arguments,
    base_name,
    environment,
    marks,
)
from forebay_worker.worker_types.aws_access import AwsCredentials

Json = dict[str, Any]

CONTAINER = "forebay"  # name of the run's container where none is given
LOG_GROUP = "forebay"
FARGATE_SIZE = {"cpu": "1024", "memory": "2048"}  # where a definition has none; ECS wants one
CONTAINER_MEMORY = 2048  # MiB, where neither task nor container have one
MAX_OVERRIDES = 8192  # characters, ECS's own limit
MAX_TAG_VALUE = 256
NOT_IN_TAG = re.compile(r"[^\w\s+\-=.:/@]")
ADDED_BY_ECS = (
    "taskDefinitionArn",
    "revision",
    "status",
    "requiresAttributes",
    "compatibilities",
    "registeredAt",
    "registeredBy",
    "deregisteredAt",
)
SECRETS = {  # variable of the run: field of the configuration
    "FOREBAY_API_KEY": "prefect_api_key_secret_arn",
    "FOREBAY_API_AUTH_STRING": "prefect_api_auth_string_secret_arn",
}


class EcsConfiguration(JobConfiguration):
    """Job configuration of a task of the Elastic Container Service."""

    aws_credentials: AwsCredentials = Field(
        default_factory=AwsCredentials, description="Credentials for AWS; else the worker's own."
    )
    task_definition: Json = Field(
        default_factory=dict, description="The task definition, as ECS registers it."
    )
    task_run_request: Json = Field(
        default_factory=dict, description="The request for the task, as ECS takes it."
    )
    configure_cloudwatch_logs: bool | None = Field(
        default=None,
        description="Whether the container's output goes to CloudWatch Logs; by default when "
        "stream_output is set.",
    )
    cloudwatch_logs_options: dict[str, str] = Field(
        default_factory=dict, description="Options of the awslogs driver."
    )
    cloudwatch_logs_prefix: str | None = Field(
        default=None, description="Prefix of the log streams; by default the family."
    )
    network_configuration: Json = Field(
        default_factory=dict, description="Subnets and security groups: an awsvpcConfiguration."
    )
    stream_output: bool | None = Field(
        default=None, description="Whether the worker's console shows what runs write."
    )
    task_start_timeout_seconds: int = Field(
        default=300, ge=0, description="Seconds after which a task that does not run is ended."
    )
    task_watch_poll_interval: float = Field(
        default=5.0, gt=0, description="Seconds between looks at the task."
    )
    auto_deregister_task_definition: bool = Field(
        default=False, description="Whether a run's definition is deregistered after it."
    )
    vpc_id: str | None = Field(
        default=None, description="VPC of the task; by default the account's default VPC."
    )
    container_name: str | None = Field(default=None, description="Which container is the run's.")
    cluster: str | None = Field(default=None, description="Cluster; else the default one.")
    match_latest_revision_in_family: bool = Field(
        default=False, description="Whether the family's last revision is used if it is the same."
    )
    prefect_api_key_secret_arn: str | None = Field(
        default=None, description="Secret that holds the run's API key."
    )
    prefect_api_auth_string_secret_arn: str | None = Field(
        default=None, description="Secret that holds the run's basic authentication."
    )
    execution_role_arn: str | None = Field(
        default=None, description="Role with which ECS pulls images, reads secrets, writes logs."
    )

    @field_validator(
        "aws_credentials",
        "task_definition",
        "task_run_request",
        "cloudwatch_logs_options",
        "network_configuration",
        mode="before",
    )
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return {} if value is None else value

    @model_validator(mode="after")
    def _consistent(self) -> "EcsConfiguration":
        if self.definition_arn:
            return self
        containers = self.task_definition.get("containerDefinitions")
        if containers is not None and not (
            isinstance(containers, list) and all(isinstance(each, dict) for each in containers)
        ):
            raise ValueError("task_definition.containerDefinitions must be a list of objects")
        container = _own(containers or [], self.container_name)
        if not container or not container.get("image"):
            raise ValueError("the run's container has no image: set `image`")
        role = self.execution_role_arn or self.task_definition.get("executionRoleArn")
        for needs, field in (
            (self.writes_logs, "configure_cloudwatch_logs or stream_output"),
            (self.prefect_api_key_secret_arn, "prefect_api_key_secret_arn"),
            (self.prefect_api_auth_string_secret_arn, "prefect_api_auth_string_secret_arn"),
        ):
            if needs and not role:
                raise ValueError(f"{field} needs execution_role_arn")
        return self

    @property
    def definition_arn(self) -> str | None:
        """The definition that the user has registered."""
        return self.task_run_request.get("taskDefinition") or None

    @property
    def cluster_name(self) -> str | None:
        """The cluster in which the task is asked for."""
        return self.task_run_request.get("cluster") or self.cluster

    @property
    def writes_logs(self) -> bool:
        """Whether a definition that is made here sends output to CloudWatch Logs."""
        if self.configure_cloudwatch_logs is None:
            return bool(self.stream_output)
        return self.configure_cloudwatch_logs


def task_definition(configuration: EcsConfiguration, assignment: Assignment, region: str) -> Json:
    """What is registered for runs like this one; nothing in it is of this run alone."""
    definition = copy.deepcopy(configuration.task_definition)
    container = _own(definition["containerDefinitions"], configuration.container_name)
    assert container is not None
    container.setdefault("name", configuration.container_name or CONTAINER)
    if not definition.get("family"):
        definition["family"] = _family(assignment)
    for field in ("cpu", "memory"):
        if field in definition:
            definition[field] = str(definition[field])
    if configuration.execution_role_arn:
        definition.setdefault("executionRoleArn", configuration.execution_role_arn)
    if _is_fargate(configuration):
        for field, value in FARGATE_SIZE.items():
            definition.setdefault(field, value)
        definition["networkMode"] = "awsvpc"
        definition.setdefault("requiresCompatibilities", ["FARGATE"])
    elif "memory" not in definition and not (
        container.get("memory") or container.get("memoryReservation")
    ):
        container["memory"] = CONTAINER_MEMORY
    if configuration.writes_logs and "logConfiguration" not in container:
        container["logConfiguration"] = {
            "logDriver": "awslogs",
            "options": {
                "awslogs-create-group": "true",
                "awslogs-group": LOG_GROUP,
                "awslogs-region": region,
                "awslogs-stream-prefix": configuration.cloudwatch_logs_prefix
                or definition["family"],
                **configuration.cloudwatch_logs_options,
            },
        }
    secrets = [
        {"name": name, "valueFrom": arn}
        for name, field in SECRETS.items()
        if (arn := getattr(configuration, field))
    ]
    if secrets:
        container["secrets"] = [*container.get("secrets", []), *secrets]
    return definition


def fingerprint(definition: Json) -> str:
    """The same for definitions that say the same."""
    return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()


def is_same(rendered: Json, registered: Json) -> bool:
    """Whether ECS would register `rendered` as it has registered `registered`."""
    theirs = {key: value for key, value in registered.items() if key not in ADDED_BY_ECS}
    return bool(_essence(rendered) == _essence(theirs))


def run_container(configuration: EcsConfiguration, definition: Json) -> Json:
    """The run's container in a definition that exists. Raises `StartFailed`."""
    found = _own(definition.get("containerDefinitions", []), configuration.container_name)
    if found is None:
        raise StartFailed(
            f"The task definition has no container named {configuration.container_name!r}."
        )
    return found


def needs_network(configuration: EcsConfiguration, definition: Json) -> bool:
    """Whether the request for the task has to name subnets and does not."""
    return definition.get("networkMode") == "awsvpc" and not configuration.task_run_request.get(
        "networkConfiguration"
    )


def network(configuration: EcsConfiguration, subnets: list[str]) -> Json:
    """Where the task has its network: what is configured, else all subnets of the VPC."""
    given = configuration.network_configuration
    if given:
        return given if "awsvpcConfiguration" in given else {"awsvpcConfiguration": given}
    made: Json = {"subnets": subnets, "securityGroups": []}  # empty: the VPC's default one
    if _is_fargate(configuration):  # elsewhere ECS refuses it
        made["assignPublicIp"] = "ENABLED"
    return {"awsvpcConfiguration": made}


def task_run_request(
    configuration: EcsConfiguration,
    assignment: Assignment,
    definition: Json,
    network: Json | None,
) -> Json:
    """The request for the run's task; sent again for the same claim it is still one task.

    Raises `StartFailed` when there is more in it than ECS takes.
    """
    request = copy.deepcopy(configuration.task_run_request)
    request["taskDefinition"] = definition["taskDefinitionArn"]
    if configuration.cluster_name:
        request["cluster"] = configuration.cluster_name
    strategy = _strategy(configuration)
    request.pop("capacityProviderStrategy", None)
    if strategy:
        request.pop("launchType", None)
        request["capacityProviderStrategy"] = strategy
    if network:
        request["networkConfiguration"] = network
    request["tags"] = _tags(request.get("tags"), configuration, assignment)
    claim = marks(assignment)[CLAIM_MARK] or str(assignment.run.id)
    request["clientToken"] = hashlib.sha256(claim.encode()).hexdigest()
    _override(request, run_container(configuration, definition), configuration, assignment)
    return request


def read_tags(task: Json) -> dict[str, str]:
    """The tags of a task by key."""
    return {tag["key"]: tag.get("value", "") for tag in task.get("tags", [])}


def tag_value(text: str) -> str:
    """`text` as ECS accepts it in a tag."""
    return NOT_IN_TAG.sub("_", text)[:MAX_TAG_VALUE]


def _own(containers: list[Json], name: str | None) -> Json | None:
    """The container of that name, else the first, unless it has another name."""
    for container in containers:
        if name is None or container.get("name") == name:
            return container
    return next((each for each in containers if "name" not in each), None)


def _family(assignment: Assignment) -> str:
    run = assignment.run
    of = run.deployment_id or run.flow_id
    return re.sub(r"[^\w-]+", "-", f"forebay_{run.work_pool_name or 'pool'}_{of}", flags=re.ASCII)


def _strategy(configuration: EcsConfiguration) -> list[Json]:
    given: list[Json] = configuration.task_run_request.get("capacityProviderStrategy") or []
    if not given and configuration.task_run_request.get("launchType") == "FARGATE_SPOT":
        return [{"capacityProvider": "FARGATE_SPOT", "weight": 1}]
    return given


def _is_fargate(configuration: EcsConfiguration) -> bool:
    strategy = _strategy(configuration)
    if strategy:
        return all(str(each.get("capacityProvider")).startswith("FARGATE") for each in strategy)
    return bool(configuration.task_run_request.get("launchType") == "FARGATE")


def _tags(given: object, configuration: EcsConfiguration, assignment: Assignment) -> list[Json]:
    named: dict[str, str] = {"Name": base_name(configuration, assignment)}
    if isinstance(given, Mapping):
        named |= {str(key): str(value) for key, value in given.items()}
    elif isinstance(given, list):
        named |= {tag["key"]: tag.get("value", "") for tag in given}
    named |= configuration.labels | marks(assignment)
    return [{"key": key, "value": tag_value(value)} for key, value in named.items() if value]


def _override(
    request: Json, container: Json, configuration: EcsConfiguration, assignment: Assignment
) -> None:
    overrides = request.setdefault("overrides", {})
    for field in ("cpu", "memory"):
        if field in overrides:
            overrides[field] = str(overrides[field])
    containers = overrides.setdefault("containerOverrides", [])
    own = _own(containers, container["name"])
    if own is None:
        own = {}
        containers.append(own)
    own["name"] = container["name"]
    command = own.get("command")
    if not isinstance(command, list):
        own["command"] = arguments(command or configuration.command)
    given = own.get("environment")
    stronger = configuration.env | dict(assignment.environment)
    literal = {each["name"]: each["value"] for each in (given if isinstance(given, list) else [])}
    variables = environment(configuration, assignment)
    variables |= {name: value for name, value in literal.items() if name not in stronger}
    for secret in container.get("secrets", []):
        if secret["name"] not in configuration.env:
            variables.pop(secret["name"], None)
    own["environment"] = _entries(variables)
    if len(json.dumps(overrides)) > MAX_OVERRIDES:
        variables.pop(PARAMETERS_VARIABLE, None)  # the run reads them from the API then
        own["environment"] = _entries(variables)
    size = len(json.dumps(overrides))
    if size > MAX_OVERRIDES:
        raise StartFailed(
            f"Command and environment of the run take {size} characters; ECS takes at most "
            f"{MAX_OVERRIDES}. Put what is large into the image or the task definition."
        )


def _entries(variables: Mapping[str, str]) -> list[Json]:
    return [{"name": name, "value": value} for name, value in variables.items()]


def _essence(value: Any) -> Any:
    """`value` without what ECS adds to definitions, or leaves out of them, by itself."""
    if isinstance(value, Mapping):
        items = {key: _essence(item) for key, item in value.items()}
        return {
            key: item
            for key, item in items.items()
            if item not in (None, [], {}, "", 0, False) and (key, item) != ("essential", True)
        }
    if isinstance(value, list):
        return [_essence(item) for item in value]
    return value
