"""From a job configuration to the deployment of a container group. Sends nothing.

The template of a pool is one of Azure's resource manager. What a run adds to it cannot be read as
an expression, and what is confidential is a secure parameter, which Azure shows to nobody.
"""

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, SecretStr, field_validator

from forebay_worker.base import Assignment, JobConfiguration, StartFailed
from forebay_worker.execute import CLAIM_VARIABLE, REPORTED_VARIABLE, RUN_VARIABLE
from forebay_worker.infrastructure import arguments, base_name, claim_name, environment, marks
from forebay_worker.nested import at
from forebay_worker.worker_types.azure_manager import AzureCredentials
from forebay_worker.worker_types.docker_request import RegistryCredentials

Json = dict[str, Any]

GROUP_TYPE = "Microsoft.ContainerInstance/containerGroups"
SECRETS = "forebay_secrets"  # name of the secure parameter
LONGEST_BASE = 40  # of a name, to which run and claim are added
MAX_TAG_VALUE = 256
NOT_IN_TAG_NAME = str.maketrans(dict.fromkeys("<>%&\\?/", "."))
# Everything else in the environment may come from a block, or be private to the run.
OPEN_VARIABLES = (
    "PYTHONUNBUFFERED",
    "FOREBAY_API_URL",
    RUN_VARIABLE,
    CLAIM_VARIABLE,
    REPORTED_VARIABLE,
)
GROUP_NAME = "[parameters('container_group_name')]"
CONTAINER_NAME = "[parameters('container_name')]"


class ManagedIdentity(BaseModel):
    """A registry from which an identity of the group may pull."""

    registry_url: str
    identity: str


class AzureContainerInstanceConfiguration(JobConfiguration):
    """Job configuration of a container group."""

    image: str = Field(min_length=1, description="Image that the run uses.")
    resource_group_name: str = Field(min_length=1, description="Resource group of the group.")
    subscription_id: SecretStr = Field(description="Subscription that is charged.")
    identities: list[str] = Field(
        default_factory=list, description="Resource ids of identities that the group has."
    )
    entrypoint: str | None = Field(
        default=None, description="Program before the command; empty for the command alone."
    )
    image_registry: RegistryCredentials | ManagedIdentity | None = Field(
        default=None, description="Credentials or identity for pulling the image."
    )
    cpu: float | None = Field(default=None, gt=0, description="Cores.")
    gpu_count: int | None = Field(default=None, gt=0, description="Number of GPUs.")
    gpu_sku: str | None = Field(default=None, description="Kind of GPU, such as V100.")
    memory: float | None = Field(default=None, gt=0, description="Memory in GB.")
    subnet_ids: list[str] = Field(
        default_factory=list, description="Resource ids of subnets that the group joins."
    )
    dns_servers: list[str] = Field(
        default_factory=list, description="DNS servers of the group; needs subnets."
    )
    stream_output: bool = Field(
        default=False, description="Whether the worker's console shows what runs write."
    )
    aci_credentials: AzureCredentials = Field(
        default_factory=AzureCredentials,
        description="Credentials for Azure; else the worker's own.",
    )
    task_start_timeout_seconds: int = Field(
        default=240, ge=0, description="Seconds after which a group that does not run is ended."
    )
    task_watch_poll_interval: float = Field(
        default=5.0, gt=0, description="Seconds between looks at the group."
    )
    arm_template: Json = Field(description="The template that is deployed.")
    keep_container_group: bool = Field(
        default=False, description="Whether the group is kept when its run has ended."
    )

    @field_validator("identities", "subnet_ids", "dns_servers", "aci_credentials", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object, info: Any) -> object:
        if value is None:
            return {} if info.field_name == "aci_credentials" else []
        return value

    @field_validator("arm_template")
    @classmethod
    def _has_a_group(cls, template: Json) -> Json:
        group = _group(template)
        containers = at(group, "properties").get("containers")
        if not isinstance(containers, list) or not containers:
            raise ValueError("the container group has no containers")
        if not all(isinstance(container, dict) for container in containers):
            raise ValueError("the container group's containers must be objects")
        at(containers[0], "properties", "resources", "requests")
        return template


def group_name(configuration: JobConfiguration, assignment: Assignment) -> str:
    """What the run's group is called, the same whenever this claim is started."""
    return claim_name(base_name(configuration, assignment, LONGEST_BASE), assignment)


def api_version(configuration: AzureContainerInstanceConfiguration) -> str:
    """The version in which the template describes the group."""
    return str(_group(configuration.arm_template).get("apiVersion", "2022-09-01"))


def container_name(
    configuration: AzureContainerInstanceConfiguration, assignment: Assignment
) -> str:
    """Name of the container that executes the run."""
    name = _containers(configuration.arm_template)[0].get("name", CONTAINER_NAME)
    return group_name(configuration, assignment) if name == CONTAINER_NAME else str(name)


