"""What a cluster is asked for: an effect for every variable, and no field dropped."""

from typing import Any
from uuid import UUID

import kubernetes_validate
import pytest
from pydantic import ValidationError

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.base import Assignment, StartFailed
from forebay_worker.worker_types import kubernetes_manifest as manifests
from forebay_worker.worker_types.kubernetes_manifest import KubernetesConfiguration
from tests.worker.builders import Collector, a_run
from tests.worker.kubernetes.store import VERSION

RUN = UUID("01900000-0000-7000-8000-0000000000aa")
CONTAINER = "spec.template.spec.containers.0"


def a_configuration(template: dict[str, Any] | None = None, **variables: Any) -> Any:
    """The pool type's own template, or another, with these variables."""
    values = job_configuration(
        template or default_template("kubernetes"), {"image": "flows:1", **variables}
    )
    return KubernetesConfiguration.model_validate(values)


def an_assignment(**credentials: str) -> Assignment:
    """Run `RUN` under its second claim."""
    environment = {"FOREBAY_FLOW_RUN_ID": str(RUN), "FOREBAY_CLAIM": f"{RUN}:2"}
    api = {"FOREBAY_API_URL": "http://api.test/api", **credentials}
    run = a_run(id=RUN, work_pool_name="My pool")
    return Assignment(run, environment, api, Collector(), "worker 1")


def a_job(template: dict[str, Any] | None = None, **variables: Any) -> dict[str, Any]:
    """The job for these variables, which fits the published schema."""
    made = manifests.job(a_configuration(template, **variables), an_assignment())
    kubernetes_validate.validate(made, VERSION, strict=True)
    return made


def at(manifest: Any, path: str) -> Any:
    """What is at a dotted path."""
    for key in path.split("."):
        manifest = manifest[int(key) if key.isdigit() else key]
    return manifest


def a_template(manifest: dict[str, Any]) -> dict[str, Any]:
    """A template of the user's own with this manifest."""
    template = default_template("kubernetes")
    template["job_configuration"]["job_manifest"] = manifest
    return template


EFFECTS: dict[str, tuple[Any, str, Any]] = {
    "name": ("Nightly Load", "metadata.name", "nightly-load-000000aa-2"),
    "labels": ({"team": "a"}, "metadata.labels.team", "a"),
    "annotations": ({"note": "a b"}, "metadata.annotations.note", "a b"),
    "command": ("sh -c 'a  b'", f"{CONTAINER}.args", ["sh", "-c", "a  b"]),
    "namespace": ("flows", "metadata.namespace", "flows"),
    "image": ("other:2", f"{CONTAINER}.image", "other:2"),
    "service_account_name": ("robot", "spec.template.spec.serviceAccountName", "robot"),
    "image_pull_policy": ("Always", f"{CONTAINER}.imagePullPolicy", "Always"),
    "finished_job_ttl": (30, "spec.ttlSecondsAfterFinished", 30),
    "cpu_request": ("500m", f"{CONTAINER}.resources.requests.cpu", "500m"),
    "cpu_limit": ("1", f"{CONTAINER}.resources.limits.cpu", "1"),
    "memory_request": ("1Gi", f"{CONTAINER}.resources.requests.memory", "1Gi"),
    "memory_limit": ("2Gi", f"{CONTAINER}.resources.limits.memory", "2Gi"),
    "backoff_limit": (2, "spec.backoffLimit", 2),
}
# These reach no manifest: what they do is tested with a cluster.
ELSEWHERE = {
    "env",
    "stream_output",
    "cluster_config",
    "job_watch_timeout_seconds",
    "pod_watch_timeout_seconds",
}


@pytest.mark.parametrize("variable", EFFECTS)
def test_variable_has_its_effect_on_the_job(variable: str) -> None:
    value, path, expected = EFFECTS[variable]

    assert at(a_job(**{variable: value}), path) == expected


def test_every_variable_of_the_template_is_accounted_for() -> None:
    variables = default_template("kubernetes")["variables"]["properties"]

    assert set(variables) == set(EFFECTS) | ELSEWHERE


def test_labels_and_annotations_mark_job_and_pod() -> None:
    job = a_job()

    for described in (job["metadata"], job["spec"]["template"]["metadata"]):
        assert described["labels"] == {
            "forebay.io/flow-run-id": str(RUN),
            "forebay.io/work-pool": "my-pool",
        }
        assert described["annotations"] == {
            "forebay.io/flow-run-name": "calm-otter",
            "forebay.io/worker": "worker 1",
            "forebay.io/claim": f"{RUN}:2",
        }


