"""ended runs by time."""

import sqlalchemy as sa
from alembic import op

# What leaves the indexes of due runs and of live claims stays there until PostgreSQL vacuums, and
# each poll and claim passes over it: so that is done by how much has left, not by table size.
VACUUM = {
    "autovacuum_vacuum_scale_factor": "0.01",
    "autovacuum_vacuum_threshold": "5000",
    "vacuum_index_cleanup": "on",
}

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("flow_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_flow_run_flow_id"))
        batch_op.drop_index(batch_op.f("ix_flow_run_parent_task_run_id"))
        batch_op.create_index(
            "ix_flow_run_ended",
            ["end_time"],
            unique=False,
            sqlite_where=sa.text("end_time IS NOT NULL"),
            postgresql_where=sa.text("end_time IS NOT NULL"),
        )
        batch_op.create_index(
            "ix_flow_run_parent",
            ["parent_task_run_id"],
            unique=False,
            sqlite_where=sa.text("parent_task_run_id IS NOT NULL"),
            postgresql_where=sa.text("parent_task_run_id IS NOT NULL"),
        )
    _for_hot_tables("SET ({})".format(", ".join(f"{name} = {VACUUM[name]}" for name in VACUUM)))


def downgrade() -> None:
    _for_hot_tables(f"RESET ({', '.join(VACUUM)})")
    with op.batch_alter_table("flow_run", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_flow_run_parent",
            sqlite_where=sa.text("parent_task_run_id IS NOT NULL"),
            postgresql_where=sa.text("parent_task_run_id IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_flow_run_ended",
            sqlite_where=sa.text("end_time IS NOT NULL"),
            postgresql_where=sa.text("end_time IS NOT NULL"),
        )
        batch_op.create_index(
            batch_op.f("ix_flow_run_parent_task_run_id"), ["parent_task_run_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_flow_run_flow_id"), ["flow_id"], unique=False)


def _for_hot_tables(change: str) -> None:
    if op.get_bind().dialect.name == "postgresql":
        for table in ("flow_run", "claim"):
            op.execute(f"ALTER TABLE {table} {change}")
