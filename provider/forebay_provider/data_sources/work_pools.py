"""The data source `forebay_work_pools`: pools by filter."""

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.listing import PAGE, chosen, every
from forebay_provider.framework.declarations import JsonText, attribute, model
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire


@model
class WorkPoolItem:
    """One pool of a list."""

    id: str = attribute("ID (UUID) of the pool.", computed=True)
    name: str = attribute("Name of the pool.", computed=True)
    type: str = attribute("Worker type that serves the pool.", computed=True)
    description: str | None = attribute("What the pool is for.", computed=True)
    paused: bool = attribute(
        "Whether the pool hands out no runs.", computed=True, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; null is no limit.", computed=True
    )
    base_job_template: JsonText = attribute("Base job template as JSON.", computed=True)
    default_queue_id: str = attribute("ID of the queue made with the pool.", computed=True)
    created: str = attribute("When the pool was made (RFC 3339).", computed=True)
    status: str | None = attribute("`READY`, `NOT_READY` or `PAUSED`.", computed=True)
    active_slots: int | None = attribute(
        "Slots held by runs now; null where there is no limit.", computed=True
    )
    on_lost: str | None = attribute(
        "What becomes of a started run whose worker is lost: `crash` or `reschedule`; null at a "
        "Prefect server.",
        computed=True,
    )
    max_rescues: int | None = attribute(
        "How often one run is rescheduled after losing its worker; null at a Prefect server.",
        computed=True,
    )


@model
class WorkPoolsView:
    """Lists work pools. All filters are optional and must all be met."""

    ids: set[str] | None = attribute("Only those with one of these IDs.", default=None)
    names: set[str] | None = attribute("Only those with one of these names.", default=None)
    name_prefix: str | None = attribute("Only those whose name begins so.", default=None)
    type: str | None = attribute("Only those of this worker type.", default=None)
    paused: bool | None = attribute("Only those that are paused, or not.", default=None)
    work_pools: list[WorkPoolItem] = attribute("The pools, by name.", computed=True)


class WorkPoolsDataSource(DataSource[WorkPoolsView, Connection]):
    """An empty list is no error."""

    name, model = "work_pools", WorkPoolsView

    def read(self, config: WorkPoolsView) -> WorkPoolsView:
        found = every(self.client, lambda at: calls.work_pools.filter(limit=PAGE, offset=at))
        config.work_pools = [
            from_wire(WorkPoolItem, pool)
            for pool in chosen(found, config)
            if config.type in (None, pool.type) and config.paused in (None, pool.is_paused)
        ]
        return config
