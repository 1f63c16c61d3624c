"""What a worker type provides, and how types are found. Knows no loop and no API call."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import entry_points
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, Field, field_validator

from forebay.errors import ForebayError
from forebay.wire.flow_runs import FlowRun
from forebay.wire.logs import LogCreate
from forebay.wire.states import StateType
from forebay_worker.installing import ENTRY_POINTS, extra_of


class UnknownWorkerType(ForebayError):
    """No installed package provides the worker type."""


class StartFailed(ForebayError):
    """The infrastructure of a run could not be started; the text says why."""


class JobConfiguration(BaseModel):
    """What every worker type understands; its schema gives the base job template's variables."""

    name: str | None = Field(default=None, description="Name of what is started.")
    env: dict[str, str] = Field(default_factory=dict, description="Environment variables.")
    labels: dict[str, str] = Field(
        default_factory=dict, description="Labels of what is started, where it can have them."
    )
    command: str | None = Field(
        default=None,
        description="Command that is run, without a shell; by default the deployment's "
        "entrypoint is executed.",
    )

    @field_validator("env", "labels", mode="before")
    @classmethod
    def _as_text(cls, value: object) -> object:
        """Null removes a key, and a number or boolean is written as JSON writes it."""
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            return value
        return {
            key: item if isinstance(item, str | Mapping | list) else json.dumps(item)
            for key, item in value.items()
            if item is not None
        }


class Reporter(Protocol):
    """Where a worker type hands what it learns of a run while it goes on. Nothing here blocks."""

    def log(self, line: LogCreate) -> None:
        """A line that the run wrote."""

    async def flush(self) -> None:
        """Return when the lines so far are stored, or after some seconds."""

    def state(self, state: StateType) -> None:
        """A state that the run has reported to the API by itself."""


@dataclass(frozen=True)
class Assignment:
    """A claimed run as its worker type needs to know it."""

    run: FlowRun
    environment: Mapping[str, str]  # how what is started finds the API, its run and its claim
    credentials: Mapping[str, str]  # the API's address; weaker than the job configuration's env
    reporter: Reporter
    worker_name: str
    logged_until: datetime | None = None  # when adopted: time of the last line that is stored


@dataclass(frozen=True)
class Outcome:
    """How infrastructure ended. `exit_code` is null where nobody can know it."""

    exit_code: int | None
    reason: str  # a clause for a message: "the process ended with exit code 9"


C = TypeVar("C", bound=JobConfiguration)


class WorkerType(ABC, Generic[C]):
    """One kind of infrastructure; an instance serves one worker.

    A class announces itself by an entry point of the group `forebay.worker_types`. An
    infrastructure id must let another instance find the same thing, where that is possible. What
    is started writes its own log lines, except for a `command`, whose output the type reports.
    """

    worker_type: ClassVar[str]
    outlives_worker: ClassVar[bool] = False  # whether a stopping worker leaves it running
    configuration: type[C]

    @abstractmethod
    async def start(self, configuration: C, assignment: Assignment) -> str:
        """Start the run and return the infrastructure's id. Raises `StartFailed`."""

    @abstractmethod
    async def wait(self, infrastructure_id: str) -> Outcome:
        """How it ended, when it has."""

    @abstractmethod
    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """Ask it to end, and end it by force after the grace. Returns when it has ended."""

    async def adopt(
        self, infrastructure_id: str, configuration: C, assignment: Assignment
    ) -> str | None:
        """Watch what an earlier worker has started, as if it had been started here.

        The claim under which it was started; none when there is nothing of the kind. Raises
        `StartFailed` when that cannot be found out now.
        """
        return None

    async def clean_up(self) -> None:
        """Delete what ended long ago; called from time to time. Raises `StartFailed`."""
        return

    async def close(self) -> None:
        """Close connections; nothing is called any more."""
        return

    @classmethod
    def base_job_template(cls) -> dict[str, Any]:
        """A template whose variables are the fields of `configuration`, each passed on."""
        schema = cls.configuration.model_json_schema()
        properties = schema.get("properties", {})
        variables = {"type": "object", "properties": properties}
        variables |= {key: schema[key] for key in ("required", "$defs") if key in schema}
        return {
            "job_configuration": {name: f"{{{{ {name} }}}}" for name in properties},
            "variables": variables,
        }


def installed_types() -> list[str]:
    """Names of the worker types that installed packages announce."""
    return sorted(entry_points(group=ENTRY_POINTS).names)


def find_type(name: str) -> type[WorkerType[Any]]:
    """The class of a worker type. Raises `UnknownWorkerType`."""
    for entry_point in entry_points(group=ENTRY_POINTS, name=name):
        try:
            found = entry_point.load()
        except ModuleNotFoundError as error:
            extra = extra_of(name)
            command = extra.command if extra else f"pip install {error.name}"
            raise UnknownWorkerType(
                f"The worker type {name!r} needs {error.name!r}, which is not installed here. "
                f"Install it with: {command}"
            ) from None
        assert isinstance(found, type) and issubclass(found, WorkerType)
        return found
    raise UnknownWorkerType(
        f"No worker type {name!r} is installed here; there is: {', '.join(installed_types())}. "
        "Install the package that provides it, or serve a pool of another type."
    )
