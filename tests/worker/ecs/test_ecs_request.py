"""What ECS is asked for: an effect for every variable, and nothing of a run in a definition."""

import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from forebay.pool_types import default_template
from forebay_worker.base import Assignment, StartFailed
from forebay_worker.worker_types import ecs_request as requests
from forebay_worker.worker_types.ecs_request import EcsConfiguration
from tests.worker.builders import Collector, a_run
from tests.worker.ecs.builders import a_configuration
from tests.worker.ecs.conftest import ROLE
from tests.worker.ecs.model import check_request

RUN = UUID("01900000-0000-7000-8000-0000000000aa")
DEPLOYMENT = UUID("01900000-0000-7000-8000-0000000000dd")
SECRET = "arn:aws:secretsmanager:eu-test-1:123456789012:secret:key"


def an_assignment(claim: str = f"{RUN}:2", **environment: str) -> Assignment:
    """Run `RUN` under its second claim."""
    given = {"FOREBAY_FLOW_RUN_ID": str(RUN), "FOREBAY_CLAIM": claim, **environment}
    api = {"FOREBAY_API_URL": "http://api.test/api", "FOREBAY_API_KEY": "token"}
    run = a_run(id=RUN, deployment_id=DEPLOYMENT, work_pool_name="My pool")
    return Assignment(run, given, api, Collector(), "worker 1")


def a_definition(configuration: EcsConfiguration, **assigned: str) -> dict[str, Any]:
    """The definition for a configuration, which fits botocore's model."""
    made = requests.task_definition(configuration, an_assignment(**assigned), "eu-test-1")
    check_request("ecs", "RegisterTaskDefinition", made)
    return made


def asked_for(
    configuration: EcsConfiguration, subnets: tuple[str, ...] = ("subnet-a",), **assigned: str
) -> dict[str, Any]:
    """Definition and request for a configuration, which fit botocore's model."""
    definition = a_definition(configuration) if not configuration.definition_arn else REGISTERED
    registered = {"taskDefinitionArn": "arn:own:1", **definition}
    network = None
    if requests.needs_network(configuration, registered):
        network = requests.network(configuration, list(subnets))
    request = requests.task_run_request(
        configuration, an_assignment(**assigned), registered, network
    )
    check_request("ecs", "RunTask", request)
    return {"definition": definition, "request": request}


REGISTERED = {
    "taskDefinitionArn": "arn:own:7",
    "networkMode": "bridge",
    "containerDefinitions": [{"name": "main", "image": "own:1"}],
}
CONTAINER = "definition.containerDefinitions.0"
OVERRIDE = "request.overrides.containerOverrides.0"
LOGS = f"{CONTAINER}.logConfiguration.options"


def at(value: Any, path: str) -> Any:
    """What is at a dotted path; none where there is nothing."""
    for key in path.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if value is not None else None
    return value


PROVIDERS = [{"capacityProvider": "own", "weight": 1, "base": 0}]

