"""The data source `forebay_work_pool`: a pool and how it is doing."""

from collections.abc import Iterable
from uuid import UUID

from forebay.errors import NotFound
from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.listing import one_of_two
from forebay_provider.framework.declarations import JsonText, attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire
from forebay_provider.names import NAME, UUID_TEXT


@model
class DefaultQueueView:
    """The queue that is made with its pool and lives as long."""

    id: str = attribute("ID (UUID) of the queue.", computed=True)
    name: str = attribute("Name of the queue.", computed=True)
    description: str | None = attribute("What the queue is for.", computed=True)
    paused: bool = attribute(
        "Whether the queue hands out no runs.", computed=True, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; null is no limit.", computed=True
    )
    priority: int = attribute("Rank in the pool: 1 is served first.", computed=True)


@model
class WorkPoolView:
    """Looks a work pool up by name or by id, and tells how it is doing."""

    id: str = attribute(
        "ID (UUID) of the pool. Exactly one of `id` and `name` is set.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    name: str = attribute("Name of the pool.", default=None, computed=True, checks=(NAME,))
    type: str = attribute("Worker type that serves the pool.", computed=True)
    description: str | None = attribute("What the pool is for.", computed=True)
    paused: bool = attribute(
        "Whether the pool hands out no runs.", computed=True, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; null is no limit.", computed=True
    )
    base_job_template: JsonText = attribute("Base job template as JSON.", computed=True)
    default_queue: DefaultQueueView = attribute(
        "The queue that was made with the pool.", computed=True
    )
    default_queue_id: str = attribute("ID of the queue made with the pool.", computed=True)
    created: str = attribute("When the pool was made (RFC 3339).", computed=True)
    status: str = attribute("`READY`, `NOT_READY` or `PAUSED`.", computed=True)
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


class WorkPoolDataSource(DataSource[WorkPoolView, Connection]):
    """Fails when there is no such pool: a data source cannot say that something is absent."""

    name, model = "work_pool", WorkPoolView

    @staticmethod
    def check(config: WorkPoolView) -> Iterable[Diagnostic]:
        return one_of_two(config, "id", "name")

    def read(self, config: WorkPoolView) -> WorkPoolView:
        if config.id is None:
            pool = self.client.send(calls.work_pools.read(config.name))
        else:
            found = self.client.send(calls.work_pools.filter(ids=[UUID(config.id)], limit=1))
            if not found:
                raise NotFound(f"There is no work pool with the id {config.id}.")
            pool = found[0]
        view = from_wire(WorkPoolView, pool)
        if pool.default_queue_id is not None:
            call = calls.work_queues.read_by_id(pool.default_queue_id)
            view.default_queue = from_wire(DefaultQueueView, self.client.send(call))
        return view
