"""What block types, schemas and documents can be filtered by."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from pydantic import Field
from sqlalchemy import UnaryExpression, and_, true

from forebay.wire.base import Text
from forebay_server.blocks.tables import block_documents, block_schemas, block_types
from forebay_server.db.criteria import (
    Condition,
    Criteria,
    Filter,
    IdCriteria,
    NameCriteria,
    Texts,
    has_item,
)


class LikeCriteria(Criteria):
    """What a name contains, in any case."""

    like_: Text | None = None


class TextCriteria(Criteria):
    """Which texts."""

    any_: Texts | None = None


class CapabilityCriteria(Criteria):
    """Which capabilities, all of them."""

    all_: Texts | None = None


class AnonymousCriteria(Criteria):
    """Whether blocks are anonymous."""

    eq_: bool | None = None


class BlockTypeFilter(Criteria):
    """Source: Prefect 3.8.4 `BlockTypeFilter`."""

    name: LikeCriteria | None = None
    slug: TextCriteria | None = None

    def condition(self) -> Condition:
        """What a row of block types must fulfil."""
        return and_(true(), *self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.name is not None and self.name.like_ is not None:
            yield block_types.c.name.icontains(self.name.like_, autoescape=True)
        if self.slug is not None and self.slug.any_ is not None:
            yield block_types.c.slug.in_(self.slug.any_)


class BlockSchemaFilter(Filter):
    """Source: Prefect 3.8.4 `BlockSchemaFilter`."""

    block_type_id: IdCriteria | None = None
    block_capabilities: CapabilityCriteria | None = None
    id: IdCriteria | None = None
    version: TextCriteria | None = None

    def condition(self) -> Condition:
        """What a row of block schemas must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.block_type_id is not None:
            yield from self.block_type_id.conditions(block_schemas.c.block_type_id)
        if self.block_capabilities is not None and self.block_capabilities.all_ is not None:
            held = block_schemas.c.capabilities
            yield and_(true(), *(has_item(held, c) for c in self.block_capabilities.all_))
        if self.id is not None:
            yield from self.id.conditions(block_schemas.c.id)
        if self.version is not None and self.version.any_ is not None:
            yield block_schemas.c.version.in_(self.version.any_)


class BlockDocumentFilter(Filter):
    """Source: Prefect 3.8.4 `BlockDocumentFilter`: anonymous blocks only when asked for."""

    id: IdCriteria | None = None
    is_anonymous: AnonymousCriteria | None = Field(
        default_factory=lambda: AnonymousCriteria(eq_=False)
    )
    block_type_id: IdCriteria | None = None
    name: NameCriteria | None = None

    def condition(self) -> Condition:
        """What a row of block documents must fulfil."""
        return self.joined(self._conditions())

    def _conditions(self) -> Iterator[Condition]:
        if self.id is not None:
            yield from self.id.conditions(block_documents.c.id)
        if self.is_anonymous is not None and self.is_anonymous.eq_ is not None:
            yield block_documents.c.is_anonymous.is_(self.is_anonymous.eq_)
        if self.block_type_id is not None:
            yield from self.block_type_id.conditions(block_documents.c.block_type_id)
        if self.name is not None:
            yield from self.name.conditions(block_documents.c.name)


class BlockDocumentSort(StrEnum):
    """The orders of blocks; equal ones stand in order of id."""

    NAME_DESC = "NAME_DESC"
    NAME_ASC = "NAME_ASC"
    BLOCK_TYPE_AND_NAME_ASC = "BLOCK_TYPE_AND_NAME_ASC"

    def columns(self) -> tuple[UnaryExpression[Any], ...]:
        """A total order, of documents joined with their types."""
        name, id = block_documents.c.name, block_documents.c.id.asc()
        if self is BlockDocumentSort.NAME_DESC:
            return (name.desc(), id)
        if self is BlockDocumentSort.NAME_ASC:
            return (name.asc(), id)
        return (block_types.c.name.asc(), name.asc(), id)
