"""What queues can be filtered by."""

from collections.abc import Iterator

from sqlalchemy import or_

from forebay_server.db.criteria import Condition, Criteria, Filter, Ids, Texts
from forebay_server.work_queues.tables import work_queues


class QueueIdCriteria(Criteria):
    """Which ids."""

    any_: Ids | None = None


class QueueNameCriteria(Criteria):
    """Which names; `startswith_` in any case."""

    any_: Texts | None = None
    startswith_: Texts | None = None

    def conditions(self) -> Iterator[Condition]:
        """What a queue's name must fulfil."""
        name = work_queues.c.name
        if self.any_ is not None:
            yield name.in_(self.any_)
        if self.startswith_:
            yield or_(*(name.istartswith(start, autoescape=True) for start in self.startswith_))


class WorkQueueFilter(Filter):
    """Source: Prefect 3.8.4 `WorkQueueFilter`."""

    id: QueueIdCriteria | None = None
    name: QueueNameCriteria | None = None

    def condition(self) -> Condition:
        """What a row of work queues must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.id is not None and self.id.any_ is not None:
            yield work_queues.c.id.in_(self.id.any_)
        if self.name is not None:
            yield from self.name.conditions()
