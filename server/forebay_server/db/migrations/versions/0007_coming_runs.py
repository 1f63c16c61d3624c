"""An index of the coming runs of a deployment."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("flow_run", schema=None) as batch_op:
        batch_op.create_index(
            "ix_flow_run_coming",
            ["deployment_id", "next_scheduled_start_time", "id"],
            unique=False,
            sqlite_where=sa.text("state_type = 'SCHEDULED'"),
            postgresql_where=sa.text("state_type = 'SCHEDULED'"),
        )


def downgrade() -> None:
    with op.batch_alter_table("flow_run", schema=None) as batch_op:
        batch_op.drop_index("ix_flow_run_coming")
