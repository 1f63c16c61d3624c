"""Block documents: storing their data with its secrets sealed, and reading it together again."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, Select, func, select

from forebay.wire.blocks import (
    MASK,
    BlockDocument,
    BlockDocumentCreate,
    BlockDocumentUpdate,
    BlockSchema,
)
from forebay_server.blocks import schemas
from forebay_server.blocks.filters import BlockDocumentSort
from forebay_server.blocks.queries import (
    TYPE_PREFIX,
    read_schema,
    to_type,
    type_columns,
)
from forebay_server.blocks.tables import (
    BlockDocumentRow,
    block_documents,
    block_schemas,
    block_types,
)
from forebay_server.blocks.vault import Sealed, Vault
from forebay_server.db.columns import new_id
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.db.inserts import insert_new
from forebay_server.errors import Conflict, Invalid, NotFound

MAX_DEPTH = 8  # of blocks that refer to blocks

_schema_columns = tuple(column.label(f"schema_{column.name}") for column in block_schemas.c)

Data = dict[str, Any]


def _references(data: Data) -> dict[str, UUID]:
    """The blocks that the fields of a block refer to."""
    found = {field: schemas.referred_id(value) for field, value in data.items()}
    return {field: id for field, id in found.items() if id is not None}


def _documents() -> Select[Any]:
    """Blocks with their schemas and types."""
    return (
        select(block_documents, *_schema_columns, *type_columns)
        .join(block_types, block_types.c.id == block_documents.c.block_type_id)
        .join(block_schemas, block_schemas.c.id == block_documents.c.block_schema_id)
    )


# ------------------------------------------------------------------------------------- writing


async def create(db: Transaction, vault: Vault, body: BlockDocumentCreate) -> UUID:
    """Store a block; its id. Raises `Invalid`, `NotFound`, and `Conflict` on a taken name."""
    if body.name is None and not body.is_anonymous:
        raise Invalid("A block that is not anonymous needs a name.")
    schema = await _schema_of(db, body.block_schema_id, body.block_type_id)
    id, at = new_id(), await db.now()
    await _check_references(db, id, body.data)
    row = BlockDocumentRow(
        id=id,
        created=at,
        updated=at,
        name=body.name,
        is_anonymous=body.is_anonymous,
        block_type_id=body.block_type_id,
        block_schema_id=body.block_schema_id,
        **_sealed(vault, id, schema.fields_, body.data),
    )
    if not await insert_new(db, block_documents, row.model_dump()):
        same = (block_documents.c.block_type_id == body.block_type_id,)
        has_name = block_documents.c.name == body.name
        existing = await db.scalar(select(block_documents.c.id).where(*same, has_name))
        raise Conflict(
            f'A block named "{body.name}" exists already in this type.', existing_id=str(existing)
        )
    return id


async def update(db: Transaction, vault: Vault, id: UUID, body: BlockDocumentUpdate) -> None:
    """Change a block's data. Raises `NotFound`, `Invalid`, `Conflict`.

    A secret that is given as its mask stays what it was, so what was read can be sent back.
    """
    locked = select(block_documents).where(block_documents.c.id == id).with_for_update()
    row = await db.row(locked)
    if row is None:
        raise NotFound("Block document not found.")
    schema = await _schema_of(db, body.block_schema_id or row.block_schema_id, row.block_type_id)
    data = {**row.data, **body.data} if body.merge_existing_data else body.data
    await _check_references(db, id, body.data)
    kept = [
        path
        for path in schemas.secret_paths(schema.fields_, _without_references(body.data))
        if schemas.read_at(body.data, path) == MASK
    ]
    old: dict[schemas.Path, Any] = {}
    if row.data_key is not None and (body.merge_existing_data or kept):
        old = vault.open(id, Sealed(row.data_key, row.secrets))
    if body.merge_existing_data:
        untouched = {path: secret for path, secret in old.items() if path[0] not in body.data}
        data = schemas.replaced(data, untouched)
    data = schemas.replaced(data, {path: old[path] for path in kept if path in old})
    change = sa.update(block_documents).where(block_documents.c.id == id)
    values = _sealed(vault, id, schema.fields_, data)
    await db.execute(change.values(**values, block_schema_id=schema.id, updated=await db.now()))


def _sealed(vault: Vault, id: UUID, fields: schemas.Fields, data: Data) -> dict[str, Any]:
    """The columns that hold `data`."""
    places = schemas.secret_paths(fields, _without_references(data))
    sealed = vault.seal(id, {place: schemas.read_at(data, place) for place in places})
    bare = schemas.replaced(data, dict.fromkeys(places))
    return {"data": bare, "secrets": sealed.secrets, "data_key": sealed.data_key}


def _without_references(data: Data) -> Data:
    """The fields that hold values of their own: which block another one is, is no secret."""
    references = _references(data)
    return {field: value for field, value in data.items() if field not in references}


async def _schema_of(db: Transaction, schema_id: UUID, type_id: UUID) -> Row[Any]:
    row = await read_schema(db, block_schemas.c.id == schema_id)
    if row.block_type_id != type_id:
        raise Invalid("block_schema_id is a schema of another block type than block_type_id.")
    return row


async def _check_references(db: Transaction, id: UUID, data: Data) -> None:
    """Raise `NotFound` for a reference to nothing, `Invalid` for one that comes back to `id`."""
    level = set(_references(data).values())
    for depth in range(MAX_DEPTH):
        if id in level:
            raise Invalid("A block must not refer to itself, whether directly or through others.")
        if not level:
            return
        statement = select(block_documents.c.id, block_documents.c.data)
        rows = await db.rows(statement.where(block_documents.c.id.in_(level)))
        missing = level - {row.id for row in rows}
        if missing and depth == 0:
            raise NotFound(f"Block document {min(missing)} not found; another refers to it.")
        level = {found for row in rows for found in _references(row.data).values()}
    raise Invalid(f"Blocks refer to blocks more than {MAX_DEPTH} deep.")


async def delete(db: Transaction, id: UUID) -> None:
    """Delete a block; what refers to it gets null in its place. Raises `NotFound`."""
    statement = sa.delete(block_documents).where(block_documents.c.id == id)
    if not (await db.execute(statement)).rowcount:
        raise NotFound("Block document not found.")


# ------------------------------------------------------------------------------------- reading


async def read(
    db: Transaction, vault: Vault, condition: Condition, *, include_secrets: bool
) -> BlockDocument:
    """The one block that fulfils `condition`. Raises `NotFound`."""
    row = await db.row(_documents().where(condition))
    if row is None:
        raise NotFound("Block document not found.")
    return (await _to_wire(db, vault, [row], include_secrets=include_secrets))[0]


async def filter(
    db: Transaction,
    vault: Vault,
    condition: Condition,
    sort: BlockDocumentSort,
    limit: int,
    offset: int,
    *,
    include_secrets: bool,
) -> list[BlockDocument]:
    """Blocks, joined with their schemas and types, that fulfil `condition`, in a total order."""
    statement = _documents().where(condition).order_by(*sort.columns())
    rows = await db.rows(statement.limit(limit).offset(offset))
    return await _to_wire(db, vault, rows, include_secrets=include_secrets)


async def existing(db: Transaction, ids: Collection[UUID]) -> set[UUID]:
    """Those of `ids` that are blocks."""
    if not ids:
        return set()
    statement = select(block_documents.c.id).where(block_documents.c.id.in_(ids))
    return {row.id for row in await db.rows(statement)}


async def count(db: Transaction, condition: Condition) -> int:
    """How many blocks fulfil `condition`."""
    statement = _documents().with_only_columns(func.count()).where(condition)
    return int(await db.scalar(statement))


async def _to_wire(
    db: Transaction, vault: Vault, rows: Sequence[Row[Any]], *, include_secrets: bool
) -> list[BlockDocument]:
    """Blocks as the API answers them, with the data of those that they refer to."""
    known = {row.id: row for row in rows}
    level = {id for row in rows for id in _references(row.data).values()}
    for _ in range(MAX_DEPTH):
        if not (level := level - known.keys()):
            break
        found = await db.rows(_documents().where(block_documents.c.id.in_(level)))
        known |= {row.id: row for row in found}
        level = {id for row in found for id in _references(row.data).values()}
    reader = _Reader(vault, known, include_secrets=include_secrets)
    return [reader.document(row) for row in rows]


class _Reader:
    """Puts blocks together that have been read."""

    def __init__(
        self, vault: Vault, known: Mapping[UUID, Row[Any]], *, include_secrets: bool
    ) -> None:
        self._vault = vault
        self._known = known
        self._include_secrets = include_secrets

    def document(self, row: Row[Any]) -> BlockDocument:
        data, references = self._resolved(row, 0)
        return BlockDocument(
            id=row.id,
            created=row.created,
            updated=row.updated,
            name=row.name,
            data=data,
            block_schema_id=row.block_schema_id,
            block_schema=_schema(row),
            block_type_id=row.block_type_id,
            block_type_name=row._mapping[f"{TYPE_PREFIX}name"],
            block_type=to_type(row),
            block_document_references=references,
            is_anonymous=row.is_anonymous,
        )

    def _resolved(self, row: Row[Any], depth: int) -> tuple[Data, dict[str, Any]]:
        """The data of a block and a description of the blocks in it, by field."""
        data = self._data(row)
        described: dict[str, Any] = {}
        for field, id in _references(row.data).items():
            inner = self._known.get(id)
            if inner is None or depth >= MAX_DEPTH:
                data[field] = None  # it was deleted
                continue
            data[field], inside = self._resolved(inner, depth + 1)
            described[field] = {
                "block_document": {
                    "id": str(inner.id),
                    "name": inner.name,
                    "block_type": to_type(inner).model_dump(mode="json"),
                    "is_anonymous": inner.is_anonymous,
                    "block_document_references": inside,
                }
            }
        return data, described

    def _data(self, row: Row[Any]) -> Data:
        if self._include_secrets:
            values = self._vault.open(row.id, Sealed(row.data_key, row.secrets))
        else:
            values = dict.fromkeys(schemas.places(row.secrets), MASK)
        found: Data = schemas.replaced(row.data, values)
        return found


def _schema(row: Row[Any]) -> BlockSchema:
    """The schema of a row that has the columns of one."""
    values = row._mapping
    names = [column.name for column in block_schemas.c if column.name != "fields_"]
    own = {name: values[f"schema_{name}"] for name in names}
    return BlockSchema(**own, fields=values["schema_fields_"], block_type=to_type(row))
