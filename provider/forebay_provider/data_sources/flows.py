"""The data sources `forebay_flow` and `forebay_flows`."""

from collections.abc import Iterable
from uuid import UUID

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.listing import PAGE, chosen, every, one_of_two
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire
from forebay_provider.names import NAME, UUID_TEXT


@model
class FlowItem:
    """One flow of a list."""

    id: str = attribute("ID (UUID) of the flow.", computed=True)
    name: str = attribute("Name of the flow.", computed=True)
    tags: set[str] = attribute("Tags.", computed=True)
    created: str = attribute("When the flow was made (RFC 3339).", computed=True)


@model
class FlowView:
    """Looks a flow up by name or by id."""

    id: str = attribute(
        "ID (UUID) of the flow. Exactly one of `id` and `name` is set.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    name: str = attribute("Name of the flow.", default=None, computed=True, checks=(NAME,))
    tags: set[str] = attribute("Tags.", computed=True)
    created: str = attribute("When the flow was made (RFC 3339).", computed=True)


@model
class FlowsView:
    """Lists flows. All filters are optional and must all be met."""

    ids: set[str] | None = attribute("Only those with one of these IDs.", default=None)
    names: set[str] | None = attribute("Only those with one of these names.", default=None)
    name_prefix: str | None = attribute("Only those whose name begins so.", default=None)
    tags: set[str] | None = attribute("Only those with all of these tags.", default=None)
    flows: list[FlowItem] = attribute("The flows, by name.", computed=True)


class FlowDataSource(DataSource[FlowView, Connection]):
    """Fails when there is no such flow."""

    name, model = "flow", FlowView

    @staticmethod
    def check(config: FlowView) -> Iterable[Diagnostic]:
        return one_of_two(config, "id", "name")

    def read(self, config: FlowView) -> FlowView:
        if config.id is not None:
            call = calls.flows.read(UUID(config.id))
        else:
            call = calls.flows.read_by_name(config.name)
        return from_wire(FlowView, self.client.send(call))


class FlowsDataSource(DataSource[FlowsView, Connection]):
    """An empty list is no error."""

    name, model = "flows", FlowsView

    def read(self, config: FlowsView) -> FlowsView:
        found = every(self.client, lambda at: calls.flows.filter(limit=PAGE, offset=at))
        config.flows = [
            from_wire(FlowItem, flow)
            for flow in chosen(found, config)
            if set(config.tags or ()) <= set(flow.tags)
        ]
        return config
