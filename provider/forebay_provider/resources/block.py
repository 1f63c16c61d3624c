"""`forebay_block`: the declaration of a block, with data or write-only data, and its four verbs."""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import UUID

from forebay.errors import Conflict, FieldProblem, Invalid, NotFound
from forebay_provider.api import calls, wire
from forebay_provider.connection import Connection
from forebay_provider.framework.checks import at_least
from forebay_provider.framework.declarations import JsonText, attribute, from_values, model
from forebay_provider.framework.diagnostics import Diagnostic
from forebay_provider.framework.resource import Resource
from forebay_provider.mapping import json_text
from forebay_provider.names import NAME, as_uuid, name_taken, no_such_id
from forebay_provider.resources.deployment_model import JSON_OBJECT

if TYPE_CHECKING:
    import forebay.wire.blocks


@model
class Block:
    """A block: configuration and credentials under a name. Secrets belong into `data_wo`."""

    id: str = attribute("ID (UUID) of the block.", computed=True)
    name: str = attribute("Name, unique in its type.", replace=True, checks=(NAME,))
    type_slug: str = attribute(
        "Type of the block, for example `secret` or `aws-credentials`.",
        replace=True,
        checks=(NAME,),
    )
    data: JsonText | None = attribute(
        "Values by field as a JSON object. They are kept in the state; `data_wo` is not.",
        default=None,
        sensitive=True,
        checks=(JSON_OBJECT,),
    )
    data_wo: JsonText | None = attribute(
        "The same, and never kept in plan or state: it is sent when the block is made and when "
        "`data_wo_version` changes.",
        default=None,
        sensitive=True,
        write_only=True,
        checks=(JSON_OBJECT,),
    )
    data_wo_version: int | None = attribute(
        "Raise it to send `data_wo` again.", default=None, checks=(at_least(0),)
    )
    created: str = attribute("When the block was made (RFC 3339).", computed=True)


class BlockResource(Resource[Block, Connection]):
    """Blocks are addressed by id; the type's newest schema is the one they are checked by."""

    name, model = "block", Block
    identity = ("type_slug", "name")
    import_doc = "`TYPE/NAME` or the block's ID"

    @staticmethod
    def check(config: Block) -> Iterable[Diagnostic]:
        if config.data is not None and config.data_wo is not None:
            yield Diagnostic("Two kinds of data", "Set data or data_wo, not both.", ("data",))
        if config.data_wo_version is not None and config.data_wo is None:
            yield Diagnostic(
                "A version without its data",
                "data_wo_version needs data_wo.",
                ("data_wo_version",),
            )

    def create(self, plan: Block, key: str) -> Block:
        try:
            type = self.client.send(calls.blocks.read_type(plan.type_slug))
        except NotFound:
            problem = FieldProblem(("type_slug",), f'there is no block type "{plan.type_slug}"')
            raise Invalid(problem.message, problems=(problem,)) from None
        schemas = self.client.send(calls.blocks.filter_schemas(type.id))
        if not schemas:
            problem = FieldProblem(("type_slug",), "the block type has no schema yet")
            raise Invalid(problem.message, problems=(problem,))
        body = wire.blocks.BlockDocumentCreate(
            name=plan.name,
            data=json.loads(plan.data_wo or plan.data or "{}"),
            block_schema_id=schemas[0].id,
            block_type_id=type.id,
        )
        try:
            made = self.client.send(calls.blocks.create(body, idempotency_key=key))
        except Conflict:
            existing = self.client.send(calls.blocks.read_by_name(plan.type_slug, plan.name))
            path = f"{plan.type_slug}/{plan.name}"
            raise name_taken("forebay_block", plan.name, existing.id, path) from None
        plan.id, plan.created = str(made.id), made.model_dump(mode="json")["created"]
        return plan

    def read(self, state: Block) -> Block | None:
        id = as_uuid(state.id or "")
        by_name = calls.blocks.read_by_name
        # What is not in the state needs no secret to be told.
        shown = state.data is not None
        call = (
            calls.blocks.read(id, include_secrets=shown)
            if id
            else by_name(state.type_slug, state.name)
        )
        try:
            return _found(self.client.send(call), state)
        except NotFound:
            return None

    def update(self, plan: Block, state: Block) -> Block:
        # Write-only data cannot be compared, so its version says whether it is another.
        is_other = plan.data_wo is not None and plan.data_wo_version != state.data_wo_version
        if is_other or plan.data != state.data:
            body = wire.blocks.BlockDocumentUpdate(
                data=json.loads(plan.data_wo or plan.data or "{}"), merge_existing_data=False
            )
            self.client.send(calls.blocks.update(UUID(state.id), body))
        return plan

    def delete(self, state: Block) -> None:
        with suppress(NotFound):
            self.client.send(calls.blocks.delete(UUID(state.id)))

    def find(self, text: str) -> Block:
        if as_uuid(text) is not None:
            return from_values(Block, {"id": text})
        slug, _, name = text.partition("/")
        if NAME.complaint(slug) or NAME.complaint(name):
            raise no_such_id("block", text, self.import_doc)
        return from_values(Block, {"type_slug": slug, "name": name})


def _found(answer: "forebay.wire.blocks.BlockDocument", like: Block) -> Block:
    """The block as it is; its data only where the state has data to compare."""
    values = answer.model_dump(mode="json")
    slug = answer.block_type.slug if answer.block_type else like.type_slug
    return from_values(
        Block,
        {
            **{name: values[name] for name in ("id", "name", "created")},
            "type_slug": slug,
            "data": None if like.data is None else JsonText(json_text(_as_written(values))),
            "data_wo_version": like.data_wo_version,
        },
    )


def _as_written(document: dict[str, Any]) -> dict[str, Any]:
    """A block's data with references where the API puts the data of the block referred to."""
    references = {
        field: {"$ref": {"block_document_id": found["block_document"]["id"]}}
        for field, found in document["block_document_references"].items()
    }
    return {**document["data"], **references}
