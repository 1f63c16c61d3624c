"""Tokens have roles, pools and times of use; the server has an id."""

import sqlalchemy as sa
from alembic import op

from forebay_server.db import columns

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "server",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.add_column(sa.Column("work_pool_id", sa.Uuid(), nullable=True))
        batch_op.add_column(sa.Column("last_used_at", columns.UtcDateTime(), nullable=True))
        batch_op.create_index(batch_op.f("ix_token_work_pool_id"), ["work_pool_id"], unique=False)
        batch_op.create_foreign_key(
            "fk_token_work_pool_id", "work_pool", ["work_pool_id"], ["id"], ondelete="CASCADE"
        )
        batch_op.drop_column("revoked_at")


def downgrade() -> None:
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.add_column(sa.Column("revoked_at", columns.UtcDateTime(), nullable=True))
        batch_op.drop_constraint("fk_token_work_pool_id", type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_token_work_pool_id"))
        batch_op.drop_column("last_used_at")
        batch_op.drop_column("work_pool_id")

    op.drop_table("server")
