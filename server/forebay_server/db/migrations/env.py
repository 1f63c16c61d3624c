"""Alembic's entry point; the connection is handed in by `forebay_server.db.migrate`."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import String
from sqlmodel import SQLModel

import forebay_server.tables  # noqa: F401  (fills the metadata)
from forebay_server.db.columns import Json, UtcDateTime


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Name Forebay's own column types; False leaves the rest to Alembic."""
    if kind == "type" and item is Json:
        return "columns.Json"
    if kind == "type" and isinstance(item, UtcDateTime):
        return "columns.UtcDateTime()"
    if kind == "type" and isinstance(item, String):
        return f"columns.text_type({item.length or ''})"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SQLModel.metadata,
    render_as_batch=True,
    compare_type=True,
    render_item=render_item,
)
with context.begin_transaction():
    context.run_migrations()
