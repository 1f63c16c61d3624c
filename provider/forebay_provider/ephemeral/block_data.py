"""`forebay_block_data`: what a block holds, its secrets included, for the time of one command."""

from collections.abc import Iterable

from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.framework.declarations import JsonText, attribute, from_values, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.ephemeral import Ephemeral, Opened
from forebay_provider.mapping import json_text
from forebay_provider.names import NAME, UUID_TEXT, as_uuid


@model
class BlockData:
    """The data of a block, with its secrets. It is in no state and in no plan."""

    id: str = attribute(
        "ID (UUID) of the block. Either `id` is set, or `type_slug` and `name`.",
        default=None,
        computed=True,
        checks=(UUID_TEXT,),
    )
    type_slug: str = attribute("Slug of the block's type.", default=None, computed=True)
    name: str = attribute("Name of the block.", default=None, computed=True, checks=(NAME,))
    data: JsonText = attribute("What the block holds, as JSON.", computed=True, sensitive=True)


class BlockDataResource(Ephemeral[BlockData, Connection]):
    """Needs no renewal and leaves nothing to close."""

    name, model = "block_data", BlockData

    @staticmethod
    def check(config: BlockData) -> Iterable[Diagnostic]:
        is_named = [part is not None for part in (config.type_slug, config.name)]
        if config.id is None and not all(is_named):
            yield Diagnostic("No block is named", "Set id, or type_slug and name.")
        if config.id is not None and any(is_named):
            yield Diagnostic(
                "The block is named twice", "Set id, or type_slug and name, not both.", ("id",)
            )

    def open(self, config: BlockData) -> Opened[BlockData]:
        id = as_uuid(config.id) if config.id else None
        call = (
            calls.blocks.read(id, include_secrets=True)
            if id
            else calls.blocks.read_by_name(config.type_slug, config.name, include_secrets=True)
        )
        found = self.client.send(call)
        type_slug = found.block_type.slug if found.block_type else None
        values = {
            "id": config.id or str(found.id),
            "type_slug": config.type_slug or type_slug,
            "name": config.name or found.name,
            "data": json_text(found.data),
        }
        return Opened(from_values(BlockData, values))
