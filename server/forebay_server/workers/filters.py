"""What workers can be filtered by."""

from collections.abc import Iterator

from forebay.wire.work_pools import WorkerStatus
from forebay_server.db.criteria import Condition, Criteria, Filter, TimeCriteria
from forebay_server.workers.tables import DRAINING, workers


class WorkerStatusCriteria(Criteria):
    """Which statuses."""

    any_: list[WorkerStatus] | None = None
    not_any_: list[WorkerStatus] | None = None

    def conditions(self) -> Iterator[Condition]:
        """What a worker's status must fulfil."""
        if self.any_ is not None:
            yield workers.c.status.in_(_stored(self.any_))
        if self.not_any_ is not None:
            yield workers.c.status.not_in(_stored(self.not_any_))


class WorkerFilter(Filter):
    """Source: Prefect 3.8.4 `WorkerFilter`."""

    last_heartbeat_time: TimeCriteria | None = None
    status: WorkerStatusCriteria | None = None

    def condition(self) -> Condition:
        """What a row of workers must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.last_heartbeat_time is not None:
            yield from self.last_heartbeat_time.conditions(workers.c.last_heartbeat_time)
        if self.status is not None:
            yield from self.status.conditions()


def _stored(statuses: list[WorkerStatus]) -> list[str]:
    """What the table says for these statuses."""
    return [*statuses, *([DRAINING] if WorkerStatus.ONLINE in statuses else [])]
