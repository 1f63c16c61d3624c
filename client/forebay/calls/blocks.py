"""Block types, schemas and documents. Source: Prefect 3.8.4 `/block_…`."""

from typing import Any
from uuid import UUID

from forebay.calls import KEY_HEADER, Call, call, segment
from forebay.wire.blocks import (
    BlockDocument,
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchema,
    BlockSchemaCreate,
    BlockType,
    BlockTypeCreate,
)


def create_type(body: BlockTypeCreate) -> Call[BlockType]:
    """Create a block type. 409 when the slug is taken."""
    return call("POST", "/block_types/", BlockType, body)


def read_type(slug: str) -> Call[BlockType]:
    """One block type by slug."""
    return call("GET", f"/block_types/slug/{segment(slug)}", BlockType)


def filter_types(*, limit: int | None = None, offset: int = 0) -> Call[list[BlockType]]:
    """Block types by name; at most 200 a page."""
    body = {"limit": limit, "offset": offset}
    return call("POST", "/block_types/filter", list[BlockType], body, is_repeatable=True)


def create_schema(body: BlockSchemaCreate) -> Call[BlockSchema]:
    """Create a block schema, or answer the one that has these fields already."""
    return call("POST", "/block_schemas/", BlockSchema, body, is_repeatable=True)


def filter_schemas(type_id: UUID) -> Call[list[BlockSchema]]:
    """The schemas of a type, the newest first."""
    body = {"block_schemas": {"block_type_id": {"any_": [str(type_id)]}}}
    return call("POST", "/block_schemas/filter", list[BlockSchema], body, is_repeatable=True)


def create(
    body: BlockDocumentCreate, *, idempotency_key: str | None = None
) -> Call[BlockDocument]:
    """Create a block. 409 when its type has one of that name."""
    headers = {KEY_HEADER: idempotency_key} if idempotency_key else None
    return call("POST", "/block_documents/", BlockDocument, body, headers=headers)


def read(id: UUID, *, include_secrets: bool = False) -> Call[BlockDocument]:
    """One block by id; secrets are masked unless asked for."""
    return call("GET", f"/block_documents/{id}{_query(include_secrets)}", BlockDocument)


def read_by_name(
    type_slug: str, name: str, *, include_secrets: bool = False
) -> Call[BlockDocument]:
    """One block by its type and name."""
    path = f"/block_types/slug/{segment(type_slug)}/block_documents/name/{segment(name)}"
    return call("GET", path + _query(include_secrets), BlockDocument)


def update(id: UUID, body: BlockDocumentUpdate) -> Call[None]:
    """Change a block's data."""
    return call("PATCH", f"/block_documents/{id}", None, body, is_repeatable=True)


def delete(id: UUID) -> Call[None]:
    """Delete a block."""
    return call("DELETE", f"/block_documents/{id}")


def filter(
    *, type_slug: str | None = None, limit: int | None = None, offset: int = 0
) -> Call[list[BlockDocument]]:
    """Blocks by name, of one type or of all; at most 200 a page."""
    body: dict[str, Any] = {"limit": limit, "offset": offset}
    if type_slug is not None:
        body["block_types"] = {"slug": {"any_": [type_slug]}}
    path = "/block_documents/filter"
    return call("POST", path, list[BlockDocument], body, is_repeatable=True)


def _query(include_secrets: bool) -> str:
    return "?include_secrets=true" if include_secrets else ""
