"""What `terraform query` can list: objects by their identities, a page at a time."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, ClassVar

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.names import NAME

if TYPE_CHECKING:
    from forebay.calls import Call

PAGE = 200


class ListResource:
    """Finds the objects of a resource that fit a `list` block."""

    name: ClassVar[str]  # of the resource, without the provider's prefix
    model: ClassVar[type]  # of the block

    @staticmethod
    def identities(connection: Connection, config: Any) -> Iterator[tuple[str, ...]]:
        """Identities of the objects, in the order of the resource's own `identity`."""
        raise NotImplementedError


@model
class PoolsBlock:
    """Lists work pools."""

    name_prefix: str | None = attribute("How the names begin.", default=None)
    type: str | None = attribute("Worker type of the pools.", default=None)


@model
class QueuesBlock:
    """Lists work queues."""

    work_pool_name: str | None = attribute(
        "Name of the pool; without it the queues of all pools.", default=None, checks=(NAME,)
    )


class WorkPools(ListResource):
    """All pools."""

    name, model = "work_pool", PoolsBlock

    @staticmethod
    def identities(connection: Connection, config: PoolsBlock) -> Iterator[tuple[str, ...]]:
        for pool in _each(connection, lambda at: calls.work_pools.filter(limit=PAGE, offset=at)):
            is_named = pool.name.startswith(config.name_prefix or "")
            if is_named and config.type in (None, pool.type):
                yield (pool.name,)


class WorkQueues(ListResource):
    """The queues of a pool, or of all."""

    name, model = "work_queue", QueuesBlock

    @staticmethod
    def identities(connection: Connection, config: QueuesBlock) -> Iterator[tuple[str, ...]]:
        pool = config.work_pool_name
        for queue in _each(
            connection,
            lambda at: (
                calls.work_queues.filter_all(limit=PAGE, offset=at)
                if pool is None
                else calls.work_queues.filter(pool, limit=PAGE, offset=at)
            ),
        ):
            yield (queue.work_pool_name, queue.name)


def _each(connection: Connection, page: "Callable[[int], Call[Any]]") -> Iterator[Any]:
    """The objects of all pages; no page is loaded before it is needed."""
    for number in count():
        items: Sequence[Any] = connection.send(page(number * PAGE))
        yield from items
        if len(items) < PAGE:
            return


AnyList = type[ListResource]
LISTS: tuple[AnyList, ...] = (WorkPools, WorkQueues)