def test_job_is_never_repeated_unless_the_template_says_so() -> None:
    spec = a_job()["spec"]

    assert spec["backoffLimit"] == 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_counts_of_pods_are_put_where_the_api_has_them() -> None:
    spec = a_job()["spec"]

    assert (spec["parallelism"], spec["completions"]) == (1, 1)
    assert not {"parallelism", "completions"} & set(spec["template"]["spec"])


def test_environment_has_credentials_then_variables_then_run() -> None:
    configuration = a_configuration(env={"A": "1", "FOREBAY_CLAIM": "forged"})

    job = manifests.job(configuration, an_assignment(FOREBAY_API_KEY="secret"))

    assert at(job, f"{CONTAINER}.env") == [
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": "FOREBAY_API_URL", "value": "http://api.test/api"},
        {
            "name": "FOREBAY_API_KEY",
            "valueFrom": {
                "secretKeyRef": {"name": "calm-otter-000000aa-2", "key": "FOREBAY_API_KEY"}
            },
        },
        {"name": "A", "value": "1"},
        {"name": "FOREBAY_CLAIM", "value": f"{RUN}:2"},
        {"name": "FOREBAY_FLOW_RUN_ID", "value": str(RUN)},
    ]


def test_secret_holds_the_token_and_goes_with_its_job() -> None:
    secret = manifests.secret(a_configuration(), an_assignment(FOREBAY_API_KEY="secret"))
    assert secret is not None

    owned = manifests.owned_by(secret, {"metadata": {"name": "job", "uid": "1"}})

    kubernetes_validate.validate(owned, VERSION, strict=True)
    assert owned["stringData"] == {"FOREBAY_API_KEY": "secret"}
    assert owned["metadata"]["ownerReferences"] == [
        {"apiVersion": "batch/v1", "kind": "Job", "name": "job", "uid": "1"}
    ]


def test_no_secret_is_made_where_the_template_brings_a_token_along() -> None:
    configuration = a_configuration(env={"FOREBAY_API_KEY": "own"})

    assert manifests.secret(configuration, an_assignment(FOREBAY_API_KEY="secret")) is None
    assert manifests.secret(a_configuration(), an_assignment()) is None


def test_template_of_one_s_own_keeps_every_field() -> None:
    own = {
        "metadata": {"generateName": "etl-", "finalizers": ["a.test/b"]},
        "spec": {
            "backoffLimit": 3,
            "futureField": {"kept": True},
            "template": {
                "metadata": {"labels": {"pod": "label"}},
                "spec": {
                    "tolerations": [{"key": "spot"}],
                    "containers": [
                        {
                            "name": "main",
                            "image": "own:1",
                            "command": ["python"],
                            "env": [{"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "p"}}}],
                        },
                        {"name": "sidecar", "image": "proxy:1"},
                    ],
                },
            },
        },
    }

    job = manifests.job(a_configuration(a_template(own)), an_assignment())

    assert job["metadata"]["name"] == "etl-000000aa-2"
    assert job["metadata"]["finalizers"] == ["a.test/b"]
    assert job["spec"]["backoffLimit"] == 3
    assert job["spec"]["futureField"] == {"kept": True}
    pod = job["spec"]["template"]
    assert pod["metadata"]["labels"]["pod"] == "label"
    assert pod["spec"]["tolerations"] == [{"key": "spot"}]
    assert pod["spec"]["containers"][1] == {"name": "sidecar", "image": "proxy:1"}
    main = pod["spec"]["containers"][0]
    assert (main["command"], main.get("args")) == (["python"], None)
    assert {"name": "X", "valueFrom": {"fieldRef": {"fieldPath": "p"}}} in main["env"]


@pytest.mark.parametrize(
    ("manifest", "named"),
    [
        ({"kind": "Pod"}, "kind is 'Pod'"),
        ({"spec": {"template": {"spec": {}}}}, "must have a container"),
        ({"spec": []}, "spec must be an object"),
        ({"metadata": "x"}, "metadata must be an object"),
        ({"spec": {"template": {"spec": {"containers": [{}]}}}}, "image is missing"),
    ],
    ids=["kind", "containers", "spec", "metadata", "image"],
)
def test_manifest_that_cannot_be_is_refused(manifest: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError, match=named):
        a_configuration(a_template(manifest))


def test_entry_of_env_without_a_name_is_refused() -> None:
    own = {
        "spec": {"template": {"spec": {"containers": [{"image": "a", "env": [{"value": "1"}]}]}}}
    }

    with pytest.raises(StartFailed, match="an entry of env without a name"):
        manifests.job(a_configuration(a_template(own)), an_assignment())
