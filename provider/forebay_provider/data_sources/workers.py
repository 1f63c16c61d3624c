"""The data sources `forebay_workers` and `forebay_worker_metadata`."""

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import one_of
from forebay_provider.framework.declarations import JsonText, attribute, from_values, model
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire, json_text
from forebay_provider.names import NAME


@model
class WorkerItem:
    """One worker of a pool."""

    name: str = attribute("Name of the worker.", computed=True)
    status: str = attribute("`ONLINE` or `OFFLINE`.", computed=True)
    last_heartbeat_time: str | None = attribute("When it was last heard of.", computed=True)
    heartbeat_interval_seconds: int | None = attribute(
        "How often it is to be heard of.", computed=True
    )


@model
class WorkersView:
    """Lists the workers of a pool."""

    work_pool_name: str = attribute("Name of the pool.", checks=(NAME,))
    status: str | None = attribute(
        "Only those of this status.", default=None, checks=(one_of("ONLINE", "OFFLINE"),)
    )
    workers: list[WorkerItem] = attribute("The workers, by name.", computed=True)


class WorkersDataSource(DataSource[WorkersView, Connection]):
    """An empty list is no error, but a pool that does not exist is one."""

    name, model = "workers", WorkersView

    def read(self, config: WorkersView) -> WorkersView:
        found = self.client.send(calls.work_pools.workers(config.work_pool_name))
        items = [from_wire(WorkerItem, worker) for worker in found]
        config.workers = sorted(
            (item for item in items if config.status in (None, item.status)),
            key=lambda item: item.name,
        )
        return config


@model
class WorkerTypeItem:
    """One worker type, as the server describes it."""

    default_base_job_template: JsonText = attribute(
        "Base job template of a pool of the type, as JSON.", computed=True
    )
    display_name: str | None = attribute("Name for people.", computed=True)
    description: str | None = attribute("What its workers do.", computed=True)
    install_command: str | None = attribute("How its worker is installed.", computed=True)
    is_beta: bool = attribute("Whether it may still change.", computed=True)


@model
class WorkerMetadataView:
    """Tells the worker types that the server knows, whichever they are."""

    type: str | None = attribute("Only this type.", default=None)
    worker_types: dict[str, WorkerTypeItem] = attribute(
        "What the server knows, by its own name of the type.", computed=True
    )


class WorkerMetadataDataSource(DataSource[WorkerMetadataView, Connection]):
    """A type that the server does not know is not in the map."""

    name, model = "worker_metadata", WorkerMetadataView

    def read(self, config: WorkerMetadataView) -> WorkerMetadataView:
        collections = self.client.send(calls.server.worker_metadata())
        found = {name: given for types in collections.values() for name, given in types.items()}
        config.worker_types = {
            name: from_values(
                WorkerTypeItem,
                {
                    **given,
                    "default_base_job_template": json_text(
                        given.get("default_base_job_configuration") or {}
                    ),
                    "is_beta": bool(given.get("is_beta")),
                },
            )
            for name, given in found.items()
            if config.type in (None, name)
        }
        return config
