"""Texts stand in the order of their bytes, on PostgreSQL as on SQLite."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

TEXTS = """
    SELECT table_name, column_name, character_maximum_length AS length
    FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name <> 'alembic_version'
      AND data_type IN ('character varying', 'text')
    ORDER BY table_name, ordinal_position
"""


def upgrade() -> None:
    _compare_by("C")


def downgrade() -> None:
    _compare_by("default")


def _compare_by(collation: str) -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    changes: dict[str, list[str]] = {}
    for table, column, length in connection.execute(sa.text(TEXTS)).all():
        kind = f"VARCHAR({length})" if length else "VARCHAR"
        change = f'ALTER COLUMN "{column}" TYPE {kind} COLLATE "{collation}"'
        changes.setdefault(table, []).append(change)
    for table, parts in changes.items():
        op.execute(f'ALTER TABLE "{table}" {", ".join(parts)}')
