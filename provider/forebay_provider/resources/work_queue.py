"""`forebay_work_queue`: the declaration of a queue and its four verbs."""

from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from forebay.errors import Conflict, FieldProblem, Invalid, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import at_least, at_most
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import Resource
from forebay_provider.framework.values import is_known
from forebay_provider.mapping import completed, from_wire, to_wire
from forebay_provider.names import MAX_INT, NAME, as_uuid, name_taken, no_such_id, some_of
from forebay_provider.rows import Row

if TYPE_CHECKING:
    import forebay.wire.work_queues


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
    adopt_existing: bool = attribute(
        "Whether a queue of that name that exists already is taken over: a deployment that names "
        "a queue makes it. A pool's default queue, once taken over, is reset instead of deleted.",
        default=False,
    )
    created: str = attribute("When the queue was made (RFC 3339).", computed=True)


class WorkQueueResource(Resource[WorkQueue, Connection]):
    """Queues are followed by id, because a name can be changed by anybody."""

    name, model = "work_queue", WorkQueue
    identity = ("work_pool_name", "name")
    import_doc = "`POOL/QUEUE`, `POOL,QUEUE` or the queue's ID"

    def review(self, plan: WorkQueue | None, prior: WorkQueue | None) -> Iterable[Diagnostic]:
        if plan is None:
            if prior is not None:
                yield from self._review_deletion(prior)
            return
        if prior is not None and plan.work_pool_name != prior.work_pool_name:
            yield Diagnostic(
                f'"{prior.name}" is made anew in another pool',
                f'Runs that wait in it stay behind in "{prior.work_pool_name}" without a queue.',
                ("work_pool_name",),
                is_warning=True,
            )
        is_new = prior is None or plan.priority != prior.priority
        if not is_new or not is_known([plan.priority, plan.work_pool_name]):
            return
        for queue in self.client.send(calls.work_queues.filter(plan.work_pool_name)):
            is_other = prior is None or str(queue.id) != prior.id
            if queue.priority == plan.priority and is_other and queue.name != plan.name:
                yield Diagnostic(
                    "The priority is taken",
                    f'"{queue.name}" has priority {queue.priority} and will be moved down. To '
                    "give all queues of a pool their order use forebay_work_queue_order.",
                    ("priority",),
                    is_warning=True,
                )

    def _review_deletion(self, queue: WorkQueue) -> Iterable[Diagnostic]:
        # Not an error: the same change may delete or move the deployments first.
        there = calls.deployments.filter(
            pool_names=[queue.work_pool_name], queue_names=[queue.name]
        )
        if found := self.client.send(there):
            users = some_of(deployment.name for deployment in found)
            yield Diagnostic(
                f'Deployments send their runs to the queue "{queue.name}"',
                f"{users}. If they are not deleted or moved before it, they will send their runs "
                "nowhere.",
                is_warning=True,
            )

    def create(self, plan: WorkQueue, key: str) -> WorkQueue:
        pool = plan.work_pool_name
        body = to_wire(plan, wire.work_queues.WorkQueueCreate)
        try:
            made = self.client.row(calls.work_queues.create(pool, body, idempotency_key=key))
        except NotFound:
            problem = FieldProblem(("work_pool_name",), f'there is no work pool "{pool}"')
            raise Invalid(problem.message, problems=(problem,)) from None
        except Conflict:
            existing = self.client.row(calls.work_queues.read(pool, plan.name))
            if plan.adopt_existing:
                return self.update(plan, _found(existing, plan))
            path = f"{pool}/{plan.name}"
            raise name_taken("forebay_work_queue", plan.name, existing["id"], path) from None
        return _found(made, plan)

    def read(self, state: WorkQueue) -> WorkQueue | None:
        id = as_uuid(state.id or "")
        by_name = calls.work_queues.read
        call = (
            calls.work_queues.read_by_id(id) if id else by_name(state.work_pool_name, state.name)
        )
        try:
            return _found(self.client.row(call), state)
        except NotFound:
            return None

    def update(self, plan: WorkQueue, state: WorkQueue) -> WorkQueue:
        pool = state.work_pool_name
        if plan.name != state.name:
            # By itself and first: what follows is sent to the path that the new name makes.
            self.client.send(calls.work_queues.rename(UUID(state.id), plan.name))
            state.name = plan.name
        body = to_wire(plan, wire.work_queues.WorkQueueUpdate, since=state)
        if body.model_fields_set:
            self.client.send(calls.work_queues.update(pool, plan.name, body))
        read = calls.work_queues.read(pool, plan.name)
        return completed(plan, lambda: _found(self.client.row(read), plan))

    def delete(self, state: WorkQueue) -> None:
        pool, name = state.work_pool_name, state.name
        with suppress(NotFound):
            default_id = self.client.row(calls.work_pools.read(pool)).get("default_queue_id")
            if default_id != state.id:
                self.client.send(calls.work_queues.delete(pool, name))
            elif state.adopt_existing:
                self.client.send(calls.work_queues.update(pool, name, _reset()))
            else:
                raise Conflict(
                    "A pool's default queue lives as long as its pool: delete the pool, forget "
                    "the queue here with `terraform state rm`, or set adopt_existing, with "
                    "which it is reset."
                )

    def find(self, text: str) -> WorkQueue:
        if as_uuid(text) is not None:
            return from_values(WorkQueue, {"id": text})
        # A name may hold a comma but no slash.
        pool, _, queue = text.partition("/" if "/" in text else ",")
        if NAME.complaint(pool) or NAME.complaint(queue):
            raise no_such_id("work queue", text, self.import_doc)
        return from_values(WorkQueue, {"work_pool_name": pool, "name": queue})


def _found(answer: Row, like: WorkQueue) -> WorkQueue:
    found = from_wire(WorkQueue, answer)
    found.adopt_existing = like.adopt_existing or False
    return found


def _reset() -> "forebay.wire.work_queues.WorkQueueUpdate":
    """What makes a queue as it was when its pool was made."""
    return wire.work_queues.WorkQueueUpdate(
        description="", is_paused=False, concurrency_limit=None
    )