EFFECTS: dict[str, list[tuple[Any, str, Any]]] = {
    "name": [("Nightly Load", "request.tags.0", {"key": "Name", "value": "nightly-load"})],
    "env": [({"A": "1"}, f"{OVERRIDE}.environment.3", {"name": "A", "value": "1"})],
    "labels": [({"team": "a"}, "request.tags.1", {"key": "team", "value": "a"})],
    "command": [("sh -c 'a  b'", f"{OVERRIDE}.command", ["sh", "-c", "a  b"])],
    "task_definition_arn": [("own:7", "request.taskDefinition", "arn:own:7")],
    "cluster": [("batch", "request.cluster", "batch")],
    "family": [
        ("loads", "definition.family", "loads"),
        ("loads", f"{LOGS}.awslogs-stream-prefix", "loads"),
    ],
    "launch_type": [
        ("EC2", "request.launchType", "EC2"),
        ("EC2", "definition.networkMode", None),
        ("FARGATE", "definition.networkMode", "awsvpc"),
        ("FARGATE", "definition.requiresCompatibilities", ["FARGATE"]),
        ("FARGATE_SPOT", "request.launchType", None),
        (
            "FARGATE_SPOT",
            "request.capacityProviderStrategy",
            [{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        ),
    ],
    "capacity_provider_strategy": [
        (PROVIDERS, "request.capacityProviderStrategy", PROVIDERS),
        (PROVIDERS, "request.launchType", None),
        ([], "request.launchType", "FARGATE"),
    ],
    "image": [("other:2", f"{CONTAINER}.image", "other:2")],
    "cpu": [
        (512, "definition.cpu", "512"),
        (512, "request.overrides.cpu", "512"),
        (512, f"{OVERRIDE}.cpu", 512),
    ],
    "memory": [
        (4096, "definition.memory", "4096"),
        (4096, "request.overrides.memory", "4096"),
        (4096, f"{OVERRIDE}.memory", 4096),
    ],
    "container_name": [
        ("main", f"{CONTAINER}.name", "main"),
        ("main", f"{OVERRIDE}.name", "main"),
    ],
    "task_role_arn": [("arn:role", "request.overrides.taskRoleArn", "arn:role")],
    "execution_role_arn": [("arn:other", "definition.executionRoleArn", "arn:other")],
    "configure_cloudwatch_logs": [
        (True, f"{LOGS}.awslogs-group", "forebay"),
        (False, f"{CONTAINER}.logConfiguration", None),
    ],
    "cloudwatch_logs_options": [({"awslogs-group": "own"}, f"{LOGS}.awslogs-group", "own")],
    "cloudwatch_logs_prefix": [("own", f"{LOGS}.awslogs-stream-prefix", "own")],
    "network_configuration": [
        (
            {"subnets": ["subnet-z"], "securityGroups": ["group"]},
            "request.networkConfiguration.awsvpcConfiguration",
            {"subnets": ["subnet-z"], "securityGroups": ["group"]},
        ),
        (
            {"awsvpcConfiguration": {"subnets": ["subnet-z"]}},
            "request.networkConfiguration.awsvpcConfiguration.subnets",
            ["subnet-z"],
        ),
    ],
    "prefect_api_key_secret_arn": [
        (SECRET, f"{CONTAINER}.secrets", [{"name": "FOREBAY_API_KEY", "valueFrom": SECRET}])
    ],
    "prefect_api_auth_string_secret_arn": [
        (
            SECRET,
            f"{CONTAINER}.secrets",
            [{"name": "FOREBAY_API_AUTH_STRING", "valueFrom": SECRET}],
        )
    ],
}
# What these do is tested with AWS's stand-in.
ELSEWHERE = {
    "aws_credentials",
    "vpc_id",
    "stream_output",
    "task_start_timeout_seconds",
    "task_watch_poll_interval",
    "auto_deregister_task_definition",
    "match_latest_revision_in_family",
}
CASES = [(name, number) for name, cases in EFFECTS.items() for number in range(len(cases))]


@pytest.mark.scenario("ecs", "template-values")
@pytest.mark.parametrize(("variable", "number"), CASES)
def test_variable_has_its_effect(variable: str, number: int) -> None:
    value, path, expected = EFFECTS[variable][number]

    assert at(asked_for(a_configuration(**{variable: value})), path) == expected


def test_every_variable_of_the_template_is_accounted_for() -> None:
    variables = default_template("ecs")["variables"]["properties"]

    assert set(variables) == set(EFFECTS) | ELSEWHERE


def test_runs_of_a_deployment_share_a_definition() -> None:
    one = a_definition(a_configuration("echo 1", env={"A": "1"}), claim="one")
    other = a_definition(a_configuration("echo 2", env={"A": "2"}), claim="other")

    assert requests.fingerprint(one) == requests.fingerprint(other)
    assert one["family"] == f"forebay_My-pool_{DEPLOYMENT}"


def test_tags_mark_the_task() -> None:
    request = asked_for(a_configuration())["request"]

    assert requests.read_tags(request) == {
        "Name": "calm-otter",
        "forebay.io/flow-run-id": str(RUN),
        "forebay.io/flow-run-name": "calm-otter",
        "forebay.io/work-pool": "My pool",
        "forebay.io/worker": "worker 1",
        "forebay.io/claim": f"{RUN}:2",
    }


def test_claim_is_asked_for_under_one_token_and_another_claim_under_another() -> None:
    first = asked_for(a_configuration())["request"]["clientToken"]
    again = asked_for(a_configuration())["request"]["clientToken"]
    later = asked_for(a_configuration(), claim=f"{RUN}:3")["request"]["clientToken"]

    assert first == again != later
    assert len(first) <= 64


def test_environment_has_credentials_then_variables_then_run() -> None:
    configuration = a_configuration(env={"A": "1", "FOREBAY_CLAIM": "forged"})

    entries = at(asked_for(configuration), f"{OVERRIDE}.environment")

    assert [(each["name"], each["value"]) for each in entries] == [
        ("PYTHONUNBUFFERED", "1"),
        ("FOREBAY_API_URL", "http://api.test/api"),
        ("FOREBAY_API_KEY", "token"),
        ("A", "1"),
        ("FOREBAY_CLAIM", f"{RUN}:2"),
        ("FOREBAY_FLOW_RUN_ID", str(RUN)),
    ]


def test_token_from_a_secret_is_in_no_request() -> None:
    asked = asked_for(a_configuration(prefect_api_key_secret_arn=SECRET))

    assert "token" not in json.dumps(asked["request"]["overrides"])


def test_large_parameters_are_left_to_the_api() -> None:
    parameters = json.dumps({"text": "x" * 8000})

    request = asked_for(a_configuration(), FOREBAY_PARAMETERS=parameters)["request"]

    names = [each["name"] for each in at({"request": request}, f"{OVERRIDE}.environment")]
    assert "FOREBAY_CLAIM" in names
    assert "FOREBAY_PARAMETERS" not in names


def test_environment_that_ecs_cannot_take_is_told_with_its_size() -> None:
    with pytest.raises(StartFailed, match="ECS takes at most 8192"):
        asked_for(a_configuration(env={"BIG": "x" * 9000}))


def a_template(definition: dict[str, Any], **request: Any) -> dict[str, Any]:
    """A template of the user's own with this definition."""
    template = default_template("ecs")
    template["job_configuration"]["task_definition"] = definition
    template["job_configuration"]["task_run_request"] |= request
    return template


def test_template_of_one_s_own_keeps_every_field() -> None:
    own = {
        "family": "etl",
        "networkMode": "host",
        "volumes": [{"name": "data", "host": {"sourcePath": "/data"}}],
        "containerDefinitions": [
            {"name": "proxy", "image": "proxy:1", "memory": 64},
            {
                "name": "main",
                "image": "own:1",
                "memoryReservation": 128,
                "logConfiguration": {"logDriver": "json-file"},
            },
        ],
    }
    template = a_template(own, platformVersion="LATEST", launchType="EC2")

    asked = asked_for(a_configuration(template=template, container_name="main"))

    assert asked["definition"] == {**own, "executionRoleArn": ROLE}
    assert asked["request"]["platformVersion"] == "LATEST"
    assert [each["name"] for each in asked["request"]["overrides"]["containerOverrides"]] == [
        "main"
    ]


def test_container_outside_of_fargate_has_memory() -> None:
    definition = a_definition(a_configuration(launch_type="EC2"))

    assert definition["containerDefinitions"][0]["memory"] == 2048


def test_registered_definition_is_known_again_by_what_was_rendered() -> None:
    rendered = a_definition(a_configuration())
    registered = {
        **rendered,
        "taskDefinitionArn": "arn:own:7",
        "revision": 7,
        "status": "ACTIVE",
        "volumes": [],
        "containerDefinitions": [
            {**rendered["containerDefinitions"][0], "cpu": 0, "essential": True}
        ],
    }

    assert requests.is_same(rendered, registered)
    assert not requests.is_same(rendered, {**registered, "volumes": [{"name": "data"}]})
    assert not requests.is_same({**rendered, "cpu": "512"}, registered)


INVALID: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"image": ""}, "no image: set `image`"),
    "role": ({"execution_role_arn": ""}, "configure_cloudwatch_logs or stream_output needs"),
    "secret": (
        {
            "execution_role_arn": "",
            "configure_cloudwatch_logs": False,
            "prefect_api_key_secret_arn": SECRET,
        },
        "prefect_api_key_secret_arn needs execution_role_arn",
    ),
    "interval": ({"task_watch_poll_interval": 0}, "task_watch_poll_interval"),
}


@pytest.mark.parametrize("case", INVALID)
def test_configuration_that_cannot_work_is_refused_with_the_field_s_name(case: str) -> None:
    variables, expected = INVALID[case]

    with pytest.raises(ValidationError, match=expected):
        a_configuration(**variables)
