"""Statements about block types and block schemas."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, and_, select

from forebay.wire.blocks import (
    BlockSchema,
    BlockSchemaCreate,
    BlockType,
    BlockTypeCreate,
    BlockTypeUpdate,
)
from forebay_server.blocks.schemas import checksum
from forebay_server.blocks.tables import (
    BlockSchemaRow,
    BlockTypeRow,
    block_schemas,
    block_types,
)
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, NotFound

# A schema beside its type: columns of both, those of the type with a prefix.
TYPE_PREFIX = "type_"
type_columns = tuple(column.label(TYPE_PREFIX + column.name) for column in block_types.c)


def has_slug(slug: str) -> Condition:
    """The condition for the type of that slug."""
    return block_types.c.slug == slug


def to_type(row: Row[Any]) -> BlockType:
    """The type of a row that has the columns of one."""
    values = row._mapping
    return BlockType(**{c.name: values[TYPE_PREFIX + c.name] for c in block_types.c})


def to_schema(row: Row[Any]) -> BlockSchema:
    """A schema with its type."""
    return BlockSchema(
        id=row.id,
        created=row.created,
        updated=row.updated,
        checksum=row.checksum,
        fields=row.fields_,
        block_type_id=row.block_type_id,
        block_type=to_type(row),
        capabilities=row.capabilities,
        version=row.version,
    )


async def create_type(db: Transaction, body: BlockTypeCreate) -> BlockTypeRow:
    """Store a block type. Raises `Conflict` with `existing_id` on a taken slug."""
    at = await db.now()
    row = BlockTypeRow(**body.model_dump(), created=at, updated=at)
    if not await insert_new(db, block_types, row.model_dump()):
        existing = await read_type(db, has_slug(body.slug))
        raise Conflict(
            f'A block type with slug "{body.slug}" exists already.', existing_id=str(existing.id)
        )
    return row


async def read_type(db: Transaction, condition: Condition) -> Row[Any]:
    """The one type that fulfils `condition`. Raises `NotFound`."""
    row = await db.row(select(block_types).where(condition))
    if row is None:
        raise NotFound("Block type not found.")
    return row


async def filter_types(
    db: Transaction, types: Condition, schemas: Condition | None, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Types by name that fulfil `types` and have a schema that fulfils `schemas`."""
    statement = select(block_types).where(types)
    if schemas is not None:
        with_one = select(block_schemas.c.block_type_id).where(schemas)
        statement = statement.where(block_types.c.id.in_(with_one))
    order = (block_types.c.name, block_types.c.id)
    return await db.rows(statement.order_by(*order).limit(limit).offset(offset))


async def update_type(db: Transaction, id: UUID, body: BlockTypeUpdate) -> None:
    """Change the fields that are set on `body`. Raises `NotFound`."""
    statement = sa.update(block_types).where(block_types.c.id == id)
    values = body.model_dump(exclude_unset=True)
    result = await db.execute(statement.values(**values, updated=await db.now()))
    if not result.rowcount:
        raise NotFound("Block type not found.")


async def delete_type(db: Transaction, id: UUID) -> None:
    """Delete a type with its schemas and blocks. Raises `NotFound`."""
    if not (await db.execute(sa.delete(block_types).where(block_types.c.id == id))).rowcount:
        raise NotFound("Block type not found.")


async def create_schema(db: Transaction, body: BlockSchemaCreate) -> tuple[Row[Any], bool]:
    """The schema with these fields and that version, and whether it is new.

    Raises `NotFound` without the type.
    """
    await read_type(db, block_types.c.id == body.block_type_id)
    at = await db.now()
    row = BlockSchemaRow(
        checksum=checksum(body.fields),
        fields_=body.fields,
        capabilities=body.capabilities,
        version=body.version,
        block_type_id=body.block_type_id,
        created=at,
        updated=at,
    )
    is_new = await insert_new(db, block_schemas, row.model_dump()) == 1
    same = ("checksum", "version", "block_type_id")
    is_it = and_(*(block_schemas.c[name] == getattr(row, name) for name in same))
    return await read_schema(db, is_it), is_new


async def read_schema(db: Transaction, condition: Condition) -> Row[Any]:
    """The newest schema that fulfils `condition`, with its type. Raises `NotFound`."""
    found = await filter_schemas(db, condition, 1, 0)
    if not found:
        raise NotFound("Block schema not found.")
    return found[0]


async def filter_schemas(
    db: Transaction, condition: Condition, limit: int, offset: int
) -> Sequence[Row[Any]]:
    """Schemas with their types, the newest first."""
    statement = (
        select(block_schemas, *type_columns)
        .join(block_types, block_types.c.id == block_schemas.c.block_type_id)
        .where(condition)
        .order_by(block_schemas.c.created.desc(), block_schemas.c.id.desc())
    )
    return await db.rows(statement.limit(limit).offset(offset))


async def delete_schema(db: Transaction, id: UUID) -> None:
    """Delete a schema with its blocks. Raises `NotFound`."""
    if not (await db.execute(sa.delete(block_schemas).where(block_schemas.c.id == id))).rowcount:
        raise NotFound("Block schema not found.")


async def capabilities(db: Transaction) -> list[str]:
    """Every capability that a schema has, once."""
    rows = await db.rows(select(block_schemas.c.capabilities))
    return sorted({capability for row in rows for capability in row.capabilities})
