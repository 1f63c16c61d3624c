"""What Google Cloud is asked for: an effect for every variable, and no field dropped."""

from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.base import Assignment, StartFailed
from forebay_worker.worker_types.cloud_run_job import CloudRunV1Configuration
from forebay_worker.worker_types.cloud_run_job import job as job_v1
from forebay_worker.worker_types.cloud_run_v2_job import CloudRunV2Configuration
from forebay_worker.worker_types.cloud_run_v2_job import job as job_v2
from forebay_worker.worker_types.google_request import GoogleConfiguration, label
from forebay_worker.worker_types.vertex_ai_job import VertexAiConfiguration, custom_job
from tests.worker.builders import Collector, a_run
from tests.worker.google.discovery import api
from tests.worker.google.executions import PROJECT

RUN = UUID("01900000-0000-7000-8000-0000000000aa")
CONFIGURATIONS: dict[str, type[GoogleConfiguration]] = {
    "cloud-run": CloudRunV1Configuration,
    "cloud-run-v2": CloudRunV2Configuration,
    "vertex-ai": VertexAiConfiguration,
}
V1_TASK = "spec.template.spec.template.spec"
V2_TASK = "template.template"
POOL = "jobSpec.workerPoolSpecs.0"
SECRET = {"secret": "api-key", "version": "3"}
FOREBAY_LABELS = {
    "forebay-flow-run-id": str(RUN),
    "forebay-work-pool": "my-pool",
    "forebay-worker": "worker-1",
}


def a_configuration(type: str, template: dict[str, Any] | None = None, **variables: Any) -> Any:
    """The pool type's own template, or another, with these variables."""
    given = {"image": "flows:1", "region": "europe-west1", **variables}
    values = job_configuration(template or default_template(type), given)
    return CONFIGURATIONS[type].model_validate(values)


def an_assignment(**credentials: str) -> Assignment:
    """Run `RUN` under its second claim."""
    environment = {"FOREBAY_FLOW_RUN_ID": str(RUN), "FOREBAY_CLAIM": f"{RUN}:2"}
    found = {"FOREBAY_API_URL": "http://api.test/api", **credentials}
    run = a_run(id=RUN, work_pool_name="My pool")
    return Assignment(run, environment, found, Collector(), "worker 1")


def a_body(type: str, template: dict[str, Any] | None = None, **variables: Any) -> Any:
    """What is asked for with these variables, which the API's description knows."""
    return body_of(a_configuration(type, template, **variables), an_assignment())


def body_of(configuration: GoogleConfiguration, assignment: Assignment) -> Any:
    """The body of the request that makes a job, which the API's description knows."""
    match configuration:
        case CloudRunV1Configuration():
            method, _ = api("run.v1").find(
                "POST", "apis/run.googleapis.com/v1/namespaces/my-project/jobs"
            )
            body = job_v1(configuration, assignment, PROJECT)
        case CloudRunV2Configuration():
            method, _ = api("run.v2").find("POST", "v2/projects/p/locations/l/jobs")
            body = job_v2(configuration, assignment)
        case VertexAiConfiguration():
            method, _ = api("aiplatform.v1").find("POST", "v1/projects/p/locations/l/customJobs")
            body = custom_job(configuration, assignment)
        case _:
            raise AssertionError(configuration)
    method.check_request({}, body)
    return body


def at(body: Any, path: str) -> Any:
    """What is at a dotted path; dots of a key are written as `/`."""
    for key in path.split("."):
        body = body[int(key) if key.isdigit() else key.replace("/", ".", key.count("/") - 1)]
    return body


def variable(entries: list[Any], name: str) -> Any:
    """The one entry of an environment with this name."""
    [found] = [entry for entry in entries if entry["name"] == name]
    return {key: value for key, value in found.items() if key != "name"}


