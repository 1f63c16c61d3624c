"""From a job configuration to a custom job of Vertex AI. Sends nothing."""

import copy
import re
from typing import Any

from pydantic import Field, field_validator

from forebay_worker.base import Assignment
from forebay_worker.infrastructure import base_name
from forebay_worker.nested import at
from forebay_worker.worker_types.google_request import (
    GoogleConfiguration,
    Json,
    drop_empty,
    labels,
    named_variables,
    plain_variables,
    set_command,
)

LONGEST_DISPLAY_NAME = 128
# Labels cannot hold every worker's name, and there are no annotations.
WORKER_VARIABLE = "FOREBAY_WORKER"
# What the template calls otherwise than the API.
RENAMED = {"serviceAccountName": "serviceAccount"}


class VertexAiConfiguration(GoogleConfiguration):
    """Job configuration of a custom job."""

    job_spec: Json = Field(
        description="The job, as the API describes it; names may be written with underscores."
    )
    job_watch_poll_interval: float = Field(
        default=5.0, gt=0, description="Seconds between looks at the state of the job."
    )

    @field_validator("job_spec")
    @classmethod
    def _has_a_container(cls, spec: Json) -> Json:
        renamed: Json = _with_api_names(spec)
        pools = renamed.get("workerPoolSpecs")
        if not isinstance(pools, list) or not pools or not isinstance(pools[0], dict):
            raise ValueError("worker_pool_specs must have a pool of workers")
        if not at(pools[0], "containerSpec").get("imageUri"):
            raise ValueError(
                "worker_pool_specs[0].container_spec.image_uri is missing: set `image`"
            )
        at(renamed, "scheduling")
        return renamed

    @field_validator("job_spec", mode="before")
    @classmethod
    def _without_nulls(cls, spec: Any) -> Any:
        if not isinstance(spec, dict):
            return spec
        return {key: value for key, value in spec.items() if value is not None}


def custom_job(configuration: VertexAiConfiguration, assignment: Assignment) -> Json:
    """The custom job of a run: what the template says, and what ties it to its run.

    Raises `StartFailed`.
    """
    spec = copy.deepcopy(configuration.job_spec)
    hours = spec.pop("maximumRunTimeHours", None)
    scheduling = at(spec, "scheduling")
    if hours is not None:
        scheduling.setdefault("timeout", f"{round(float(hours) * 3600)}s")
    scheduling.setdefault("disableRetries", True)  # a run is executed once
    for pool in spec["workerPoolSpecs"]:
        if isinstance(pool.get("replicaCount"), int):
            pool["replicaCount"] = str(pool["replicaCount"])
        drop_empty(pool, "machineSpec", "diskSpec")
    container = spec["workerPoolSpecs"][0]["containerSpec"]
    plain = {
        **plain_variables(configuration, assignment),
        WORKER_VARIABLE: assignment.worker_name,
    }
    # The API replaces `$(NAME)` in values, unless the dollar is doubled.
    container["env"] = named_variables(
        container.get("env"),
        {name: {"value": value.replace("$(", "$$(")} for name, value in plain.items()},
    )
    set_command(container, configuration)
    name = configuration.name or base_name(configuration, assignment)
    return {
        "displayName": name[:LONGEST_DISPLAY_NAME],
        "jobSpec": spec,
        "labels": labels(configuration, assignment),
    }


def _with_api_names(value: Any) -> Any:
    """`value` with the keys that the API has: `boot_disk_type` is its `bootDiskType`."""
    if isinstance(value, dict):
        named = {
            re.sub(r"_([a-z0-9])", lambda found: found[1].upper(), key): _with_api_names(item)
            for key, item in value.items()
        }
        return {RENAMED.get(key, key): item for key, item in named.items()}
    if isinstance(value, list):
        return [_with_api_names(item) for item in value]
    return value
