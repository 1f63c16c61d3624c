"""What the engine is asked to create: an effect for every variable of the template."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.base import Assignment, StartFailed
from forebay_worker.worker_types.docker_request import (
    DockerConfiguration,
    container_body,
    pull_credentials,
    pull_policy,
    with_registry,
)
from tests.worker.builders import Collector, a_run

RUN = UUID("01900000-0000-7000-8000-0000000000aa")
CREDENTIALS = {"username": "me", "password": "secret", "registry_url": "https://reg.test/v2/"}


def a_configuration(**variables: Any) -> DockerConfiguration:
    """The pool type's own template with these variables."""
    values = job_configuration(default_template("docker"), {"image": "flows:1", **variables})
    return DockerConfiguration.model_validate(values)


def an_assignment(api_url: str = "http://api.test/api") -> Assignment:
    """Run `RUN` under its second claim."""
    environment = {"FOREBAY_FLOW_RUN_ID": str(RUN), "FOREBAY_CLAIM": f"{RUN}:2"}
    credentials = {"FOREBAY_API_URL": api_url}
    run = a_run(id=RUN, work_pool_name="pool")
    return Assignment(run, environment, credentials, Collector(), "worker-1")


def a_body(**variables: Any) -> dict[str, Any]:
    """The body of the request for these variables."""
    body, _ = container_body(a_configuration(**variables), an_assignment())
    return body


EFFECTS: dict[str, tuple[Any, str, Any]] = {
    "image": ("other:2", "Image", "other:2"),
    "command": ("sh -c 'a  b'", "Cmd", ["sh", "-c", "a  b"]),
    "network_mode": ("host", "HostConfig.NetworkMode", "host"),
    "networks": (["front", "back"], "HostConfig.NetworkMode", "front"),
    "auto_remove": (True, "HostConfig.AutoRemove", True),
    "volumes": (["/a:/b:ro"], "HostConfig.Binds", ["/a:/b:ro"]),
    "mem_limit": ("512m", "HostConfig.Memory", 512 * 1024**2),
    "privileged": (True, "HostConfig.Privileged", True),
}


@pytest.mark.parametrize("variable", EFFECTS)
def test_variable_has_its_effect_on_the_request(variable: str) -> None:
    value, path, expected = EFFECTS[variable]

    found: Any = a_body(**{variable: value})

    for key in path.split("."):
        found = found[key]
    assert found == expected


def test_every_variable_of_the_template_is_a_field() -> None:
    variables = default_template("docker")["variables"]["properties"]

    assert set(variables) == set(DockerConfiguration.model_fields)


def test_swap_limit_is_given_beside_the_memory_limit() -> None:
    host = a_body(mem_limit="1g", memswap_limit="-1")["HostConfig"]

    assert (host["Memory"], host["MemorySwap"]) == (1024**3, -1)


def test_further_networks_are_joined_after_the_first() -> None:
    _, networks = container_body(a_configuration(networks=["a", "b", "c"]), an_assignment())

    assert networks == ["b", "c"]


def test_environment_has_api_then_configuration_then_run() -> None:
    variables = {"A": "1", "FOREBAY_API_URL": "http://mine", "FOREBAY_CLAIM": "forged"}

    environment = dict(item.split("=", 1) for item in a_body(env=variables)["Env"])

    assert environment == {
        "PYTHONUNBUFFERED": "1",
        "A": "1",
        "FOREBAY_API_URL": "http://mine",
        "FOREBAY_FLOW_RUN_ID": str(RUN),
        "FOREBAY_CLAIM": f"{RUN}:2",
    }


def test_labels_tell_whose_container_it_is() -> None:
    labels = a_body(labels={"team": "a", "forebay.io/worker": "forged"})["Labels"]

    assert labels == {
        "team": "a",
        "forebay.io/flow-run-id": str(RUN),
        "forebay.io/flow-run-name": "calm-otter",
        "forebay.io/work-pool": "pool",
        "forebay.io/worker": "worker-1",
        "forebay.io/claim": f"{RUN}:2",
    }


def test_without_a_command_the_entrypoint_is_executed() -> None:
    assert a_body()["Cmd"] == ["python", "-m", "forebay_worker.execute"]


