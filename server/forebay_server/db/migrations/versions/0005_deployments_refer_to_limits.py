"""deployments refer to limits."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Not in a batch: that makes the table anew, and dropping the old one would take the
    # schedules of its rows along.
    op.drop_column("deployment", "concurrency_limit")


def downgrade() -> None:
    op.add_column("deployment", sa.Column("concurrency_limit", sa.INTEGER(), nullable=True))
