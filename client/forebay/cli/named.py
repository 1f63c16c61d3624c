"""Deployments as users name them: FLOW/DEPLOYMENT, or an id."""

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from forebay.cli.failures import advice
from forebay.errors import NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.deployments import Deployment

SEE_DEPLOYMENTS = "`forebay deployment ls` lists the deployments."
DeploymentName = Annotated[
    str, typer.Argument(metavar="NAME", help="FLOW/DEPLOYMENT, or its id.", show_default=False)
]


def read_deployment(client: "Client", name: str) -> "Deployment":
    """The deployment by its id or by FLOW/DEPLOYMENT."""
    from forebay.calls import deployments

    with advice(NotFound, SEE_DEPLOYMENTS):
        flow, separator, own = name.partition("/")
        if separator and flow and own:
            return client.send(deployments.read_by_name(flow, own))
        try:
            id = UUID(name)
        except ValueError:
            raise typer.BadParameter(
                f"{name!r} is neither FLOW/DEPLOYMENT nor an id. {SEE_DEPLOYMENTS}"
            ) from None
        return client.send(deployments.read(id))