CONNECTOR = "run/googleapis/com/vpc-access-connector"
EFFECTS: dict[str, dict[str, tuple[Any, str, Any]]] = {
    "cloud-run": {
        "name": ("Nightly Load", "metadata.name", "nightly-load-000000aa-2"),
        "labels": ({"Team": "A b"}, "metadata.labels.team", "a-b"),
        "command": ("sh -c 'a  b'", f"{V1_TASK}.containers.0.command", ["sh", "-c", "a  b"]),
        "image": ("other:2", f"{V1_TASK}.containers.0.image", "other:2"),
        "cpu": (
            "2000m",
            f"{V1_TASK}.containers.0.resources",
            {"limits": {"cpu": "2000m"}, "requests": {"cpu": "2000m"}},
        ),
        "memory": (
            "1Gi",
            f"{V1_TASK}.containers.0.resources",
            {"limits": {"memory": "1Gi"}, "requests": {"memory": "1Gi"}},
        ),
        "vpc_connector_name": ("c", f"spec.template.metadata.annotations.{CONNECTOR}", "c"),
        "service_account_name": ("robot@p", f"{V1_TASK}.serviceAccountName", "robot@p"),
        "timeout": (90, f"{V1_TASK}.timeoutSeconds", "90"),
    },
    "cloud-run-v2": {
        "labels": ({"Team": "A b"}, "labels.team", "a-b"),
        "command": ("sh -c 'a  b'", f"{V2_TASK}.containers.0.command", ["sh", "-c", "a  b"]),
        "image": ("other:2", f"{V2_TASK}.containers.0.image", "other:2"),
        "args": (["a", "b"], f"{V2_TASK}.containers.0.args", ["a", "b"]),
        "launch_stage": ("GA", "launchStage", "GA"),
        "max_retries": (2, f"{V2_TASK}.maxRetries", 2),
        "cpu": ("2000m", f"{V2_TASK}.containers.0.resources.limits.cpu", "2000m"),
        "memory": ("1Gi", f"{V2_TASK}.containers.0.resources.limits.memory", "1Gi"),
        "timeout": (90, f"{V2_TASK}.timeout", "90s"),
        "vpc_connector_name": ("c", f"{V2_TASK}.vpcAccess.connector", "c"),
        "service_account_name": ("robot@p", f"{V2_TASK}.serviceAccount", "robot@p"),
        "cloudsql_instances": (
            ["p:r:i"],
            f"{V2_TASK}.volumes.0.cloudSqlInstance.instances",
            ["p:r:i"],
        ),
    },
    "vertex-ai": {
        "name": ("Nightly Load", "displayName", "Nightly Load"),
        "labels": ({"Team": "A b"}, "labels.team", "a-b"),
        "command": ("sh -c 'a  b'", f"{POOL}.containerSpec.command", ["sh", "-c", "a  b"]),
        "image": ("other:2", f"{POOL}.containerSpec.imageUri", "other:2"),
        "machine_type": ("a2-highgpu-1g", f"{POOL}.machineSpec.machineType", "a2-highgpu-1g"),
        "accelerator_type": (
            "NVIDIA_TESLA_T4",
            f"{POOL}.machineSpec.acceleratorType",
            "NVIDIA_TESLA_T4",
        ),
        "accelerator_count": (2, f"{POOL}.machineSpec.acceleratorCount", 2),
        "boot_disk_type": ("pd-standard", f"{POOL}.diskSpec.bootDiskType", "pd-standard"),
        "boot_disk_size_gb": (200, f"{POOL}.diskSpec.bootDiskSizeGb", 200),
        "maximum_run_time_hours": (5, "jobSpec.scheduling.timeout", "18000s"),
        "network": (
            "projects/1/global/networks/n",
            "jobSpec.network",
            "projects/1/global/networks/n",
        ),
        "reserved_ip_ranges": (["r"], "jobSpec.reservedIpRanges", ["r"]),
        "service_account_name": ("robot@p", "jobSpec.serviceAccount", "robot@p"),
        "scheduling": (
            {"strategy": "SPOT", "disable_retries": False},
            "jobSpec.scheduling",
            {"strategy": "SPOT", "disableRetries": False, "timeout": "3600s"},
        ),
        "enable_web_access": (True, "jobSpec.enableWebAccess", True),
        "enable_dashboard_access": (True, "jobSpec.enableDashboardAccess", True),
    },
}
# These have an effect in more than one place, which tests below show, or none on the body: region,
# name and credentials decide where and as whom is asked, the interval how often
# (`test_google_session`), and `keep_job` what is done in the end (`test_google_worker`).
ELSEWHERE = {
    "cloud-run": {
        "env",
        "region",
        "credentials",
        "keep_job",
        "prefect_api_key_secret",
        "prefect_api_auth_string_secret",
    },
    "cloud-run-v2": {
        "name",
        "env",
        "region",
        "credentials",
        "keep_job",
        "env_from_secrets",
        "prefect_api_key_secret",
        "prefect_api_auth_string_secret",
    },
    "vertex-ai": {"env", "region", "credentials", "job_watch_poll_interval"},
}
CASES = [(type, name) for type, effects in EFFECTS.items() for name in effects]
ENVIRONMENTS = {
    "cloud-run": f"{V1_TASK}.containers.0.env",
    "cloud-run-v2": f"{V2_TASK}.containers.0.env",
    "vertex-ai": f"{POOL}.containerSpec.env",
}
COMMANDS = {
    "cloud-run": f"{V1_TASK}.containers.0.command",
    "cloud-run-v2": f"{V2_TASK}.containers.0.command",
    "vertex-ai": f"{POOL}.containerSpec.command",
}
TYPES = tuple(CONFIGURATIONS)


