"""What pools can be filtered by."""

from collections.abc import Iterator

from forebay_server.db.criteria import Condition, Criteria, Filter, Ids, Texts
from forebay_server.work_pools.tables import work_pools


class PoolIdCriteria(Criteria):
    """Which ids."""

    any_: Ids | None = None


class PoolTextCriteria(Criteria):
    """Which names or types."""

    any_: Texts | None = None


class WorkPoolFilter(Filter):
    """Source: Prefect 3.8.4 `WorkPoolFilter`."""

    id: PoolIdCriteria | None = None
    name: PoolTextCriteria | None = None
    type: PoolTextCriteria | None = None

    def condition(self) -> Condition:
        """What a row of work pools must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.id is not None and self.id.any_ is not None:
            yield work_pools.c.id.in_(self.id.any_)
        if self.name is not None and self.name.any_ is not None:
            yield work_pools.c.name.in_(self.name.any_)
        if self.type is not None and self.type.any_ is not None:
            yield work_pools.c.type.in_(self.type.any_)
