"""What Azure is asked to deploy: an effect for every variable, and nothing confidential in sight."""

import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.base import Assignment
from forebay_worker.worker_types import azure_request as requests
from forebay_worker.worker_types.azure_request import AzureContainerInstanceConfiguration
from tests.worker.azure.conftest import TYPE
from tests.worker.azure.groups import deployed
from tests.worker.azure.models import Models
from tests.worker.builders import Collector, a_run

RUN = UUID("01900000-0000-7000-8000-0000000000aa")
REGISTRY = {"username": "robot", "password": "hush", "registry_url": "https://registry.test/"}
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/M.ManagedIdentity/identities/robot"
CONTAINER = "properties.containers.0"


def a_configuration(
    template: dict[str, Any] | None = None, **variables: Any
) -> AzureContainerInstanceConfiguration:
    """The type's own template, or another, with these variables."""
    given = {
        "image": "flows:1",
        "resource_group_name": "flows",
        "subscription_id": "subscription",
        **variables,
    }
    values = job_configuration(template or default_template(TYPE), given)
    return AzureContainerInstanceConfiguration.model_validate(values)


def an_assignment() -> Assignment:
    """Run `RUN` under its second claim."""
    environment = {"FOREBAY_FLOW_RUN_ID": str(RUN), "FOREBAY_CLAIM": f"{RUN}:2"}
    api = {"FOREBAY_API_URL": "http://api.test/api", "FOREBAY_API_KEY": "token"}
    run = a_run(id=RUN, work_pool_name="My pool")
    return Assignment(run, environment, api, Collector(), "worker 1")


def a_group(models: Models, configuration: AzureContainerInstanceConfiguration) -> dict[str, Any]:
    """The group that is deployed for a configuration, which fits Azure's models."""
    made = deployed(requests.deployment(configuration, an_assignment())["properties"])
    fitting = {key: made[key] for key in made if key not in ("apiVersion", "name", "type")}
    assert models.faults("ContainerGroup", fitting, is_request=True) == []
    return made


def at(value: Any, path: str) -> Any:
    """What is at a dotted path; none where there is nothing."""
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)]
        else:
            value = value.get(key) if value is not None else None
    return value


NAME = "nightly-load-000000aa-2"
EFFECTS: dict[str, list[tuple[Any, str, Any]]] = {
    "name": [("Nightly Load", "name", NAME), ("Nightly Load", f"{CONTAINER}.name", NAME)],
    "labels": [({"team/a": "b"}, "tags", {"team.a": "b"})],
    "command": [
        (
            "sh -c 'a  b'",
            f"{CONTAINER}.properties.command",
            ["/opt/prefect/entrypoint.sh", "sh", "-c", "a  b"],
        ),
        ("[concat('a')]", f"{CONTAINER}.properties.command.1", "[concat(a)]"),
    ],
    "image": [("other:2", f"{CONTAINER}.properties.image", "other:2")],
    "entrypoint": [
        ("/bin/enter -x", f"{CONTAINER}.properties.command.1", "-x"),
        ("", f"{CONTAINER}.properties.command.0", "python"),
    ],
    "cpu": [(2, f"{CONTAINER}.properties.resources.requests.cpu", 2)],
    "memory": [(3.5, f"{CONTAINER}.properties.resources.requests.memoryInGB", 3.5)],
    "identities": [
        (
            [IDENTITY],
            "identity",
            {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}},
        )
    ],
    "image_registry": [
        (
            REGISTRY,
            "properties.imageRegistryCredentials",
            [{"server": "registry.test", "username": "robot", "password": "hush"}],
        ),
        (
            {"registry_url": "own.azurecr.io", "identity": IDENTITY},
            "properties.imageRegistryCredentials",
            [{"server": "own.azurecr.io", "identity": IDENTITY}],
        ),
    ],
    "subnet_ids": [(["subnet"], "properties.subnetIds", [{"id": "subnet"}])],
    "dns_servers": [(["10.0.0.1"], "properties.dnsConfig.nameServers", ["10.0.0.1"])],
}
GPU = f"{CONTAINER}.properties.resources.requests.gpu"
# What these do is tested below, or with Azure's stand-in.
ELSEWHERE = {
    "env",
    "gpu_count",
    "gpu_sku",
    "resource_group_name",
    "subscription_id",
    "aci_credentials",
    "stream_output",
    "task_start_timeout_seconds",
    "task_watch_poll_interval",
    "keep_container_group",
}
CASES = [(name, number) for name, cases in EFFECTS.items() for number in range(len(cases))]


@pytest.mark.scenario("azure-container-instance", "template-values")
@pytest.mark.parametrize(("variable", "number"), CASES)
def test_variable_has_its_effect_on_the_group(
    azure_models: Models, variable: str, number: int
) -> None:
    value, path, expected = EFFECTS[variable][number]

    found = at(a_group(azure_models, a_configuration(**{variable: value})), path)

    if variable == "labels":
        found = {key: found[key] for key in expected}
    assert found == expected


