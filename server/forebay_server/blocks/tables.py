"""The tables of block types, block schemas and block documents."""

from typing import Any
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from forebay_server.db.columns import Row, json_list, json_object, table


class BlockTypeRow(Row, table=True):
    """A kind of block."""

    __tablename__ = "block_type"

    name: str = Field(max_length=255)
    slug: str = Field(max_length=255, unique=True)
    logo_url: str | None = None
    documentation_url: str | None = None
    description: str | None = None
    code_example: str | None = None
    is_protected: bool = False


class BlockSchemaRow(Row, table=True):
    """What the blocks of a type hold; a type's schemas differ as its code did over time."""

    __tablename__ = "block_schema"
    __table_args__ = (UniqueConstraint("checksum", "version", "block_type_id"),)

    checksum: str = Field(max_length=80)
    fields_: dict[str, Any] = json_object()  # `fields` is a name of Pydantic's own
    capabilities: list[str] = json_list()
    version: str = Field(max_length=255)
    block_type_id: UUID = Field(foreign_key="block_type.id", ondelete="CASCADE", index=True)


class BlockDocumentRow(Row, table=True):
    """A block. `data` holds null in place of each secret, which is in `secrets`, encrypted."""

    __tablename__ = "block_document"
    __table_args__ = (UniqueConstraint("block_type_id", "name"),)

    name: str | None = Field(default=None, max_length=255)
    data: dict[str, Any] = json_object()
    secrets: dict[str, str] = json_object()  # by place in `data`, a JSON list of keys
    data_key: str | None = None  # of the secrets, itself encrypted
    is_anonymous: bool = False
    block_type_id: UUID = Field(foreign_key="block_type.id", ondelete="CASCADE")
    block_schema_id: UUID = Field(foreign_key="block_schema.id", ondelete="CASCADE", index=True)


block_types = table(BlockTypeRow)
block_schemas = table(BlockSchemaRow)
block_documents = table(BlockDocumentRow)