@pytest.mark.parametrize(("type", "name"), CASES, ids=[" ".join(case) for case in CASES])
def test_variable_has_its_effect_on_the_job(type: str, name: str) -> None:
    value, path, expected = EFFECTS[type][name]

    assert at(a_body(type, **{name: value}), path) == expected


@pytest.mark.parametrize("type", TYPES)
def test_every_variable_of_the_template_is_accounted_for(type: str) -> None:
    variables = default_template(type)["variables"]["properties"]

    assert set(variables) == set(EFFECTS[type]) | ELSEWHERE[type]


@pytest.mark.parametrize("type", TYPES)
def test_job_without_a_command_executes_its_run(type: str) -> None:
    assert at(a_body(type), COMMANDS[type]) == ["python", "-m", "forebay_worker.execute"]


def test_arguments_without_a_command_are_for_the_image_s_own_program() -> None:
    container = at(a_body("cloud-run-v2", args=["run"]), f"{V2_TASK}.containers.0")

    assert "command" not in container


@pytest.mark.parametrize("type", TYPES)
def test_environment_has_credentials_then_variables_then_run(type: str) -> None:
    configuration = a_configuration(type, env={"A": "1", "FOREBAY_CLAIM": "forged"})

    body = body_of(configuration, an_assignment(FOREBAY_API_KEY="token"))

    env = at(body, ENVIRONMENTS[type])
    assert variable(env, "FOREBAY_API_URL") == {"value": "http://api.test/api"}
    assert variable(env, "FOREBAY_API_KEY") == {"value": "token"}
    assert variable(env, "A") == {"value": "1"}
    assert variable(env, "FOREBAY_CLAIM") == {"value": f"{RUN}:2"}


def test_jobs_are_marked_with_their_run_where_people_and_successors_look() -> None:
    v1, v2, vertex = (a_body(type) for type in TYPES)

    marks = {
        "forebay.io/flow-run-id": str(RUN),
        "forebay.io/flow-run-name": "calm-otter",
        "forebay.io/work-pool": "My pool",
        "forebay.io/worker": "worker 1",
        "forebay.io/claim": f"{RUN}:2",
    }
    described = [v1["metadata"], at(v1, "spec.template.metadata"), v2, v2["template"], vertex]
    assert all(each["labels"] == FOREBAY_LABELS for each in described)
    assert all(marks.items() <= each["annotations"].items() for each in described[:-1])
    env = at(vertex, ENVIRONMENTS["vertex-ai"])
    assert variable(env, "FOREBAY_WORKER") == {"value": "worker 1"}


def test_failed_task_is_not_started_again_unless_the_template_says_so() -> None:
    own = default_template("cloud-run")
    own["job_configuration"]["job_body"]["spec"]["template"]["spec"]["template"]["spec"][
        "maxRetries"
    ] = 1

    assert at(a_body("cloud-run"), f"{V1_TASK}.maxRetries") == 0
    assert at(a_body("cloud-run", own), f"{V1_TASK}.maxRetries") == 1
    assert at(a_body("cloud-run-v2"), f"{V2_TASK}.maxRetries") == 0
    assert at(a_body("vertex-ai"), "jobSpec.scheduling.disableRetries") is True


# Secrets.


@pytest.mark.parametrize(
    ("name", "variable_name"),
    [
        ("prefect_api_key_secret", "FOREBAY_API_KEY"),
        ("prefect_api_auth_string_secret", "FOREBAY_API_AUTH_STRING"),
    ],
    ids=["key", "auth string"],
)
@pytest.mark.parametrize("type", ["cloud-run", "cloud-run-v2"])
def test_api_s_secret_is_referred_to_and_no_token_is_written_down(
    type: str, name: str, variable_name: str
) -> None:
    configuration = a_configuration(type, **{name: SECRET})

    body = body_of(configuration, an_assignment(FOREBAY_API_KEY="token"))

    expected = {
        "cloud-run": {"valueFrom": {"secretKeyRef": {"name": "api-key", "key": "3"}}},
        "cloud-run-v2": {"valueSource": {"secretKeyRef": {"secret": "api-key", "version": "3"}}},
    }
    assert variable(at(body, ENVIRONMENTS[type]), variable_name) == expected[type]
    assert "token" not in str(body)


def test_environment_from_secrets_is_stronger_than_a_plain_one() -> None:
    body = a_body("cloud-run-v2", env={"DB": "plain"}, env_from_secrets={"DB": SECRET})

    assert variable(at(body, ENVIRONMENTS["cloud-run-v2"]), "DB") == {
        "valueSource": {"secretKeyRef": {"secret": "api-key", "version": "3"}}
    }