def test_gpus_are_counted_by_their_kind(azure_models: Models) -> None:
    group = a_group(azure_models, a_configuration(gpu_count=2, gpu_sku="V100"))

    assert at(group, GPU) == {"count": 2, "sku": "V100"}


def test_every_variable_of_the_template_is_accounted_for() -> None:
    variables = default_template(TYPE)["variables"]["properties"]

    assert set(variables) == set(EFFECTS) | ELSEWHERE


def test_tags_mark_the_group_and_its_deployment(azure_models: Models) -> None:
    body = requests.deployment(a_configuration(), an_assignment())

    group = deployed(body["properties"])

    assert (
        group["tags"]
        == body["tags"]
        == {
            "forebay.io.flow-run-id": str(RUN),
            "forebay.io.flow-run-name": "calm-otter",
            "forebay.io.work-pool": "My pool",
            "forebay.io.worker": "worker 1",
            "forebay.io.claim": f"{RUN}:2",
        }
    )


def test_environment_is_secure_but_for_what_names_api_and_run(azure_models: Models) -> None:
    configuration = a_configuration(env={"A": "[1]", "FOREBAY_CLAIM": "forged"})

    group = a_group(azure_models, configuration)

    assert at(group, f"{CONTAINER}.properties.environmentVariables") == [
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": "FOREBAY_API_URL", "value": "http://api.test/api"},
        {"name": "FOREBAY_API_KEY", "secureValue": "token"},
        {"name": "A", "secureValue": "[1]"},
        {"name": "FOREBAY_CLAIM", "secureValue": f"{RUN}:2"},
        {"name": "FOREBAY_FLOW_RUN_ID", "value": str(RUN)},
    ]


def test_what_is_confidential_is_in_a_secure_parameter_and_not_in_the_template() -> None:
    configuration = a_configuration(image_registry=REGISTRY, env={"PASSWORD": "hidden"})

    properties = requests.deployment(configuration, an_assignment())["properties"]

    template = json.dumps(properties["template"])
    assert not any(secret in template for secret in ("token", "hush", "hidden"))
    assert properties["template"]["parameters"]["forebay_secrets"] == {"type": "secureObject"}


def test_text_that_looks_like_an_expression_stays_text(azure_models: Models) -> None:
    configuration = a_configuration(
        image="[parameters('location')]", labels={"note": "[resourceGroup().id]"}
    )

    group = a_group(azure_models, configuration)

    assert at(group, f"{CONTAINER}.properties.image") == "[parameters('location')]"
    assert group["tags"]["note"] == "[resourceGroup().id]"


def test_template_of_one_s_own_keeps_every_field(azure_models: Models) -> None:
    own = {
        "resources": [
            {
                "type": "Microsoft.ContainerInstance/containerGroups",
                "apiVersion": "2023-05-01",
                "name": "fixed",
                "location": "northeurope",
                "tags": {"own": "tag"},
                "properties": {
                    "osType": "Linux",
                    "sku": "Confidential",
                    "containers": [
                        {
                            "name": "main",
                            "properties": {
                                "image": "{{ image }}",
                                "command": ["own", "program"],
                                "resources": {"requests": {"cpu": 1, "memoryInGB": 1}},
                                "environmentVariables": [{"name": "X", "value": "1"}],
                            },
                        }
                    ],
                },
            }
        ]
    }
    template = default_template(TYPE)
    template["job_configuration"]["arm_template"] = own

    configuration = a_configuration(template)
    group = a_group(azure_models, configuration)

    assert requests.api_version(configuration) == "2023-05-01"
    assert requests.container_name(configuration, an_assignment()) == "main"
    assert group["name"] == "calm-otter-000000aa-2"
    assert group["location"] == "northeurope"
    assert group["properties"]["sku"] == "Confidential"
    assert group["tags"]["own"] == "tag"
    assert at(group, f"{CONTAINER}.properties.command") == ["own", "program"]
    assert {"name": "X", "value": "1"} in at(group, f"{CONTAINER}.properties.environmentVariables")


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": ""}, "image"),
    "subscription": ({"subscription_id": None}, "subscription_id"),
    "credentials": ({"aci_credentials": {"client_id": "x"}}, "must be given together"),
    "interval": ({"task_watch_poll_interval": 0}, "task_watch_poll_interval"),
}


@pytest.mark.parametrize("case", INVALID)
def test_configuration_that_cannot_work_is_refused_with_the_field_s_name(case: str) -> None:
    variables, expected = INVALID[case]

    with pytest.raises(ValidationError, match=expected):
        a_configuration(**variables)


def test_template_without_a_group_is_refused() -> None:
    template = default_template(TYPE)
    template["job_configuration"]["arm_template"] = {"resources": []}

    with pytest.raises(ValidationError, match="no resource of type"):
        a_configuration(template)
