"""Objects as users name them: deployments, queues and the pool that is meant by default."""

import os
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from forebay.cli.failures import advice
from forebay.errors import NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.deployments import Deployment
    from forebay.wire.work_queues import WorkQueue

SEE_DEPLOYMENTS = "`forebay deployment ls` lists the deployments."
SEE_QUEUES = (
    "`forebay work-queue ls --pool POOL` lists a pool's queues, `forebay work-pool ls` the pools."
)
SEE_POOLS = "`forebay work-pool ls` lists the pools."
DEFAULT_POOL_VARIABLES = ("FOREBAY_DEFAULT_WORK_POOL_NAME", "PREFECT_DEFAULT_WORK_POOL_NAME")
DeploymentName = Annotated[
    str,
    typer.Argument(metavar="NAME|ID", help="FLOW/DEPLOYMENT, or its id.", show_default=False),
]
PoolName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the pool.", show_default=False)
]
TemplateFile = Annotated[
    str | None,
    typer.Option("--base-job-template", metavar="FILE", help="JSON or YAML; - is stdin."),
]
# Texts, checked with the body that they go into: its enumeration would cost every command's start.
OnLostOption = Annotated[
    str | None,
    typer.Option(
        "--on-lost",
        metavar="crash|reschedule",
        help="What becomes of a started run whose worker is lost.",
    ),
]
MaxRescues = Annotated[
    int | None,
    typer.Option(
        "--max-rescues", min=0, help="How often one run is rescheduled before it is CRASHED."
    ),
]
QueueName = Annotated[
    str, typer.Argument(metavar="NAME|ID", help="Name or id of the queue.", show_default=False)
]


def read_deployment(client: "Client", name: str) -> "Deployment":
    """The deployment by its id or by FLOW/DEPLOYMENT."""
    from forebay.calls import deployments

    with advice(NotFound, SEE_DEPLOYMENTS):
        flow, separator, own = name.partition("/")
        if separator and flow and own:
            return client.send(deployments.read_by_name(flow, own))
        id = uuid_or_none(name)
        if id is None:
            raise typer.BadParameter(
                f"{name!r} is neither FLOW/DEPLOYMENT nor an id. {SEE_DEPLOYMENTS}"
            )
        return client.send(deployments.read(id))


def read_queue(client: "Client", pool: str, name: str) -> "WorkQueue":
    """The pool's queue by its name or id. Raises `NotFound`, also for another pool's queue."""
    from forebay.calls import work_queues

    with advice(NotFound, SEE_QUEUES):
        try:
            return client.send(work_queues.read(pool, name))
        except NotFound:
            id = uuid_or_none(name)
            queue = client.send(work_queues.read_by_id(id)) if id else None
            if queue is None or queue.work_pool_name != pool:
                raise
            return queue


def default_pool() -> str | None:
    """The pool that is meant where none is named: from the environment, else the profile."""
    from forebay.settings import read_profile

    places = (os.environ, read_profile(os.environ))
    found = (place.get(name, "").strip() for place in places for name in DEFAULT_POOL_VARIABLES)
    return next((name for name in found if name), None)


def pool_or_default(pool: str) -> str:
    """`pool`, else the default one; a usage error where there is none."""
    name = pool or default_pool()
    if name is None:
        raise typer.BadParameter(
            "give --pool, or choose a pool for all commands: "
            "forebay config set FOREBAY_DEFAULT_WORK_POOL_NAME=POOL"
        )
    return name


def uuid_or_none(text: str) -> UUID | None:
    """The id that `text` is, if it is one."""
    try:
        return UUID(text)
    except ValueError:
        return None
