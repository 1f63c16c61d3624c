"""HTTP of block types and block schemas: parse, call, return."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response
from sqlalchemy import true

from forebay.wire.base import Lenient
from forebay.wire.blocks import (
    BlockSchema,
    BlockSchemaCreate,
    BlockType,
    BlockTypeCreate,
    BlockTypeUpdate,
)
from forebay_server.blocks import builtin, queries
from forebay_server.blocks.filters import BlockSchemaFilter, BlockTypeFilter
from forebay_server.blocks.tables import block_schemas, block_types
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset

router = api_router("Blocks")


class BlockTypeQuery(Lenient):
    """Which types; by name."""

    block_types: BlockTypeFilter | None = None
    block_schemas: BlockSchemaFilter | None = None
    limit: int | None = None
    offset: int | None = None


class BlockSchemaQuery(Lenient):
    """Which schemas; the newest first."""

    block_schemas: BlockSchemaFilter | None = None
    limit: int | None = None
    offset: int | None = None


@router.post("/block_types/", status_code=201, dependencies=[CREATES])
async def create_block_type(body: BlockTypeCreate, db: Write) -> BlockType:
    """Create a block type."""
    return BlockType.model_validate(await queries.create_type(db, body))


@router.post("/block_types/filter")
async def filter_block_types(db: Read, body: BlockTypeQuery | None = None) -> list[BlockType]:
    """Block types by name, at most 200 a page."""
    query = body or BlockTypeQuery()
    rows = await queries.filter_types(
        db,
        query.block_types.condition() if query.block_types else true(),
        query.block_schemas.condition() if query.block_schemas else None,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return [BlockType.model_validate(row) for row in rows]


@router.post("/block_types/install_system_block_types")
async def install_block_types(db: Write) -> None:
    """Make the block types that belong to the server, where they were deleted."""
    await builtin.register(db)


@router.get("/block_types/slug/{slug}")
async def read_block_type_by_slug(slug: PathName, db: Read) -> BlockType:
    """Read a block type by slug."""
    return BlockType.model_validate(await queries.read_type(db, queries.has_slug(slug)))


@router.get("/block_types/{id:uuid}")
async def read_block_type(id: UUID, db: Read) -> BlockType:
    """Read a block type by id."""
    return BlockType.model_validate(await queries.read_type(db, block_types.c.id == id))


@router.patch("/block_types/{id:uuid}", status_code=204)
async def update_block_type(id: UUID, body: BlockTypeUpdate, db: Write) -> None:
    """Change the fields that are present."""
    await queries.update_type(db, id, body)


@router.delete("/block_types/{id:uuid}", status_code=204)
async def delete_block_type(id: UUID, db: Write) -> None:
    """Delete a block type with its schemas and blocks."""
    await queries.delete_type(db, id)


@router.post(
    "/block_schemas/",
    status_code=201,
    dependencies=[CREATES],
    responses={200: {"model": BlockSchema}},
)
async def create_block_schema(
    body: BlockSchemaCreate, response: Response, db: Write
) -> BlockSchema:
    """Create a block schema; one with the same fields and version is answered with 200."""
    row, is_new = await queries.create_schema(db, body)
    response.status_code = 201 if is_new else 200
    return queries.to_schema(row)


@router.post("/block_schemas/filter")
async def filter_block_schemas(
    db: Read, body: BlockSchemaQuery | None = None
) -> list[BlockSchema]:
    """Block schemas, the newest first, at most 200 a page."""
    query = body or BlockSchemaQuery()
    condition = query.block_schemas.condition() if query.block_schemas else true()
    limit, offset = page_limit(query.limit), page_offset(query.offset)
    return [
        queries.to_schema(r) for r in await queries.filter_schemas(db, condition, limit, offset)
    ]


@router.get("/block_schemas/checksum/{checksum}")
async def read_block_schema_by_checksum(
    checksum: PathName, db: Read, version: Annotated[str | None, Query()] = None
) -> BlockSchema:
    """Read the newest block schema of a checksum, or the one of a version."""
    condition = block_schemas.c.checksum == checksum
    if version is not None:
        condition = condition & (block_schemas.c.version == version)
    return queries.to_schema(await queries.read_schema(db, condition))


@router.get("/block_schemas/{id:uuid}")
async def read_block_schema(id: UUID, db: Read) -> BlockSchema:
    """Read a block schema by id."""
    return queries.to_schema(await queries.read_schema(db, block_schemas.c.id == id))


@router.delete("/block_schemas/{id:uuid}", status_code=204)
async def delete_block_schema(id: UUID, db: Write) -> None:
    """Delete a block schema with its blocks."""
    await queries.delete_schema(db, id)


@router.get("/block_capabilities/")
async def list_block_capabilities(db: Read) -> list[str]:
    """Every capability that a block schema has."""
    return await queries.capabilities(db)