def deployment(configuration: AzureContainerInstanceConfiguration, assignment: Assignment) -> Json:
    """The body that deploys the run's group. Raises `StartFailed`."""
    template = copy.deepcopy(configuration.arm_template)
    name = group_name(configuration, assignment)
    declared = at(template, "parameters")
    group = _group(template)
    if group.get("name") != GROUP_NAME:
        group["name"] = name
    container = _containers(template)[0]
    container.setdefault("name", CONTAINER_NAME)
    values: Json = {
        key: {"value": name}
        for key in ("container_group_name", "container_name")
        if key in declared
    }
    if container["name"] == CONTAINER_NAME and "container_name" not in declared:
        container["name"] = name
    secrets: dict[str, str] = {}
    _describe(at(container, "properties"), configuration, assignment, secrets)
    _place(group, configuration, secrets)
    tags = {**configuration.labels, **tag_marks(assignment)}
    group["tags"] = {
        **(group.get("tags") or {}),
        **{tag_name(key): literal(value[:MAX_TAG_VALUE]) for key, value in tags.items()},
    }
    if secrets:
        declared[SECRETS] = {"type": "secureObject"}
        values[SECRETS] = {"value": secrets}
    return {
        "tags": tag_marks(assignment),
        "properties": {"mode": "Incremental", "template": template, "parameters": values},
    }


def tag_marks(assignment: Assignment) -> dict[str, str]:
    """The run's marks as tags."""
    return {
        tag_name(key): value[:MAX_TAG_VALUE] for key, value in marks(assignment).items() if value
    }


def read_marks(tags: Mapping[str, str], assignment: Assignment) -> dict[str, str]:
    """Marks from tags; those that were cut count as what they stand for, if that is the run's."""
    ours = tag_marks(assignment)
    found = {}
    for key, value in marks(assignment).items():
        name = tag_name(key)
        found[key] = value if tags.get(name) == ours.get(name) else tags.get(name, "")
    return found


def tag_name(text: str) -> str:
    """`text` as Azure accepts it for the name of a tag."""
    return text.translate(NOT_IN_TAG_NAME)


def literal(text: str) -> str:
    """`text` as a template has it when it is not an expression."""
    return f"[{text}" if text.startswith("[") and text.endswith("]") else text


def _describe(
    properties: Json,
    configuration: AzureContainerInstanceConfiguration,
    assignment: Assignment,
    secrets: dict[str, str],
) -> None:
    properties["image"] = literal(configuration.image)
    requests = at(properties, "resources", "requests")
    if configuration.gpu_count:
        gpu: Json = {"count": configuration.gpu_count}
        if configuration.gpu_sku:
            gpu["sku"] = configuration.gpu_sku
        requests["gpu"] = gpu
    given = properties.get("command")
    if not isinstance(given, list):
        program = arguments(configuration.entrypoint, default=())
        command = [*program, *arguments(configuration.command or given)]
        properties["command"] = [literal(argument) for argument in command]
    entries = properties.get("environmentVariables")
    named: dict[str, Json] = {}
    strong = configuration.env | dict(assignment.environment)
    for entry in entries if isinstance(entries, list) else []:
        if not isinstance(entry, Mapping) or "name" not in entry:
            raise StartFailed("The template has an environment variable without a name.")
        named[entry["name"]] = dict(entry)
    for name, value in environment(configuration, assignment).items():
        if name in named and name not in strong:
            continue
        if name in OPEN_VARIABLES and name not in configuration.env:
            named[name] = {"name": name, "value": literal(value)}
        else:
            named[name] = {"name": name, "secureValue": _secret(secrets, name, value)}
    properties["environmentVariables"] = list(named.values())


def _place(
    group: Json, configuration: AzureContainerInstanceConfiguration, secrets: dict[str, str]
) -> None:
    """Registry, identities and network of the group."""
    properties = at(group, "properties")
    registry = configuration.image_registry
    if registry:
        server = registry.registry_url.partition("//")[2] or registry.registry_url
        entry = {"server": literal(server.rstrip("/"))}
        if isinstance(registry, ManagedIdentity):
            entry["identity"] = literal(registry.identity)
        else:
            entry["username"] = literal(registry.username)
            entry["password"] = _secret(
                secrets, "registry password", registry.password.get_secret_value()
            )
        properties["imageRegistryCredentials"] = [
            *properties.get("imageRegistryCredentials", []),
            entry,
        ]
    if configuration.identities:
        identities: Json = {literal(identity): {} for identity in configuration.identities}
        group["identity"] = {"type": "UserAssigned", "userAssignedIdentities": identities}
    if configuration.subnet_ids:
        properties["subnetIds"] = [{"id": literal(each)} for each in configuration.subnet_ids]
    if configuration.dns_servers:
        servers = [literal(each) for each in configuration.dns_servers]
        properties["dnsConfig"] = {"nameServers": servers}


def _secret(secrets: dict[str, str], name: str, value: str) -> str:
    """The expression that stands for a confidential value, which is remembered."""
    secrets[name] = value
    quoted = name.replace("'", "''")
    return f"[parameters('{SECRETS}')['{quoted}']]"


def _group(template: Json) -> Json:
    resources = template.get("resources")
    for resource in resources if isinstance(resources, list) else []:
        if isinstance(resource, dict) and str(resource.get("type")).lower() == GROUP_TYPE.lower():
            return resource
    raise ValueError(f"the template has no resource of type {GROUP_TYPE}")


def _containers(template: Json) -> list[Json]:
    containers: list[Json] = _group(template)["properties"]["containers"]
    return containers
