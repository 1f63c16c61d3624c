"""Registers functions as deployments: `forebay.deploy(…)`. Never runs the function's code."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel, ValidationError

from forebay.calls import deployments, flows
from forebay.client import Client
from forebay.entrypoints import read_entrypoint
from forebay.errors import ConfigurationError
from forebay.settings import ClientSettings
from forebay.wire.base import problems
from forebay.wire.deployments import Deployment, DeploymentCreate
from forebay.wire.flows import Flow, FlowCreate
from forebay.wire.schedules import DeploymentScheduleCreate

M = TypeVar("M", bound=BaseModel)

# What describes the times themselves; the other keys of a schedule say what is made of them.
TIMES = ("cron", "interval", "rrule", "anchor_date", "timezone", "day_or")


@dataclass(frozen=True)
class Registration:
    """A deployment that was checked and not sent yet."""

    flow: FlowCreate
    values: Mapping[str, Any]  # of a `DeploymentCreate`, without the flow's id

    def body(self, flow_id: UUID) -> DeploymentCreate:
        """What is sent once the flow's id is known. Raises `ConfigurationError`."""
        return _checked(DeploymentCreate, flow_id=flow_id, **self.values)


def deploy(
    entrypoint: str | Callable[..., Any],
    name: str = "default",
    *,
    work_pool_name: str | None = None,
    work_queue_name: str | None = None,
    job_variables: Mapping[str, Any] | None = None,
    flow_name: str | None = None,
    parameters: Mapping[str, Any] | None = None,
    enforce_parameter_schema: bool = True,
    schedules: Sequence[Mapping[str, Any] | DeploymentScheduleCreate] = (),
    concurrency_limit: int | Mapping[str, Any] | None = None,
    tags: Sequence[str] = (),
    description: str | None = None,
    version: str | None = None,
    paused: bool = False,
    pull_steps: Sequence[Mapping[str, Any]] | None = None,
    client: Client | None = None,
) -> Deployment:
    """Register `FILE.py:FUNCTION`, or a function, and return its deployment.

    One of the same name in the same flow is replaced. The parameters' JSON schema and the
    description come from the function's source. A schedule is `{"cron": …}`, `{"interval": …}`
    (seconds) or `{"rrule": …}`, with `timezone`, `active`, `slug` and `parameters` as wanted.
    Raises `ConfigurationError` before anything is sent, `NotFound` for a missing pool. Without
    a client the server is found as the command line finds it.
    """
    registration = prepare(
        entrypoint,
        name,
        Path.cwd(),
        flow_name=flow_name,
        work_pool_name=work_pool_name,
        work_queue_name=work_queue_name,
        job_variables=dict(job_variables or {}),
        parameters=dict(parameters or {}),
        enforce_parameter_schema=enforce_parameter_schema,
        schedules=schedules,
        concurrency_limit=concurrency_limit,
        tags=list(tags),
        description=description,
        version=version,
        paused=paused,
        pull_steps=pull_steps,
    )
    if client is not None:
        return register(client, registration)[1]
    with Client(ClientSettings.load()) as own:
        return register(own, registration)[1]


def prepare(
    entrypoint: str | Callable[..., Any],
    name: str,
    folder: Path,
    *,
    flow_name: str | None = None,
    schedules: Sequence[Mapping[str, Any] | DeploymentScheduleCreate] = (),
    concurrency_limit: int | Mapping[str, Any] | None = None,
    pull_steps: Sequence[Mapping[str, Any]] | None = None,
    description: str | None = None,
    **values: Any,
) -> Registration:
    """What `register` sends, checked. A file is looked for from `folder`.

    `values` are further fields of a deployment; those that are None are left out. With pull
    steps the deployment has no folder of its own. Raises `ConfigurationError`.
    """
    text = entrypoint if isinstance(entrypoint, str) else _entrypoint_of(entrypoint)
    source = read_entrypoint(text, folder)
    own_name = getattr(entrypoint, "name", None)  # where a decorator has given one
    invented = source.function.replace("_", "-").strip("-")
    flow = _checked(FlowCreate, name=flow_name or (own_name if _is_text(own_name) else invented))
    if values.get("work_queue_name") and not values.get("work_pool_name"):
        raise ConfigurationError("A queue is one of a pool: name the pool too.")
    given = {key: value for key, value in values.items() if value is not None}
    given |= {
        "name": name,
        "entrypoint": source.text,
        "description": description or source.description,
        "parameter_openapi_schema": source.parameters,
        "schedules": [_schedule(item) for item in schedules],
    }
    if pull_steps is None:
        given["path"] = str(source.folder)
    else:
        given["pull_steps"] = [dict(step) for step in pull_steps]
    registration = Registration(flow, given | _limit(concurrency_limit))
    registration.body(uuid4())
    return registration


def register(client: Client, registration: Registration) -> tuple[Flow, Deployment]:
    """Make the flow if there is none, and make or replace its deployment."""
    flow = client.send(flows.create(registration.flow))
    return flow, client.send(deployments.create(registration.body(flow.id)))


def _entrypoint_of(function: Callable[..., Any]) -> str:
    own = inspect.unwrap(getattr(function, "fn", function))
    try:
        file = inspect.getsourcefile(own)
    except TypeError:
        file = None
    if file is None or not hasattr(own, "__qualname__"):
        raise ConfigurationError(f"{function!r} is not a function that was read from a file.")
    if "." in own.__qualname__:
        raise ConfigurationError(
            f"{own.__qualname__} is not a function of its module's own, so a run cannot find it."
        )
    return f"{file}:{own.__qualname__}"


def _schedule(item: Mapping[str, Any] | DeploymentScheduleCreate) -> DeploymentScheduleCreate:
    if isinstance(item, DeploymentScheduleCreate):
        return item
    if "schedule" in item:
        return _checked(DeploymentScheduleCreate, **item)
    if sum(item.get(kind) is not None for kind in ("cron", "interval", "rrule")) != 1:
        raise ConfigurationError(f"A schedule has one of cron, interval and rrule: {dict(item)}")
    times = {key: item[key] for key in TIMES if item.get(key) is not None}
    rest = {key: value for key, value in item.items() if key not in TIMES and value is not None}
    return _checked(DeploymentScheduleCreate, schedule=times, **rest)


def _limit(limit: int | Mapping[str, Any] | None) -> dict[str, Any]:
    if not isinstance(limit, Mapping):
        return {} if limit is None else {"concurrency_limit": limit}
    options = {key: value for key, value in limit.items() if key != "limit"}
    found: dict[str, Any] = {"concurrency_limit": limit.get("limit")}
    return found | ({"concurrency_options": options} if options else {})


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


def _checked(shape: type[M], **values: Any) -> M:
    try:
        return shape(**values)
    except ValidationError as error:
        raise ConfigurationError(problems(error)) from None