def test_references_between_variables_stay_text() -> None:
    body = a_body("vertex-ai", env={"A": "$(B) costs $5"})

    env = at(body, ENVIRONMENTS["vertex-ai"])
    assert variable(env, "A") == {"value": "$$(B) costs $5"}


# Templates of one's own.


def test_template_of_one_s_own_keeps_every_field() -> None:
    own = default_template("cloud-run-v2")
    own["job_configuration"]["job_body"] = {
        "labels": {"team": "a"},
        "annotations": {"note": "b"},
        "template": {
            "parallelism": 1,
            "template": {
                "volumes": [{"name": "scratch", "emptyDir": {}}],
                "containers": [
                    {
                        "image": "own:1",
                        "command": ["python", "-m", "own"],
                        "env": [{"name": "X", "value": "1"}],
                        "volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}],
                    },
                    {"name": "proxy", "image": "proxy:1"},
                ],
            },
        },
    }

    body = a_body("cloud-run-v2", own, cloudsql_instances=["p:r:i"])

    assert body["labels"] == {"team": "a", **FOREBAY_LABELS}
    assert body["annotations"]["note"] == "b"
    assert body["template"]["parallelism"] == 1
    task = body["template"]["template"]
    assert task["timeout"] == "600s"
    assert [volume["name"] for volume in task["volumes"]] == ["scratch", "cloudsql"]
    assert task["volumes"][0] == {"name": "scratch", "emptyDir": {}}
    main, proxy = task["containers"]
    assert main["command"] == ["python", "-m", "own"]
    assert main["volumeMounts"][1] == {"name": "cloudsql", "mountPath": "/cloudsql"}
    assert variable(main["env"], "X") == {"value": "1"}
    assert proxy == {"name": "proxy", "image": "proxy:1"}


@pytest.mark.parametrize("stage", ["LAUNCH_TAG_UNSPECIFIED", "LAUNCH_STAGE_UNSPECIFIED"])
def test_launch_stage_that_says_nothing_is_left_to_the_cloud(stage: str) -> None:
    assert "launchStage" not in a_body("cloud-run-v2", launch_stage=stage)


def test_job_spec_may_be_written_as_the_api_has_it() -> None:
    own = default_template("vertex-ai")
    own["job_configuration"]["job_spec"] = {
        "workerPoolSpecs": [
            {"replicaCount": 1, "containerSpec": {"imageUri": "a"}},
            {"replicaCount": 3, "containerSpec": {"imageUri": "b"}},
        ],
        "scheduling": {"timeout": "60s"},
        "maximumRunTimeHours": 1,
    }

    spec = a_body("vertex-ai", own)["jobSpec"]

    assert [pool["replicaCount"] for pool in spec["workerPoolSpecs"]] == ["1", "3"]
    assert spec["scheduling"] == {"timeout": "60s", "disableRetries": True}


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "kind": ("cloud-run", {"job_body": {"kind": "Service"}}, "kind is 'Service'"),
    "metadata": ("cloud-run", {"job_body": {"metadata": 1}}, "metadata must be an object"),
    "containers": ("cloud-run", {"job_body": {}}, "must have a container"),
    "image": (
        "cloud-run-v2",
        {"job_body": {"template": {"template": {"containers": [{}]}}}},
        "image is missing: set `image`",
    ),
    "objects": (
        "cloud-run-v2",
        {"job_body": {"template": {"template": {"containers": ["a"]}}}},
        "must be objects",
    ),
    "pools": ("vertex-ai", {"job_spec": {}}, "must have a pool of workers"),
    "image uri": ("vertex-ai", {"job_spec": {"worker_pool_specs": [{}]}}, "set `image`"),
    "region": ("cloud-run", {"region": "evil.test/x"}, "region"),
    "key": ("vertex-ai", {"credentials": {"service_account_info": "{"}}, "must be the JSON"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_configuration_that_cannot_be_is_refused(case: str) -> None:
    type, values, named = REFUSED[case]
    template = default_template(type)
    template["job_configuration"] |= values

    with pytest.raises(ValidationError, match=named):
        a_configuration(type, template)


def test_entry_of_env_without_a_name_is_refused() -> None:
    own = default_template("cloud-run-v2")
    own["job_configuration"]["job_body"]["template"]["template"]["containers"][0]["env"] = [{}]

    with pytest.raises(StartFailed, match="an entry of env without a name"):
        a_body("cloud-run-v2", own)


def test_name_that_begins_with_a_digit_is_one_that_the_api_takes() -> None:
    body = a_body("cloud-run", name="2026 load")

    assert body["metadata"]["name"] == "run-2026-load-000000aa-2"


def test_label_has_only_what_labels_may_have() -> None:
    assert label("Größe: 3.5 / Tag") == "gr--e--3-5---tag"
    assert len(label("x" * 100)) == 63
