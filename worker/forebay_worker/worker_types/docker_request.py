"""From a job configuration to what the Docker engine is asked to create. Sends nothing."""

from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel, Field, SecretStr, field_validator, model_validator

from forebay_worker.base import Assignment, JobConfiguration, StartFailed
from forebay_worker.infrastructure import arguments, environment, marks
from forebay_worker.worker_types.docker_options import (
    container_options,
    size_in_bytes,
    with_options,
)

PullPolicy = Literal["IfNotPresent", "Always", "IfPossible", "Never"]

API_URL_VARIABLES = ("FOREBAY_API_URL", "PREFECT_API_URL")
HOST_ALIAS = "host.docker.internal"  # how a container with a network of its own calls its host
HUB = "docker.io"
HUB_ALIASES = (HUB, "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")


class RegistryCredentials(BaseModel):
    """Who may pull from a registry; shown to the engine with a pull and at no other time."""

    username: str
    password: SecretStr
    registry_url: str
    reauth: bool = True  # kept for existing blocks: nothing is remembered, so every pull logs in


class DockerConfiguration(JobConfiguration):
    """Job configuration of a container."""

    image: str = Field(min_length=1, description="Image that the run uses.")
    registry_credentials: RegistryCredentials | None = Field(
        default=None, description="Credentials for pulling the image."
    )
    image_pull_policy: PullPolicy | None = Field(
        default=None,
        description="When the image is pulled. By default always for the tag latest and for "
        "images without a tag, else only if it is missing.",
    )
    networks: list[str] = Field(
        default_factory=list, description="Docker networks that the container joins."
    )
    network_mode: str | None = Field(
        default=None, description="Network mode of the container; excludes networks."
    )
    auto_remove: bool = Field(
        default=False, description="Whether the container is removed when it has ended."
    )
    volumes: list[str] = Field(
        default_factory=list,
        description="Mounted volumes, each as host path or volume, colon, container path.",
    )
    stream_output: bool = Field(
        default=True, description="Whether the worker's console shows what runs write."
    )
    mem_limit: str | None = Field(default=None, description="Most memory, such as 512m.")
    memswap_limit: str | None = Field(
        default=None, description="Most memory and swap together; needs a memory limit."
    )
    privileged: bool = Field(
        default=False, description="Whether the container has extended rights on its host."
    )
    container_create_kwargs: dict[str, Any] | None = Field(
        default=None,
        description="Further options of the container: names of docker-py's `create`, or fields "
        "of the engine's API.",
    )

    @field_validator("networks", "volumes", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return [] if value is None else value

    @field_validator("volumes")
    @classmethod
    def _with_target(cls, volumes: list[str]) -> list[str]:
        for volume in volumes:
            if not all(volume.split(":")[:2]) or ":" not in volume:
                raise ValueError(f"{volume!r} must name a source and a path: /data:/data")
        return volumes

    @field_validator("mem_limit", "memswap_limit")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            size_in_bytes(value)
        return value

    @model_validator(mode="after")
    def _consistent(self) -> "DockerConfiguration":
        if self.networks and self.network_mode:
            raise ValueError("networks and network_mode exclude each other")
        if self.memswap_limit and not self.mem_limit:
            raise ValueError("memswap_limit needs mem_limit")
        return self


def container_body(
    configuration: DockerConfiguration, assignment: Assignment
) -> tuple[dict[str, Any], list[str]]:
    """The body that creates the container, and the networks to join besides the first.

    Raises `StartFailed` for options that nobody knows.
    """
    host: dict[str, Any] = {
        "AutoRemove": configuration.auto_remove,
        "Privileged": configuration.privileged,
    }
    if configuration.volumes:
        host["Binds"] = configuration.volumes
    if configuration.mem_limit:
        host["Memory"] = size_in_bytes(configuration.mem_limit)
    if configuration.memswap_limit:
        host["MemorySwap"] = size_in_bytes(configuration.memswap_limit)
    first = configuration.networks[0] if configuration.networks else configuration.network_mode
    if first:
        host["NetworkMode"] = first
    variables = environment(configuration, assignment)
    if _has_network_of_its_own(first) and _call_host_by_alias(variables):
        host["ExtraHosts"] = [f"{HOST_ALIAS}:host-gateway"]
    body: dict[str, Any] = {
        "Image": configuration.image,
        "Cmd": arguments(configuration.command),
        "Env": [f"{name}={value}" for name, value in variables.items()],
        "Labels": {**configuration.labels, **marks(assignment)},
        "HostConfig": host,
    }
    try:
        extra = container_options(configuration.container_create_kwargs or {})
    except ValueError as error:
        raise StartFailed(f"container_create_kwargs: {error}.") from None
    return with_options(body, extra), configuration.networks[1:]


def pull_policy(configuration: DockerConfiguration) -> PullPolicy:
    """When the image is pulled: as configured, else by its tag."""
    if configuration.image_pull_policy:
        return configuration.image_pull_policy
    _, tag = split_image(configuration.image)
    return "Always" if tag in (None, "latest") else "IfNotPresent"


def split_image(image: str) -> tuple[str, str | None]:
    """An image's name and its tag or digest; no tag where there is none."""
    if "@" in image:
        name, _, digest = image.partition("@")
        return name, digest
    folder, slash, last = image.rpartition("/")
    name, colon, tag = last.partition(":")
    return f"{folder}{slash}{name}", tag if colon else None


def with_registry(image: str) -> str:
    """The image with the registry that it comes from spelled out."""
    first, slash, _ = image.partition("/")
    if slash and (first == "localhost" or "." in first or ":" in first):
        return image
    return f"{HUB}/{image}" if slash else f"{HUB}/library/{image}"


def pull_credentials(configuration: DockerConfiguration) -> dict[str, str] | None:
    """What the registry of the image is shown; none for another registry than theirs."""
    credentials = configuration.registry_credentials
    if credentials is None:
        return None
    url = credentials.registry_url
    theirs = urlsplit(url if "//" in url else f"//{url}").netloc
    asked = with_registry(configuration.image).partition("/")[0]
    if asked != theirs and not (asked in HUB_ALIASES and theirs in HUB_ALIASES):
        return None
    return {
        "username": credentials.username,
        "password": credentials.password.get_secret_value(),
    }


def _has_network_of_its_own(mode: str | None) -> bool:
    return mode not in ("host", "none") and not (mode or "").startswith("container:")


def _call_host_by_alias(variables: dict[str, str]) -> bool:
    """Whether the API is on the engine's host; then its address is changed to the alias."""
    is_changed = False
    for name in API_URL_VARIABLES:
        parts = urlsplit(variables.get(name, ""))
        if parts.hostname in ("localhost", "127.0.0.1", "::1"):
            port = f":{parts.port}" if parts.port else ""
            variables[name] = urlunsplit(parts._replace(netloc=f"{HOST_ALIAS}{port}"))
            is_changed = True
    return is_changed
