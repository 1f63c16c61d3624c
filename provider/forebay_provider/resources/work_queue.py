"""`forebay_work_queue`: the declaration of a queue and its four verbs."""

from contextlib import suppress

from forebay.errors import Conflict, FieldProblem, Invalid, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.configuration import Connection
from forebay_provider.framework.checks import at_least, at_most
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.resource import Resource
from forebay_provider.mapping import completed, from_wire, to_wire
from forebay_provider.names import MAX_INT, NAME, as_uuid, name_taken, no_such_id


@model
class WorkQueue:
    """A queue of a work pool. Workers serve a pool's queues by priority."""

    id: str = attribute("ID (UUID) of the queue.", computed=True)
    work_pool_name: str = attribute("Name of the pool.", replace=True, checks=(NAME,))
    name: str = attribute("Name, unique in the pool. It can be changed in place.", checks=(NAME,))
    description: str = attribute("What the queue is for.", default="")
    paused: bool = attribute(
        "Whether the queue hands out no runs.", default=False, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; no limit if unset, none at all if 0.",
        default=None,
        checks=(at_least(0), at_most(MAX_INT)),
    )
    priority: int = attribute(
        "Rank in the pool: 1 is served first. Taking a rank that another queue holds moves that "
        "queue down. If unset, the server chooses the first free one and it is left alone.",
        default=None,
        computed=True,
        checks=(at_least(1), at_most(MAX_INT)),
    )
    created: str = attribute("When the queue was made (RFC 3339).", computed=True)


class WorkQueueResource(Resource[WorkQueue, Connection]):
    """Queues are followed by id, because a name can be changed by anybody."""

    name, model = "work_queue", WorkQueue
    identity = ("work_pool_name", "name")
    import_doc = "`POOL/QUEUE`, `POOL,QUEUE` or the queue's ID"

    def create(self, plan: WorkQueue, key: str) -> WorkQueue:
        pool = plan.work_pool_name
        body = to_wire(plan, wire.work_queues.WorkQueueCreate)
        try:
            made = self.client.send(calls.work_queues.create(pool, body, idempotency_key=key))
        except NotFound:
            problem = FieldProblem(("work_pool_name",), f'there is no work pool "{pool}"')
            raise Invalid(problem.message, problems=(problem,)) from None
        except Conflict:
            existing = self.client.send(calls.work_queues.read(pool, plan.name))
            path = f"{pool}/{plan.name}"
            raise name_taken("forebay_work_queue", plan.name, existing.id, path) from None
        return from_wire(WorkQueue, made)

    def read(self, state: WorkQueue) -> WorkQueue | None:
        id = as_uuid(state.id or "")
        by_name = calls.work_queues.read
        call = (
            calls.work_queues.read_by_id(id) if id else by_name(state.work_pool_name, state.name)
        )
        try:
            return from_wire(WorkQueue, self.client.send(call))
        except NotFound:
            return None

    def update(self, plan: WorkQueue, state: WorkQueue) -> WorkQueue:
        pool = state.work_pool_name
        body = to_wire(plan, wire.work_queues.WorkQueueUpdate, since=state)
        self.client.send(calls.work_queues.update(pool, state.name, body))
        read = calls.work_queues.read(pool, plan.name)
        return completed(plan, lambda: from_wire(WorkQueue, self.client.send(read)))

    def delete(self, state: WorkQueue) -> None:
        try:
            with suppress(NotFound):
                self.client.send(calls.work_queues.delete(state.work_pool_name, state.name))
        except Conflict as error:
            raise Conflict(
                f"{error} A pool's default queue lives as long as its pool: delete the pool, or "
                "forget the queue here with `terraform state rm`."
            ) from None

    def find(self, text: str) -> WorkQueue:
        if as_uuid(text) is not None:
            return from_values(WorkQueue, {"id": text})
        # A name may hold a comma but no slash.
        pool, _, queue = text.partition("/" if "/" in text else ",")
        if NAME.complaint(pool) or NAME.complaint(queue):
            raise no_such_id("work queue", text, self.import_doc)
        return from_values(WorkQueue, {"work_pool_name": pool, "name": queue})
