"""The data sources `forebay_work_queue` and `forebay_work_queues`."""

from collections.abc import Iterable
from uuid import UUID

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.listing import PAGE, chosen, every, one_of_two
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire
from forebay_provider.names import NAME, UUID_TEXT


@model
class WorkQueueItem:
    """One queue of a list."""

    id: str = attribute("ID (UUID) of the queue.", computed=True)
    work_pool_name: str = attribute("Name of the pool.", computed=True)
    name: str = attribute("Name of the queue.", computed=True)
    description: str | None = attribute("What the queue is for.", computed=True)
    paused: bool = attribute(
        "Whether the queue hands out no runs.", computed=True, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; null is no limit.", computed=True
    )
    priority: int = attribute("Rank in the pool: 1 is served first.", computed=True)
    created: str = attribute("When the queue was made (RFC 3339).", computed=True)
    status: str | None = attribute("`READY`, `NOT_READY` or `PAUSED`.", computed=True)
    last_polled: str | None = attribute("When a worker last asked for its runs.", computed=True)
    active_slots: int | None = attribute(
        "Slots held by runs now; null where it is not known.", computed=True
    )


@model
class WorkQueueView:
    """Looks a work queue up by its pool and name, or by id, and tells how it is doing."""

    id: str = attribute(
        "ID (UUID) of the queue. Exactly one of `id` and `name` is set.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    work_pool_name: str = attribute(
        "Name of the pool; goes with `name`.", default=None, computed=True, checks=(NAME,)
    )
    name: str = attribute("Name of the queue.", default=None, computed=True, checks=(NAME,))
    description: str | None = attribute("What the queue is for.", computed=True)
    paused: bool = attribute(
        "Whether the queue hands out no runs.", computed=True, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; null is no limit.", computed=True
    )
    priority: int = attribute("Rank in the pool: 1 is served first.", computed=True)
    created: str = attribute("When the queue was made (RFC 3339).", computed=True)
    status: str | None = attribute("`READY`, `NOT_READY` or `PAUSED`.", computed=True)
    last_polled: str | None = attribute("When a worker last asked for its runs.", computed=True)
    active_slots: int | None = attribute(
        "Slots held by runs now; null where it is not known.", computed=True
    )


@model
class WorkQueuesView:
    """Lists work queues, of one pool or of all. All filters must be met."""

    work_pool_name: str | None = attribute("Only those of this pool.", default=None)
    ids: set[str] | None = attribute("Only those with one of these IDs.", default=None)
    names: set[str] | None = attribute("Only those with one of these names.", default=None)
    name_prefix: str | None = attribute("Only those whose name begins so.", default=None)
    paused: bool | None = attribute("Only those that are paused, or not.", default=None)
    work_queues: list[WorkQueueItem] = attribute("The queues, by name.", computed=True)


class WorkQueueDataSource(DataSource[WorkQueueView, Connection]):
    """Fails when there is no such queue."""

    name, model = "work_queue", WorkQueueView

    @staticmethod
    def check(config: WorkQueueView) -> Iterable[Diagnostic]:
        yield from one_of_two(config, "id", "name")
        if config.name is not None and config.work_pool_name is None:
            text = "name needs work_pool_name."
            yield Diagnostic("A queue without its pool", text, ("name",))

    def read(self, config: WorkQueueView) -> WorkQueueView:
        if config.id is not None:
            call = calls.work_queues.read_by_id(UUID(config.id))
        else:
            call = calls.work_queues.read(config.work_pool_name, config.name)
        return from_wire(WorkQueueView, self.client.send(call))


class WorkQueuesDataSource(DataSource[WorkQueuesView, Connection]):
    """An empty list is no error, but a pool that does not exist is one."""

    name, model = "work_queues", WorkQueuesView

    def read(self, config: WorkQueuesView) -> WorkQueuesView:
        pool = config.work_pool_name
        if pool is None:
            found = every(
                self.client, lambda at: calls.work_queues.filter_all(limit=PAGE, offset=at)
            )
        else:
            found = every(
                self.client, lambda at: calls.work_queues.filter(pool, limit=PAGE, offset=at)
            )
        config.work_queues = [
            from_wire(WorkQueueItem, queue)
            for queue in chosen(found, config)
            if config.paused in (None, queue.is_paused)
        ]
        return config
