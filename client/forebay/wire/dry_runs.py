"""What a template and job variables would give, on the wire. Forebay's own."""

from enum import StrEnum
from typing import Any
from uuid import UUID

from pydantic import Field

from forebay.wire.base import Action, JsonObject, Wire


class Origin(StrEnum):
    """Where the value of a job variable comes from, the weakest first."""

    DEFAULT = "default"
    DEPLOYMENT = "deployment"
    RUN = "run"


class DryRun(Action):
    """What to try; what is left out is as it is."""

    base_job_template: JsonObject | None = Field(
        default=None, description="Instead of the pool's own."
    )
    deployment_id: UUID | None = Field(
        default=None, description="Whose job variables a run would have beside its own."
    )
    job_variables: JsonObject | None = Field(
        default=None, description="The run's own job variables."
    )


class Problem(Wire):
    """Something that a worker, or the pool, would not accept."""

    loc: list[str | int] = Field(description="Path in what was sent.")
    msg: str


class VariableValue(Wire):
    """The value that a variable would have; of `env` each key has its own, as `env.KEY`."""

    name: str
    value: Any
    origin: Origin


class DryRunResult(Wire):
    """What would come of it; nothing was written."""

    valid: bool
    problems: list[Problem] = Field(default_factory=list)
    variables: list[VariableValue] = Field(default_factory=list)
    job_configuration: dict[str, Any] | None = Field(
        default=None, description="Null where the template cannot be used."
    )