def test_options_are_taken_under_docker_s_names_and_under_the_engine_s() -> None:
    options = {
        "user": "1000",
        "shm_size": "64m",
        "extra_hosts": {"db": "10.0.0.1"},
        "devices": ["/dev/fuse"],
        "HostConfig": {"PidsLimit": 10},
        "Labels": {"more": "labels"},
    }

    body = a_body(container_create_kwargs=options, mem_limit="1g")

    assert body["User"] == "1000"
    assert body["Labels"]["more"] == "labels"
    assert body["HostConfig"] == {
        "AutoRemove": False,
        "Privileged": False,
        "Memory": 1024**3,
        "PidsLimit": 10,
        "ShmSize": 64 * 1024**2,
        "ExtraHosts": ["db:10.0.0.1"],
        "Devices": [
            {"PathOnHost": "/dev/fuse", "PathInContainer": "/dev/fuse", "CgroupPermissions": "rwm"}
        ],
    }


def test_unknown_option_is_named() -> None:
    with pytest.raises(StartFailed, match="container_create_kwargs: 'memori'"):
        a_body(container_create_kwargs={"memori": 1})


@pytest.mark.parametrize("mode", [None, "bridge"])
def test_api_on_the_engine_s_host_is_called_by_an_alias(mode: str | None) -> None:
    configuration = a_configuration(network_mode=mode)

    body, _ = container_body(configuration, an_assignment("http://127.0.0.1:4200/api"))

    assert "FOREBAY_API_URL=http://host.docker.internal:4200/api" in body["Env"]
    assert body["HostConfig"]["ExtraHosts"] == ["host.docker.internal:host-gateway"]


def test_container_in_the_host_s_network_calls_the_api_as_the_worker_does() -> None:
    configuration = a_configuration(network_mode="host")

    body, _ = container_body(configuration, an_assignment("http://127.0.0.1:4200/api"))

    assert "FOREBAY_API_URL=http://127.0.0.1:4200/api" in body["Env"]
    assert "ExtraHosts" not in body["HostConfig"]


POLICIES = {
    ("flows", None): "Always",
    ("flows:latest", None): "Always",
    ("reg.test:5000/flows", None): "Always",
    ("flows:1", None): "IfNotPresent",
    ("flows@sha256:aa", None): "IfNotPresent",
    ("flows:latest", "Never"): "Never",
    ("flows:1", "Always"): "Always",
}


@pytest.mark.parametrize(("image", "policy"), POLICIES)
def test_pull_policy_follows_the_tag_unless_it_is_given(image: str, policy: str | None) -> None:
    variables = {"image": image, **({"image_pull_policy": policy} if policy else {})}

    assert pull_policy(a_configuration(**variables)) == POLICIES[image, policy]


@pytest.mark.parametrize(
    ("image", "registry"),
    {
        "flows:1": "docker.io/library/flows:1",
        "me/flows": "docker.io/me/flows",
        "localhost/flows": "localhost/flows",
        "reg.test/a/b:1": "reg.test/a/b:1",
        "reg:5000/a": "reg:5000/a",
    }.items(),
)
def test_registry_of_an_image_is_spelled_out(image: str, registry: str) -> None:
    assert with_registry(image) == registry


def test_credentials_are_shown_to_their_own_registry_only() -> None:
    own = a_configuration(image="reg.test/flows:1", registry_credentials=CREDENTIALS)
    other = a_configuration(image="flows:1", registry_credentials=CREDENTIALS)

    assert pull_credentials(own) == {"username": "me", "password": "secret"}
    assert pull_credentials(other) is None


@pytest.mark.parametrize(
    ("variables", "named"),
    [
        ({"networks": ["a"], "network_mode": "host"}, "exclude each other"),
        ({"memswap_limit": "1g"}, "needs mem_limit"),
        ({"mem_limit": "much"}, "'much' is no size"),
        ({"volumes": ["/data"]}, "'/data' must name a source and a path"),
        ({"image": ""}, "image"),
        ({"image_pull_policy": "Sometimes"}, "image_pull_policy"),
    ],
    ids=["networks", "swap", "size", "volume", "image", "policy"],
)
def test_configuration_that_cannot_be_is_refused(variables: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        a_configuration(**variables)
