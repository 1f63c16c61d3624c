"""State of the provider prefecthq/prefect as state of this one, for `moved` blocks. Offline.

Only what names an object and what the configuration decides is taken over; the read that follows
completes the rest. Knows no declaration. Source: that provider's schemas, as of August 2026.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from forebay_provider.framework.diagnostics import Diagnostic, Failure

Raw = Mapping[str, Any]  # an object of a state file

SOURCE = "prefecthq/prefect"
STEPS = {
    "git_clone": "prefect.deployments.steps.git_clone",
    "pip_install_requirements": "prefect.deployments.steps.pip_install_requirements",
    "run_shell_script": "prefect.deployments.steps.run_shell_script",
    "set_working_directory": "prefect.deployments.steps.set_working_directory",
    "pull_from_azure_blob_storage": "prefect_azure.deployments.steps.pull_from_azure_blob_storage",
    "pull_from_gcs": "prefect_gcp.deployments.steps.pull_from_gcs",
    "pull_from_s3": "prefect_aws.deployments.steps.pull_from_s3",
}


@dataclass(frozen=True, slots=True)
class Move:
    """What becomes of one type: attributes taken over as they are, and those that change."""

    target: str  # without the provider's prefix
    same: tuple[str, ...]
    changed: Callable[[Raw], dict[str, Any]] = lambda _: {}


def moved(source_address: str, source_type: str, target_type: str, state: bytes) -> bytes:
    """The stored object of `source_type` as one of `target_type`, as JSON. Raises `Failure`."""
    is_known_source = "/".join(source_address.lower().split("/")[-2:]) == SOURCE
    move = MOVES.get(source_type) if is_known_source else None
    if move is None or f"forebay_{move.target}" != target_type:
        raise Failure(
            Diagnostic(
                f"{source_type} cannot be moved to {target_type}",
                f"It is from {source_address}. What can be moved is, from {SOURCE}: "
                + ", ".join(f"{s} to forebay_{m.target}" for s, m in MOVES.items())
                + ". Anything else can be imported.",
            )
        )
    try:
        raw = json.loads(state)
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        raise Failure(Diagnostic(f"The state of {source_type} cannot be read"))
    values = {name: raw.get(name) for name in ("id", "created", *move.same)}
    return json.dumps({**values, **move.changed(raw)}).encode()


def _deployment(raw: Raw) -> dict[str, Any]:
    options = raw.get("concurrency_options")
    strategy = options.get("collision_strategy") if isinstance(options, dict) else None
    limit = raw.get("concurrency_limit")
    steps = raw.get("pull_steps")
    return {
        "concurrency": None if limit is None else {"limit": limit, "collision_strategy": strategy},
        "pull_steps": [_step(s) for s in steps if isinstance(s, dict)] if steps else None,
    }


def _step(raw: Raw) -> dict[str, Any]:
    inputs = {
        name: value
        for name, value in raw.items()
        if name not in ("type", "requires") and value is not None
    }
    type = str(raw.get("type"))
    return {
        "step": STEPS.get(type, type),
        "requires": raw.get("requires"),
        "inputs": json.dumps(inputs, sort_keys=True) if inputs else None,
    }


def _schedule(raw: Raw) -> dict[str, Any]:
    """The kinds that are not used are stored there as zero and as empty text."""
    return {
        name: raw.get(name) or None
        for name in ("cron", "rrule", "timezone", "slug", "max_scheduled_runs")
    } | {
        "interval": f"{float(raw['interval']):.15g}" if raw.get("interval") else None,
        "anchor_date": (raw.get("anchor_date") or None) if raw.get("interval") else None,
        "day_or": raw.get("day_or") if raw.get("cron") else None,
    }


def _variable(raw: Raw) -> dict[str, Any]:
    value = raw.get("value")
    # Its first version kept text, without the type.
    return {"value": {"value": value, "type": "string"} if isinstance(value, str) else value}


MOVES = {
    "prefect_work_pool": Move(
        "work_pool",
        (
            "name", "type", "description", "paused", "concurrency_limit", "base_job_template",
            "default_queue_id",
        ),
    ),
    "prefect_work_queue": Move(
        "work_queue",
        ("work_pool_name", "name", "description", "concurrency_limit", "priority"),
        lambda raw: {"paused": raw.get("is_paused")},
    ),
    "prefect_global_concurrency_limit": Move(
        "global_concurrency_limit", ("name", "limit", "active", "slot_decay_per_second")
    ),
    "prefect_flow": Move("flow", ("name", "tags")),
    "prefect_deployment": Move(
        "deployment",
        (
            "name", "flow_id", "paused", "enforce_parameter_schema", "description", "version",
            "path", "entrypoint", "work_pool_name", "work_queue_name", "tags", "parameters",
            "job_variables", "parameter_openapi_schema", "storage_document_id",
            "global_concurrency_limit_id",
        ),
        _deployment,
    ),
    "prefect_deployment_schedule": Move(
        "deployment_schedule", ("deployment_id", "active", "parameters"), _schedule
    ),
    "prefect_variable": Move("variable", ("name", "tags"), _variable),
    "prefect_block": Move("block", ("name", "type_slug", "data", "data_wo_version")),
}  # fmt: skip
