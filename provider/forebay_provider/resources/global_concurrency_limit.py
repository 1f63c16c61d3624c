"""`forebay_global_concurrency_limit`: the declaration of a shared limit and its four verbs."""

from contextlib import suppress

from forebay.errors import Conflict, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import at_least, at_most
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.resource import Resource
from forebay_provider.mapping import completed, from_wire, to_wire
from forebay_provider.names import MAX_INT, NAME, as_uuid, name_taken, no_such_id


@model
class GlobalConcurrencyLimit:
    """A limit of its own, shared by name: by tasks, by flows, or by several deployments."""

    id: str = attribute("ID (UUID) of the limit.", computed=True)
    name: str = attribute(
        "Name, unique in the server. It can be changed in place.", checks=(NAME,)
    )
    limit: int = attribute(
        "Most slots taken at once; 0 means none.", checks=(at_least(0), at_most(MAX_INT))
    )
    active: bool = attribute("Whether the limit is kept at all.", default=True)
    slot_decay_per_second: float = attribute(
        "Slots that become free by time alone, for rate limits.",
        default=0,
        checks=(at_least(0),),
    )
    created: str = attribute("When the limit was made (RFC 3339).", computed=True)


class GlobalConcurrencyLimitResource(Resource[GlobalConcurrencyLimit, Connection]):
    """Limits are followed by id, because a name can be changed by anybody."""

    name, model = "global_concurrency_limit", GlobalConcurrencyLimit
    identity = ("name",)
    import_doc = "the limit's name or its ID"

    def create(self, plan: GlobalConcurrencyLimit, key: str) -> GlobalConcurrencyLimit:
        body = to_wire(plan, wire.concurrency_limits.GlobalConcurrencyLimitCreate)
        try:
            made = self.client.send(calls.concurrency_limits.create(body, idempotency_key=key))
        except Conflict:
            existing = self.client.send(calls.concurrency_limits.read(plan.name))
            type_name = "forebay_global_concurrency_limit"
            raise name_taken(type_name, plan.name, existing.id, plan.name) from None
        return from_wire(GlobalConcurrencyLimit, made)

    def read(self, state: GlobalConcurrencyLimit) -> GlobalConcurrencyLimit | None:
        call = calls.concurrency_limits.read(state.id or state.name)
        try:
            return from_wire(GlobalConcurrencyLimit, self.client.send(call))
        except NotFound:
            return None

    def update(
        self, plan: GlobalConcurrencyLimit, state: GlobalConcurrencyLimit
    ) -> GlobalConcurrencyLimit:
        body = to_wire(plan, wire.concurrency_limits.GlobalConcurrencyLimitUpdate, since=state)
        self.client.send(calls.concurrency_limits.update(state.id, body))
        read = calls.concurrency_limits.read(state.id)
        return completed(plan, lambda: from_wire(GlobalConcurrencyLimit, self.client.send(read)))

    def delete(self, state: GlobalConcurrencyLimit) -> None:
        with suppress(NotFound):
            self.client.send(calls.concurrency_limits.delete(state.id))

    def find(self, text: str) -> GlobalConcurrencyLimit:
        if as_uuid(text) is None and NAME.complaint(text):
            raise no_such_id("limit", text, self.import_doc)
        named = {"id": text} if as_uuid(text) else {"name": text}
        return from_values(GlobalConcurrencyLimit, named)
