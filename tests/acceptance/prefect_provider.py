"""A stand-in for the provider prefecthq/prefect: its schemas, and nothing behind them.

Terraform asks the provider of every object in a state for its schema, also when a `moved` block
gives the object to another one. Run as a program, it is that plugin.
"""

from forebay_provider import __main__, provided, serve
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.resource import Resource
from forebay_provider.servicer import Servicer


@model
class Pool:
    """What tests need of prefect_work_pool."""

    id: str = attribute("Id.", computed=True)
    name: str = attribute("Name.")
    type: str | None = attribute("Type.", default=None)
    paused: bool = attribute("Paused.", default=False)
    base_job_template: str | None = attribute("Template.", default=None)
    workspace_id: str | None = attribute("Workspace.", default=None)


@model
class Queue:
    """What tests need of prefect_work_queue."""

    id: str = attribute("Id.", computed=True)
    work_pool_name: str = attribute("Pool.")
    name: str = attribute("Name.")
    is_paused: bool = attribute("Paused.", default=False)
    description: str = attribute("Description.", default="")


class PoolResource(Resource[Pool, object]):
    """Managed by nobody."""

    name, model = "work_pool", Pool


class QueueResource(Resource[Queue, object]):
    """Managed by nobody."""

    name, model = "work_queue", Queue


def main() -> None:
    """Serve Terraform."""
    provided.PREFIX = "prefect_"
    serve.Servicer = lambda: Servicer(  # type: ignore[misc,assignment]
        resources=(PoolResource, QueueResource), data_sources=(), functions=(), lists=()
    )
    __main__.main()


if __name__ == "__main__":
    main()
