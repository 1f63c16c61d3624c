"""The data source `forebay_block`."""

from collections.abc import Iterable
from uuid import UUID

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.data_sources.listing import one_of_two
from forebay_provider.framework.declarations import JsonText, attribute, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import DataSource
from forebay_provider.mapping import from_wire
from forebay_provider.names import NAME, UUID_TEXT


@model
class BlockView:
    """Looks a block up by its type and name, or by id. Its data, secrets too, enters the state."""

    id: str = attribute(
        "ID (UUID) of the block. Exactly one of `id` and `name` is set.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    type_slug: str = attribute(
        "Type of the block; goes with `name`.", default=None, computed=True, checks=(NAME,)
    )
    name: str = attribute("Name of the block.", default=None, computed=True, checks=(NAME,))
    data: JsonText = attribute("Values by field as JSON.", computed=True, sensitive=True)
    created: str = attribute("When the block was made (RFC 3339).", computed=True)


class BlockDataSource(DataSource[BlockView, Connection]):
    """Fails when there is no such block."""

    name, model = "block", BlockView

    @staticmethod
    def check(config: BlockView) -> Iterable[Diagnostic]:
        yield from one_of_two(config, "id", "name")
        if config.name is not None and config.type_slug is None:
            text = "name needs type_slug."
            yield Diagnostic("A block without its type", text, ("name",))

    def read(self, config: BlockView) -> BlockView:
        if config.id is not None:
            call = calls.blocks.read(UUID(config.id), include_secrets=True)
        else:
            by_name = calls.blocks.read_by_name
            call = by_name(config.type_slug, config.name, include_secrets=True)
        answer = self.client.send(call)
        found = from_wire(BlockView, answer)
        found.type_slug = answer.block_type.slug if answer.block_type else config.type_slug
        return found
