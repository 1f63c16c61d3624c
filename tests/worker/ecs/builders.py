"""Job configurations of ecs pools, for tests without a server."""

from typing import Any

from forebay.pool_types import default_template
from forebay.templates import job_configuration
from forebay_worker.worker_types.ecs_request import EcsConfiguration
from tests.worker.ecs.conftest import ROLE
from tests.worker.ecs.tasks import RUNS


def a_configuration(
    command: str | None = None, template: dict[str, Any] | None = None, **variables: Any
) -> EcsConfiguration:
    """The type's own template, or another, with these variables."""
    given = {
        "image": RUNS,
        "env": {"PATH": "/usr/bin:/bin"},
        "execution_role_arn": ROLE,
        "configure_cloudwatch_logs": True,
        "task_watch_poll_interval": 0.05,
        **({"command": command} if command else {}),
        **variables,
    }
    values = job_configuration(template or default_template("ecs"), given)
    return EcsConfiguration.model_validate(values)
