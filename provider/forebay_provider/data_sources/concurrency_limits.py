"""The data sources `forebay_global_concurrency_limit` and its plural."""

from collections.abc import Iterable

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.listing import PAGE, chosen, every, one_of_two
from forebay_provider.framework.declarations import attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire
from forebay_provider.names import NAME, UUID_TEXT


@model
class LimitItem:
    """One limit, and how much of it is taken."""

    id: str = attribute("ID (UUID) of the limit.", computed=True)
    name: str = attribute("Name of the limit.", computed=True)
    limit: int = attribute("Most slots taken at once; 0 means none.", computed=True)
    active: bool = attribute("Whether the limit is kept at all.", computed=True)
    active_slots: int = attribute("Slots that are taken now.", computed=True)
    slot_decay_per_second: float = attribute(
        "Slots that become free by time alone.", computed=True
    )
    created: str = attribute("When the limit was made (RFC 3339).", computed=True)


@model
class LimitView:
    """Looks a limit up by name or by id, and tells how much of it is taken."""

    id: str = attribute(
        "ID (UUID) of the limit. Exactly one of `id` and `name` is set.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    name: str = attribute("Name of the limit.", default=None, computed=True, checks=(NAME,))
    limit: int = attribute("Most slots taken at once; 0 means none.", computed=True)
    active: bool = attribute("Whether the limit is kept at all.", computed=True)
    active_slots: int = attribute("Slots that are taken now.", computed=True)
    slot_decay_per_second: float = attribute(
        "Slots that become free by time alone.", computed=True
    )
    created: str = attribute("When the limit was made (RFC 3339).", computed=True)


@model
class LimitsView:
    """Lists the limits. All filters are optional and must all be met."""

    ids: set[str] | None = attribute("Only those with one of these IDs.", default=None)
    names: set[str] | None = attribute("Only those with one of these names.", default=None)
    name_prefix: str | None = attribute("Only those whose name begins so.", default=None)
    global_concurrency_limits: list[LimitItem] = attribute("The limits, by name.", computed=True)


class GlobalConcurrencyLimitDataSource(DataSource[LimitView, Connection]):
    """Fails when there is no such limit."""

    name, model = "global_concurrency_limit", LimitView

    @staticmethod
    def check(config: LimitView) -> Iterable[Diagnostic]:
        return one_of_two(config, "id", "name")

    def read(self, config: LimitView) -> LimitView:
        call = calls.concurrency_limits.read(config.id or config.name)
        return from_wire(LimitView, self.client.send(call))


class GlobalConcurrencyLimitsDataSource(DataSource[LimitsView, Connection]):
    """An empty list is no error."""

    name, model = "global_concurrency_limits", LimitsView

    def read(self, config: LimitsView) -> LimitsView:
        found = every(
            self.client, lambda at: calls.concurrency_limits.filter(limit=PAGE, offset=at)
        )
        config.global_concurrency_limits = [from_wire(LimitItem, f) for f in chosen(found, config)]
        return config
