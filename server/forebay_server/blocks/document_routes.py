"""HTTP of block documents: parse, call, return."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request
from sqlalchemy import and_, true

from forebay.wire.base import Lenient
from forebay.wire.blocks import BlockDocument, BlockDocumentCreate, BlockDocumentUpdate
from forebay_server.access.roles import WORKERS, Principal
from forebay_server.blocks import documents, queries
from forebay_server.blocks.filters import (
    BlockDocumentFilter,
    BlockDocumentSort,
    BlockSchemaFilter,
    BlockTypeFilter,
)
from forebay_server.blocks.tables import block_documents
from forebay_server.blocks.vault import Vault
from forebay_server.db.criteria import Condition
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset

router = api_router("Blocks")


def the_vault(request: Request) -> Vault:
    """The vault of the application."""
    vault = request.app.state.vault
    assert isinstance(vault, Vault)
    return vault


Secrets = Annotated[Vault, Depends(the_vault)]


def _may_open(request: Request) -> bool:
    """Whether the caller may see secrets: an admin, and a worker what its pool refers to."""
    principal: Principal = request.state.principal
    return principal.role in WORKERS


MayOpen = Annotated[bool, Depends(_may_open)]


class BlockCriteria(Lenient):
    """Which blocks; anonymous ones only when asked for."""

    block_documents: BlockDocumentFilter | None = None
    block_types: BlockTypeFilter | None = None
    block_schemas: BlockSchemaFilter | None = None

    def condition(self) -> Condition:
        """What a block, joined with its schema and type, must fulfil."""
        own = (self.block_documents or BlockDocumentFilter()).condition()
        others = (self.block_types, self.block_schemas)
        return and_(true(), own, *(each.condition() for each in others if each is not None))


class BlockQuery(BlockCriteria):
    """Which blocks, in which order, with or without their secrets."""

    include_secrets: bool | None = None
    sort: BlockDocumentSort | None = None
    limit: int | None = None
    offset: int | None = None


@router.post("/block_documents/", status_code=201, dependencies=[CREATES])
async def create_block(body: BlockDocumentCreate, db: Write, vault: Secrets) -> BlockDocument:
    """Create a block. The answer masks its secrets."""
    id = await documents.create(db, vault, body)
    return await documents.read(db, vault, block_documents.c.id == id, include_secrets=False)


@router.post("/block_documents/filter")
async def filter_blocks(
    db: Read, vault: Secrets, may_open: MayOpen, body: BlockQuery | None = None
) -> list[BlockDocument]:
    """Blocks that fulfil all criteria, at most 200 a page."""
    query = body or BlockQuery()
    return await documents.filter(
        db,
        vault,
        query.condition(),
        query.sort or BlockDocumentSort.NAME_ASC,
        page_limit(query.limit),
        page_offset(query.offset),
        include_secrets=may_open and bool(query.include_secrets),
    )


@router.post("/block_documents/count")
async def count_blocks(db: Read, body: BlockCriteria | None = None) -> int:
    """How many blocks fulfil all criteria."""
    return await documents.count(db, (body or BlockCriteria()).condition())


@router.get("/block_documents/{id:uuid}")
async def read_block(
    id: UUID, db: Read, vault: Secrets, may_open: MayOpen, include_secrets: bool = False
) -> BlockDocument:
    """Read a block by id."""
    is_it = block_documents.c.id == id
    return await documents.read(db, vault, is_it, include_secrets=may_open and include_secrets)


@router.patch("/block_documents/{id:uuid}", status_code=204)
async def update_block(id: UUID, body: BlockDocumentUpdate, db: Write, vault: Secrets) -> None:
    """Change a block's data; a secret that is given as its mask stays what it is."""
    await documents.update(db, vault, id, body)


@router.delete("/block_documents/{id:uuid}", status_code=204)
async def delete_block(id: UUID, db: Write) -> None:
    """Delete a block; what refers to it gets null in its place."""
    await documents.delete(db, id)


@router.get("/block_types/slug/{slug}/block_documents")
async def list_blocks_of_type(
    slug: PathName,
    db: Read,
    vault: Secrets,
    may_open: MayOpen,
    include_secrets: bool = False,
) -> list[BlockDocument]:
    """The named blocks of a type, by name, at most 200."""
    await queries.read_type(db, queries.has_slug(slug))
    return await documents.filter(
        db,
        vault,
        queries.has_slug(slug) & BlockDocumentFilter().condition(),
        BlockDocumentSort.NAME_ASC,
        page_limit(None),
        0,
        include_secrets=may_open and include_secrets,
    )


@router.get("/block_types/slug/{slug}/block_documents/name/{block_document_name}")
async def read_block_by_name(
    slug: PathName,
    block_document_name: PathName,
    db: Read,
    vault: Secrets,
    may_open: MayOpen,
    include_secrets: bool = False,
) -> BlockDocument:
    """Read a block by its type and name."""
    is_it = queries.has_slug(slug) & (block_documents.c.name == block_document_name)
    return await documents.read(db, vault, is_it, include_secrets=may_open and include_secrets)
