"""Tokens that carry all that the next page of events needs, so that the server keeps nothing.

They are not signed: whoever makes one up gets what a filter of their own would get them.
"""

import base64
import zlib
from typing import Annotated
from uuid import UUID

from pydantic import Field

from forebay.wire.base import MAX_INT, Lenient, Timestamp
from forebay_server.errors import Invalid
from forebay_server.events.filters import EventFilter

MAX_CHARACTERS = 8_000  # so that it fits in an address
MAX_BYTES = 1 << 20  # of what is packed in it


class PageToken(Lenient):
    """Which page comes next: of which filter, how large, after which event, of how many."""

    filter: EventFilter
    limit: Annotated[int, Field(ge=1, le=200)]
    beyond: tuple[Timestamp, UUID]
    total: Annotated[int, Field(ge=0, le=MAX_INT)]


def encode(token: PageToken) -> str:
    """The token as text for an address. Raises `Invalid` when its filter is too long for that."""
    packed = zlib.compress(token.model_dump_json(exclude_none=True).encode())
    text = base64.urlsafe_b64encode(packed).decode()
    if len(text) > MAX_CHARACTERS:
        raise Invalid(
            "The filter is too long to go on with page by page: ask with fewer values, or for "
            "all that it finds at once."
        )
    return text


def decode(text: str) -> PageToken:
    """What `encode` was given. Raises `Invalid`."""
    try:
        packed = base64.b64decode(text, altchars=b"-_", validate=True)
        return PageToken.model_validate_json(zlib.decompressobj().decompress(packed, MAX_BYTES))
    except (ValueError, zlib.error):
        raise Invalid("Invalid page-token: take the address that an answer names.") from None
