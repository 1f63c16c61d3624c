"""A server on the wire: a Forebay extension."""

from uuid import UUID

from pydantic import BaseModel, Field


class ServerInfo(BaseModel):
    """Which server it is."""

    id: UUID = Field(description="The id that its database was given; it never changes.")
    version: str = Field(description="Forebay's version.")
