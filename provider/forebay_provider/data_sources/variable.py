"""The data source `forebay_variable`."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.listing import one_of_two
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire
from forebay_provider.names import NAME, UUID_TEXT


@model
class VariableView:
    """Looks a variable up by name or by id."""

    id: str = attribute(
        "ID (UUID) of the variable. Exactly one of `id` and `name` is set.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    name: str = attribute("Name of the variable.", default=None, computed=True, checks=(NAME,))
    value: Any = attribute("Its value, of whichever type it is.", computed=True)
    tags: set[str] = attribute("Tags.", computed=True)
    created: str = attribute("When the variable was made (RFC 3339).", computed=True)


class VariableDataSource(DataSource[VariableView, Connection]):
    """Fails when there is no such variable."""

    name, model = "variable", VariableView

    @staticmethod
    def check(config: VariableView) -> Iterable[Diagnostic]:
        return one_of_two(config, "id", "name")

    def read(self, config: VariableView) -> VariableView:
        if config.id is not None:
            call = calls.variables.read(UUID(config.id))
        else:
            call = calls.variables.read_by_name(config.name)
        return from_wire(VariableView, self.client.send(call))
