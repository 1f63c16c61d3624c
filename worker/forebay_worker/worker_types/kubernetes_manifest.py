"""From a job configuration to the job and the secret that a cluster is asked for. Sends nothing."""

import copy
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field, field_validator

from forebay_worker.base import Assignment, JobConfiguration, StartFailed
from forebay_worker.infrastructure import (
    EXECUTE,
    POOL_MARK,
    RUN_MARK,
    SECRET_VARIABLES,
    arguments,
    claim_name,
    dns_label,
    marks,
)
from forebay_worker.nested import at

Manifest = dict[str, Any]

LABEL_MARKS = (RUN_MARK, POOL_MARK)  # the others are free text, and annotations
# The template of the original has them where a pod is described, and clusters ignore them there.
MISPLACED = ("parallelism", "completions")
LONGEST_BASE = 40  # of a name, to which run and claim are added


class ClusterConfig(BaseModel):
    """A kubeconfig and the context of it that is used."""

    config: dict[str, Any]
    context_name: str


class KubernetesConfiguration(JobConfiguration):
    """Job configuration of a Kubernetes job."""

    namespace: str = Field(default="default", min_length=1, description="Namespace of the job.")
    job_manifest: Manifest = Field(description="The job, as the cluster's API describes it.")
    cluster_config: ClusterConfig | None = Field(
        default=None,
        description="Which cluster is used; by default the worker's own, or KUBECONFIG.",
    )
    job_watch_timeout_seconds: int | None = Field(
        default=None, ge=0, description="Seconds after which a job that still runs is ended."
    )
    pod_watch_timeout_seconds: int = Field(
        default=60,
        ge=0,
        description="Seconds after which a job whose pod has not started is ended.",
    )
    stream_output: bool = Field(
        default=True, description="Whether the worker's console shows what runs write."
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations put on the job and its pod."
    )

    @field_validator("annotations", mode="before")
    @classmethod
    def _none_is_empty(cls, value: object) -> object:
        return {} if value is None else value

    @field_validator("job_manifest")
    @classmethod
    def _is_a_job(cls, manifest: Manifest) -> Manifest:
        if manifest.get("kind", "Job") != "Job":
            raise ValueError(f"kind is {manifest['kind']!r}; it must be 'Job'")
        for described in (("metadata",), ("spec", "template", "metadata")):
            at(manifest, *described)
        containers = at(manifest, "spec", "template", "spec").get("containers")
        if not isinstance(containers, list) or not containers:
            raise ValueError("spec.template.spec.containers must have a container")
        if not all(isinstance(container, Mapping) for container in containers):
            raise ValueError("spec.template.spec.containers must be objects")
        if not containers[0].get("image"):
            raise ValueError("spec.template.spec.containers[0].image is missing: set `image`")
        return manifest


def job(configuration: KubernetesConfiguration, assignment: Assignment) -> Manifest:
    """The job of a run: what the template says, and what ties it to its run.

    The name is the same whenever this claim of the run is started. Raises `StartFailed`.
    """
    manifest = copy.deepcopy(configuration.job_manifest)
    manifest |= {"apiVersion": manifest.get("apiVersion", "batch/v1"), "kind": "Job"}
    metadata = at(manifest, "metadata")
    name = job_name(configuration, assignment)
    metadata.pop("generateName", None)
    metadata |= {"name": name, "namespace": configuration.namespace}
    spec = at(manifest, "spec")
    spec.setdefault("backoffLimit", 0)
    template = at(spec, "template")
    for described in (metadata, at(template, "metadata")):
        _mark(described, configuration, assignment)
    pod = at(template, "spec")
    for field in MISPLACED:
        if field in pod:
            spec.setdefault(field, pod.pop(field))
            pod.pop(field, None)
    pod.setdefault("restartPolicy", "Never")
    container = pod["containers"][0]
    container.setdefault("name", "forebay-job")
    container["env"] = _variables(container.get("env"), configuration, assignment, name)
    _set_arguments(container, configuration)
    return manifest


def secret(configuration: KubernetesConfiguration, assignment: Assignment) -> Manifest | None:
    """The secret that the job's first container refers to; none where it needs none.

    It lacks its owner, which is known when the job has been made.
    """
    secrets = {
        name: value
        for name, value in assignment.credentials.items()
        if name in SECRET_VARIABLES and name not in configuration.env
    }
    if not secrets:
        return None
    metadata: Manifest = {
        "name": job_name(configuration, assignment),
        "namespace": configuration.namespace,
    }
    _mark(metadata, configuration, assignment)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": "Opaque",
        "stringData": secrets,
    }


def owned_by(manifest: Manifest, owner: Manifest) -> Manifest:
    """`manifest` as something that goes when `owner` goes."""
    reference = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": owner["metadata"]["name"],
        "uid": owner["metadata"]["uid"],
    }
    metadata = {**manifest["metadata"], "ownerReferences": [reference]}
    return {**manifest, "metadata": metadata}


def job_name(configuration: KubernetesConfiguration, assignment: Assignment) -> str:
    """What the template or the run is called, then what tells run and claim from others."""
    metadata = configuration.job_manifest.get("metadata") or {}
    given = (
        configuration.name or metadata.get("name") or metadata.get("generateName", "").strip("-")
    )
    base = dns_label(given or assignment.run.name, LONGEST_BASE) or "run"
    return claim_name(base, assignment)


def _mark(
    metadata: Manifest, configuration: KubernetesConfiguration, assignment: Assignment
) -> None:
    ours = marks(assignment)
    labels = {key: dns_label(ours[key], 63) for key in LABEL_MARKS}
    rest = {key: value for key, value in ours.items() if key not in LABEL_MARKS}
    metadata["labels"] = {
        **(metadata.get("labels") or {}),
        **configuration.labels,
        **{key: value for key, value in labels.items() if value},
    }
    metadata["annotations"] = {
        **(metadata.get("annotations") or {}),
        **configuration.annotations,
        **rest,
    }


def _variables(
    given: object,
    configuration: KubernetesConfiguration,
    assignment: Assignment,
    secret_name: str,
) -> list[Manifest]:
    """The container's environment: credentials, the template's entries, variables, the run."""
    named: dict[str, Manifest] = {"PYTHONUNBUFFERED": {"value": "1"}}
    for name, value in assignment.credentials.items():
        reference = {"secretKeyRef": {"name": secret_name, "key": name}}
        is_secret = name in SECRET_VARIABLES
        named[name] = {"valueFrom": reference} if is_secret else {"value": value}
    for entry in given if isinstance(given, list) else []:
        if not isinstance(entry, Mapping) or "name" not in entry:
            raise StartFailed("The job's manifest has an entry of env without a name.")
        named[entry["name"]] = {key: item for key, item in entry.items() if key != "name"}
    for name, value in {**configuration.env, **assignment.environment}.items():
        named[name] = {"value": value}
    return [{"name": name, **value} for name, value in named.items()]


def _set_arguments(container: Manifest, configuration: KubernetesConfiguration) -> None:
    """A command is split; the template's own list of arguments, or its program, stay."""
    given = container.get("args")
    if isinstance(given, str) or (configuration.command and not given):
        container["args"] = arguments(configuration.command or given)
    elif not given and not container.get("command"):
        container["args"] = list(EXECUTE)
