"""What `forebay_deployment` is declared with. Knows no call."""

import json

from forebay_provider.framework.checks import at_least, at_most, custom, one_of
from forebay_provider.framework.declarations import JsonText, attribute, model
from forebay_provider.names import MAX_INT, NAME, UUID_TEXT
from forebay_provider.resources import job_template


def _object_complaint(text: str) -> str | None:
    return None if isinstance(json.loads(text), dict) else "must be a JSON object"


JSON_OBJECT = custom(_object_complaint)


@model
class Concurrency:
    """How many runs of a deployment there may be at once."""

    limit: int = attribute("Most runs at once.", checks=(at_least(1), at_most(MAX_INT)))
    collision_strategy: str = attribute(
        "What becomes of a run that finds the limit reached: it waits, or it is cancelled.",
        default="ENQUEUE",
        checks=(one_of("ENQUEUE", "CANCEL_NEW"),),
    )
    grace_period_seconds: int | None = attribute(
        "Seconds for which a run that was claimed may hold its slot before it begins.",
        default=None,
        checks=(at_least(60), at_most(86400)),
    )


@model
class PullStep:
    """A step that a worker takes to get at the code."""

    step: str = attribute(
        "What is called, by its path, for example `prefect.deployments.steps.git_clone`."
    )
    id: str | None = attribute("Name by which later steps refer to the outcome.", default=None)
    requires: str | None = attribute("Python package that the step needs.", default=None)
    inputs: JsonText | None = attribute(
        "Arguments as a JSON object.", default=None, checks=(JSON_OBJECT,)
    )


@model
class Deployment:
    """A flow that can be run: where its code is, in which pool it runs, and with what."""

    id: str = attribute("ID (UUID) of the deployment.", computed=True)
    flow_id: str = attribute(
        "ID of the flow. Exactly one of `flow_id` and `flow_name` is set.",
        default=None,
        computed=True,
        replace=True,
        checks=(UUID_TEXT,),
    )
    flow_name: str = attribute(
        "Name of the flow.", default=None, computed=True, replace=True, checks=(NAME,)
    )
    name: str = attribute("Name, unique in the flow.", replace=True, checks=(NAME,))
    description: str | None = attribute("What the deployment is for.", default=None)
    version: str | None = attribute("Version of the code.", default=None)
    entrypoint: str | None = attribute("`FILE.py:FUNCTION` or `MODULE.FUNCTION`.", default=None)
    path: str | None = attribute("Folder in which the entrypoint lies.", default=None)
    tags: set[str] = attribute("Tags of the deployment, which its runs get too.", default=[])
    paused: bool = attribute("Whether its schedules make no runs.", default=False)
    work_pool_name: str | None = attribute(
        "Pool in which it runs; none if unset.", default=None, checks=(NAME,)
    )
    work_queue_name: str | None = attribute(
        "Queue of the pool; its default queue if unset. One that does not exist is made.",
        default=None,
        computed=True,
        checks=(NAME,),
    )
    parameters: JsonText = attribute(
        "Parameters of its runs, as a JSON object.", default="{}", checks=(JSON_OBJECT,)
    )
    parameter_openapi_schema: JsonText = attribute(
        "JSON schema of the parameters. If unset, the one that is there is left alone.",
        default=None,
        computed=True,
        checks=(JSON_OBJECT,),
    )
    enforce_parameter_schema: bool = attribute(
        "Whether runs with other parameters are refused.", default=True
    )
    job_variables: JsonText = attribute(
        "Values for the variables of the pool's template, as a JSON object. The API never "
        'replaces them by none: `{}` is sent as `{"env": {}}`, which says the same.',
        default="{}",
        checks=(JSON_OBJECT,),
    )
    base_job_template: JsonText | None = attribute(
        "Template of the pool, for example `forebay_work_pool.etl.effective_base_job_template`: "
        "with it `effective_job_configuration` is known while planning. Nothing is sent of it.",
        default=None,
        checks=(custom(job_template.complaint),),
    )
    effective_job_configuration: JsonText | None = attribute(
        "What a worker runs, as JSON: the pool's template filled with the job variables. Null "
        "without a pool.",
        computed=True,
    )
    concurrency: Concurrency | None = attribute(
        "Limit of the deployment's own; no limit if unset.", default=None
    )
    global_concurrency_limit_id: str | None = attribute(
        "ID of a limit that it shares, instead of `concurrency`.",
        default=None,
        checks=(UUID_TEXT,),
    )
    pull_steps: list[PullStep] | None = attribute(
        "Steps that a worker takes to get at the code, in order.", default=None
    )
    storage_document_id: str | None = attribute(
        "ID of the block that holds the code.", default=None, checks=(UUID_TEXT,)
    )
    created: str = attribute("When the deployment was made (RFC 3339).", computed=True)
