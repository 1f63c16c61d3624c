"""`forebay_work_pool`: the declaration of a pool and its four verbs."""

from contextlib import suppress

from forebay.errors import Conflict, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.configuration import Connection
from forebay_provider.framework.checks import at_least, at_most, custom, matches
from forebay_provider.framework.declarations import JsonText, attribute, from_values, model
from forebay_provider.framework.resource import Resource
from forebay_provider.mapping import completed, from_wire, to_wire
from forebay_provider.names import MAX_INT, NAME, POOL_NAME, as_uuid, name_taken, no_such_id
from forebay_provider.resources import job_template


@model
class WorkPool:
    """A pool of work: runs wait in its queues until workers of its type take them."""

    id: str = attribute("ID (UUID) of the pool.", computed=True)
    name: str = attribute("Name, unique in the server.", replace=True, checks=POOL_NAME)
    type: str = attribute(
        "Worker type that serves the pool, for example `process`, `docker` or `kubernetes`.",
        replace=True,
        checks=(matches(r"(?s)\S.{0,254}", "be 1 to 255 characters"),),
    )
    description: str | None = attribute("What the pool is for.", default=None)
    paused: bool = attribute(
        "Whether the pool hands out no runs.", default=False, wire="is_paused"
    )
    concurrency_limit: int | None = attribute(
        "Most runs at once; no limit if unset, none at all if 0.",
        default=None,
        checks=(at_least(0), at_most(MAX_INT)),
    )
    base_job_template: JsonText = attribute(
        "Base job template as JSON: `job_configuration` with `{{ placeholders }}` and the "
        "`variables` that fill them. Compared by meaning. If unset, the server's own is kept.",
        default=None,
        computed=True,
        checks=(custom(job_template.complaint),),
    )
    default_queue_id: str = attribute(
        "ID of the queue that was made with the pool.", computed=True
    )
    created: str = attribute("When the pool was made (RFC 3339).", computed=True)


class WorkPoolResource(Resource[WorkPool, Connection]):
    """Pools are addressed by name, which never changes."""

    name, model = "work_pool", WorkPool
    import_doc = "the pool's name or its ID"

    def create(self, plan: WorkPool, key: str) -> WorkPool:
        body = to_wire(plan, wire.work_pools.WorkPoolCreate)
        try:
            made = self.client.send(calls.work_pools.create(body, idempotency_key=key))
        except Conflict:
            existing = self.client.send(calls.work_pools.read(plan.name))
            raise name_taken("forebay_work_pool", plan.name, existing.id, plan.name) from None
        return from_wire(WorkPool, made)

    def read(self, state: WorkPool) -> WorkPool | None:
        try:
            return from_wire(WorkPool, self.client.send(calls.work_pools.read(state.name)))
        except NotFound:
            return None

    def update(self, plan: WorkPool, state: WorkPool) -> WorkPool:
        body = to_wire(plan, wire.work_pools.WorkPoolUpdate, since=state)
        self.client.send(calls.work_pools.update(state.name, body))
        read = calls.work_pools.read(state.name)
        return completed(plan, lambda: from_wire(WorkPool, self.client.send(read)))

    def delete(self, state: WorkPool) -> None:
        with suppress(NotFound):
            self.client.send(calls.work_pools.delete(state.name))

    def find(self, text: str) -> WorkPool:
        name = text
        if NAME.complaint(text):
            raise no_such_id("work pool", text, self.import_doc)
        if (id := as_uuid(text)) is not None:
            named = self.client.send(calls.work_pools.filter(ids=[id], limit=1))
            name = named[0].name if named else text
        return from_values(WorkPool, {"name": name})
