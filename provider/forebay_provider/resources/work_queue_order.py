"""`forebay_work_queue_order`: one owner for the priorities of a pool's queues."""

from collections.abc import Iterable

from forebay.errors import FieldProblem, Invalid, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import custom
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import Resource
from forebay_provider.framework.values import is_known
from forebay_provider.names import NAME, no_such_id


@model
class WorkQueueOrder:
    """The order in which a pool's queues are served. Leave `priority` of the queues unset."""

    work_pool_name: str = attribute("Name of the pool.", replace=True, checks=(NAME,))
    queues: list[str] = attribute(
        "Names of queues, the one that is served first before the others. Queues that are not "
        "named come after them.",
        checks=(custom(lambda names: None if names else "must name a queue"),),
    )


class WorkQueueOrderResource(Resource[WorkQueueOrder, Connection]):
    """An order exists as long as its pool; deleting it leaves the queues as they are."""

    name, model = "work_queue_order", WorkQueueOrder
    identity = ("work_pool_name",)
    import_doc = "the pool's name"

    @staticmethod
    def check(config: WorkQueueOrder) -> Iterable[Diagnostic]:
        names = config.queues
        if is_known(names) and len(set(names)) < len(names):
            yield Diagnostic(
                "A queue is named twice", "Name each queue once in queues.", ("queues",)
            )

    def create(self, plan: WorkQueueOrder, key: str) -> WorkQueueOrder:
        pool = plan.work_pool_name
        try:
            ranked = self._ranked(pool)
        except NotFound:
            problem = FieldProblem(("work_pool_name",), f'there is no work pool "{pool}"')
            raise Invalid(problem.message, problems=(problem,)) from None
        if missing := [name for name in plan.queues if name not in ranked]:
            text = f'the pool "{pool}" has no queue {", ".join(missing)}'
            raise Invalid(text, problems=(FieldProblem(("queues",), text),))
        if ranked[: len(plan.queues)] != plan.queues:
            # Each takes its rank and moves the one that had it down, so the first are settled.
            for rank, name in enumerate(plan.queues, start=1):
                body = wire.work_queues.WorkQueueUpdate(priority=rank)
                self.client.send(calls.work_queues.update(pool, name, body))
        return plan

    def read(self, state: WorkQueueOrder) -> WorkQueueOrder | None:
        try:
            ranked = self._ranked(state.work_pool_name)
        except NotFound:
            return None
        named = ranked if state.queues is None else state.queues
        # What stands behind all of them is nobody's business here; what stands between is.
        last = max((ranked.index(name) for name in named if name in ranked), default=-1)
        values = {"work_pool_name": state.work_pool_name, "queues": ranked[: last + 1]}
        return from_values(WorkQueueOrder, values)

    def update(self, plan: WorkQueueOrder, state: WorkQueueOrder) -> WorkQueueOrder:
        return self.create(plan, "")

    def delete(self, state: WorkQueueOrder) -> None:
        """The queues keep their priorities: they must have some."""

    def find(self, text: str) -> WorkQueueOrder:
        if NAME.complaint(text):
            raise no_such_id("work pool", text, self.import_doc)
        return from_values(WorkQueueOrder, {"work_pool_name": text})

    def _ranked(self, pool: str) -> list[str]:
        """Names of the pool's queues, the first to be served first."""
        self.client.send(calls.work_pools.read(pool))
        return [queue.name for queue in self.client.send(calls.work_queues.filter(pool))]
