"""From pool, deployment and run to what a worker type starts. Sends nothing."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from forebay import templates
from forebay.errors import ForebayError
from forebay.pool_types import default_template
from forebay.settings import ClientSettings
from forebay.wire.claims import ClaimedDeployment, ClaimedPool
from forebay.wire.deployments import Deployment
from forebay.wire.flow_runs import FlowRun
from forebay.wire.work_pools import WorkPool
from forebay_worker.base import JobConfiguration, WorkerType
from forebay_worker.execute import (
    CLAIM_VARIABLE,
    PARAMETERS_VARIABLE,
    REPORTED_VARIABLE,
    RUN_VARIABLE,
)

# Each as it was read by itself, or as it came with a claim.
Pool = WorkPool | ClaimedPool
Origin = Deployment | ClaimedDeployment

# An environment has room for little; larger parameters are read from the API.
MAX_PARAMETERS_VARIABLE = 65_536


class InvalidConfiguration(ForebayError):
    """The template and the job variables do not give what the worker type understands."""


def job_values(
    worker_type: type[WorkerType[Any]],
    pool: Pool,
    deployment: Origin | None,
    run: FlowRun,
) -> dict[str, Any]:
    """The run's job configuration: defaults, then the deployment's variables, then the run's.

    A pool without a template has its type's own. References in it are not resolved yet.
    """
    template = pool.base_job_template or type_template(worker_type)
    return templates.job_configuration(
        template, deployment.job_variables if deployment else None, run.job_variables
    )


def build_configuration(
    worker_type: type[WorkerType[Any]], pool: Pool, values: Mapping[str, Any]
) -> JobConfiguration:
    """`values` as the worker type understands them. Raises `InvalidConfiguration`."""
    try:
        configuration = worker_type.configuration.model_validate(values)
    except ValidationError as error:
        told = [
            f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()
        ]
        raise InvalidConfiguration(
            f"The job configuration of pool {pool.name!r} is not valid: {'; '.join(told)}."
        ) from None
    assert isinstance(configuration, JobConfiguration)
    return configuration


def type_template(worker_type: type[WorkerType[Any]]) -> dict[str, Any]:
    """The base job template of a worker type: the known one, else made from its fields."""
    return default_template(worker_type.worker_type) or worker_type.base_job_template()


def api_environment(settings: ClientSettings, run_token: str | None) -> dict[str, str]:
    """The variables from which a client inside the infrastructure finds the API.

    It calls with the token of its run; with the worker's credentials where the server gives none.
    """
    environment = {"FOREBAY_API_URL": settings.api_url}
    if run_token:
        environment["FOREBAY_API_KEY"] = run_token
    elif settings.api_key:
        environment["FOREBAY_API_KEY"] = settings.api_key
    elif settings.basic_auth:
        environment["FOREBAY_API_AUTH_STRING"] = settings.basic_auth
    return environment


def run_environment(
    run: FlowRun, claim: str | None, *, is_reported_by_worker: bool
) -> Mapping[str, str]:
    """The variables that tell what is started which run it is, under which claim."""
    environment = {RUN_VARIABLE: str(run.id)}
    if claim:
        environment[CLAIM_VARIABLE] = claim
    if is_reported_by_worker:
        environment[REPORTED_VARIABLE] = "1"
    parameters = json.dumps(run.parameters)
    if len(parameters) <= MAX_PARAMETERS_VARIABLE:
        environment[PARAMETERS_VARIABLE] = parameters
    return environment
