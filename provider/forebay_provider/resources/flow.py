"""`forebay_flow`: the declaration of a flow and its four verbs."""

from contextlib import suppress
from uuid import UUID

from forebay.errors import Conflict, ForebayError, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.resource import Incomplete, Resource
from forebay_provider.mapping import completed, from_wire, to_wire
from forebay_provider.names import NAME, as_uuid, name_taken, no_such_id, some_of


@model
class Flow:
    """A flow: what deployments deploy and runs are runs of."""

    id: str = attribute("ID (UUID) of the flow.", computed=True)
    name: str = attribute("Name, unique in the server.", replace=True, checks=(NAME,))
    tags: set[str] = attribute("Tags.", default=[])
    adopt_existing: bool = attribute(
        "Whether a flow of that name that exists already is taken over: whoever deploys the flow "
        "or runs it makes it.",
        default=True,
    )
    force_destroy: bool = attribute(
        "Whether the flow is deleted even while it has deployments. They go with it, and so do "
        "its runs.",
        default=False,
    )
    created: str = attribute("When the flow was made (RFC 3339).", computed=True)


class FlowResource(Resource[Flow, Connection]):
    """Flows never change their names; they are read by id because that needs no escaping."""

    name, model = "flow", Flow
    identity = ("name",)
    import_doc = "the flow's name or its ID"

    def create(self, plan: Flow, key: str) -> Flow:
        if not plan.adopt_existing:
            with suppress(NotFound):
                existing = self.client.send(calls.flows.read_by_name(plan.name))
                raise name_taken("forebay_flow", plan.name, existing.id, plan.name)
        made = self.client.send(calls.flows.create(to_wire(plan, wire.flows.FlowCreate)))
        found = _completed(from_wire(Flow, made), plan)
        body = to_wire(plan, wire.flows.FlowUpdate, since=found)
        if body.model_fields_set:
            try:
                self.client.send(calls.flows.update(made.id, body))
            except ForebayError as error:
                raise Incomplete(found, error) from error
        return completed(plan, lambda: found)

    def read(self, state: Flow) -> Flow | None:
        id = as_uuid(state.id or "")
        call = calls.flows.read(id) if id else calls.flows.read_by_name(state.name)
        try:
            return _completed(from_wire(Flow, self.client.send(call)), state)
        except NotFound:
            return None

    def update(self, plan: Flow, state: Flow) -> Flow:
        body = to_wire(plan, wire.flows.FlowUpdate, since=state)
        if body.model_fields_set:
            self.client.send(calls.flows.update(UUID(state.id), body))
        read = calls.flows.read(UUID(state.id))
        return completed(plan, lambda: from_wire(Flow, self.client.send(read)))

    def delete(self, state: Flow) -> None:
        if not state.force_destroy:
            call = calls.deployments.filter(flow_names=[state.name])
            if named := [deployment.name for deployment in self.client.send(call)]:
                raise Conflict(
                    f'"{state.name}" has deployments: {some_of(named)}. They would be deleted '
                    "with it. Delete them first, or set force_destroy and apply before you "
                    "destroy."
                )
        with suppress(NotFound):
            self.client.send(calls.flows.delete(UUID(state.id)))

    def find(self, text: str) -> Flow:
        if as_uuid(text) is None and NAME.complaint(text):
            raise no_such_id("flow", text, self.import_doc)
        return from_values(Flow, {"id": text} if as_uuid(text) else {"name": text})


def _completed(found: Flow, like: Flow) -> Flow:
    """`found` with what only Terraform knows; an imported flow gets the defaults."""
    found.adopt_existing = True if like.adopt_existing is None else like.adopt_existing
    found.force_destroy = like.force_destroy or False
    return found
