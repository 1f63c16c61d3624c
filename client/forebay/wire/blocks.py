"""Block types, schemas and documents on the wire. Source: Prefect 3.8.4 `Block…`."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from forebay.wire.base import Action, JsonObject, Name, Object, Text

MASK = "********"  # stands for a secret that is there and not told
UNVERSIONED = "non-versioned"

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=255)]


class _TypeDescription(Action):
    logo_url: Text | None = Field(default=None, max_length=2048)
    documentation_url: Text | None = Field(default=None, max_length=2048)
    description: Text | None = None
    code_example: Text | None = None


class BlockTypeCreate(_TypeDescription):
    """What a caller may set on a new block type."""

    name: Name
    slug: Slug = Field(description="Name in paths, unique in the server.")


class BlockTypeUpdate(_TypeDescription):
    """The keys that are present are changed."""


class BlockType(Object):
    """A block type as the API answers it."""

    name: str
    slug: str
    logo_url: str | None = None
    documentation_url: str | None = None
    description: str | None = None
    code_example: str | None = None
    is_protected: bool = False


class BlockSchemaCreate(Action):
    """What a block of a type holds; the same fields make the same schema."""

    fields: JsonObject = Field(
        default_factory=dict,
        description="JSON schema of the data; `secret_fields` lists what is never shown.",
    )
    block_type_id: UUID
    capabilities: list[Text] = Field(default_factory=list, max_length=100)
    version: Text = Field(default=UNVERSIONED, max_length=255)


class BlockSchema(Object):
    """A block schema as the API answers it."""

    checksum: str
    fields: dict[str, Any] = Field(default_factory=dict)
    block_type_id: UUID
    block_type: BlockType | None = None
    capabilities: list[str] = Field(default_factory=list)
    version: str = UNVERSIONED


class BlockDocumentCreate(Action):
    """A new block; it has a name unless it is anonymous."""

    name: Name | None = Field(default=None, description="Name, unique in its type.")
    data: JsonObject = Field(
        default_factory=dict,
        description='Values by field; `{"$ref": {"block_document_id": …}}` is another block.',
    )
    block_schema_id: UUID
    block_type_id: UUID
    is_anonymous: bool = False


class BlockDocumentUpdate(Action):
    """New data, merged with what is there unless it is said otherwise."""

    block_schema_id: UUID | None = None
    data: JsonObject = Field(
        default_factory=dict, description="A secret given as its mask stays what it is."
    )
    merge_existing_data: bool = True


class BlockDocument(Object):
    """A block as the API answers it, with the data of the blocks that it refers to."""

    name: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
    block_schema_id: UUID
    block_schema: BlockSchema | None = None
    block_type_id: UUID
    block_type_name: str | None = None
    block_type: BlockType | None = None
    block_document_references: dict[str, Any] = Field(default_factory=dict)
    is_anonymous: bool = False
