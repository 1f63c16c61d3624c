"""`forebay_variable`: the declaration of a variable and its four verbs."""

from contextlib import suppress
from typing import Any
from uuid import UUID

from forebay.errors import Conflict, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.resource import Resource
from forebay_provider.mapping import completed, from_wire, to_wire
from forebay_provider.names import NAME, as_uuid, name_taken, no_such_id


@model
class Variable:
    """A named value that flows and job templates can read. It is no place for secrets."""

    id: str = attribute("ID (UUID) of the variable.", computed=True)
    name: str = attribute(
        "Name, unique in the server. It can be changed in place.", checks=(NAME,)
    )
    value: Any = attribute(
        "Any value: a string, a number, a bool, a list or an object. Compared by what it is as "
        "JSON.",
        default=None,
    )
    tags: set[str] = attribute("Tags.", default=[])
    created: str = attribute("When the variable was made (RFC 3339).", computed=True)


class VariableResource(Resource[Variable, Connection]):
    """Variables are followed by id, because a name can be changed by anybody."""

    name, model = "variable", Variable
    identity = ("name",)
    import_doc = "the variable's name or its ID"

    def create(self, plan: Variable, key: str) -> Variable:
        body = to_wire(plan, wire.variables.VariableCreate)
        try:
            made = self.client.send(calls.variables.create(body, idempotency_key=key))
        except Conflict:
            existing = self.client.send(calls.variables.read_by_name(plan.name))
            raise name_taken("forebay_variable", plan.name, existing.id, plan.name) from None
        return from_wire(Variable, made)

    def read(self, state: Variable) -> Variable | None:
        id = as_uuid(state.id or "")
        call = calls.variables.read(id) if id else calls.variables.read_by_name(state.name)
        try:
            return from_wire(Variable, self.client.send(call))
        except NotFound:
            return None

    def update(self, plan: Variable, state: Variable) -> Variable:
        body = to_wire(plan, wire.variables.VariableUpdate, since=state)
        self.client.send(calls.variables.update(UUID(state.id), body))
        read = calls.variables.read(UUID(state.id))
        return completed(plan, lambda: from_wire(Variable, self.client.send(read)))

    def delete(self, state: Variable) -> None:
        with suppress(NotFound):
            self.client.send(calls.variables.delete(UUID(state.id)))

    def find(self, text: str) -> Variable:
        if as_uuid(text) is None and NAME.complaint(text):
            raise no_such_id("variable", text, self.import_doc)
        return from_values(Variable, {"id": text} if as_uuid(text) else {"name": text})
