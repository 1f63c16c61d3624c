"""first tables."""

import sqlalchemy as sa
from alembic import op

from forebay_server.db import columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("key", columns.text_type(255), nullable=True),
        sa.Column("type", columns.text_type(), nullable=True),
        sa.Column("description", columns.text_type(), nullable=True),
        sa.Column("data", columns.Json, nullable=True),
        sa.Column("metadata_", columns.Json, nullable=True),
        sa.Column("flow_run_id", sa.Uuid(), nullable=True),
        sa.Column("task_run_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("artifact", schema=None) as batch_op:
        batch_op.create_index("ix_artifact_created", ["created", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifact_flow_run_id"), ["flow_run_id"], unique=False)
        batch_op.create_index("ix_artifact_key", ["key", "id"], unique=False)
        batch_op.create_index("ix_artifact_key_updated", ["key", "updated", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_artifact_task_run_id"), ["task_run_id"], unique=False)
        batch_op.create_index("ix_artifact_updated", ["updated", "id"], unique=False)

    op.create_table(
        "artifact_key",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("key", columns.text_type(255), nullable=False),
        sa.Column("latest_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "block_type",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("slug", columns.text_type(255), nullable=False),
        sa.Column("logo_url", columns.text_type(), nullable=True),
        sa.Column("documentation_url", columns.text_type(), nullable=True),
        sa.Column("description", columns.text_type(), nullable=True),
        sa.Column("code_example", columns.text_type(), nullable=True),
        sa.Column("is_protected", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("slug"),
    )
    op.create_table(
        "concurrency_limit",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("limit", sa.Integer(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("slot_decay_per_second", sa.Float(), nullable=False),
        sa.Column("drained_at", columns.UtcDateTime(), nullable=True),
        sa.Column("avg_slot_occupancy_seconds", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "event",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("occurred", columns.UtcDateTime(), nullable=False),
        sa.Column("event", columns.text_type(1024), nullable=False),
        sa.Column("resource_id", columns.text_type(), nullable=False),
        sa.Column("resource", columns.Json, nullable=False),
        sa.Column("related", columns.Json, nullable=False),
        sa.Column("payload", columns.Json, nullable=False),
        sa.Column("follows", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.create_index("ix_event_created", ["created"], unique=False)
        batch_op.create_index("ix_event_name_occurred", ["event", "occurred", "id"], unique=False)
        batch_op.create_index("ix_event_occurred", ["occurred", "id"], unique=False)

    op.create_table(
        "flow",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("tags", columns.Json, nullable=False),
        sa.Column("labels", columns.Json, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "kept_answer",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("digest", columns.text_type(64), nullable=False),
        sa.Column("body_digest", columns.text_type(64), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("answer", columns.text_type(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
    )
    with op.batch_alter_table("kept_answer", schema=None) as batch_op:
        batch_op.create_index("ix_kept_answer_created", ["created"], unique=False)

    op.create_table(
        "log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("message", columns.text_type(), nullable=False),
        sa.Column("timestamp", columns.UtcDateTime(), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=True),
        sa.Column("task_run_id", sa.Uuid(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("log", schema=None) as batch_op:
        batch_op.create_index("ix_log_run_time", ["flow_run_id", "timestamp", "id"], unique=False)
        batch_op.create_index(batch_op.f("ix_log_timestamp"), ["timestamp"], unique=False)

    op.create_table(
        "server",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "sweep",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(20), nullable=False),
        sa.Column("at", columns.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "variable",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("value", columns.Json, nullable=True),
        sa.Column("tags", columns.Json, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "work_pool",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("description", columns.text_type(), nullable=True),
        sa.Column("type", columns.text_type(255), nullable=False),
        sa.Column("base_job_template", columns.Json, nullable=False),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("concurrency_limit", sa.Integer(), nullable=True),
        sa.Column("status", columns.text_type(), nullable=False),
        sa.Column("default_queue_id", sa.Uuid(), nullable=True),
        sa.Column("storage_configuration", columns.Json, nullable=False),
        sa.Column("on_lost", columns.text_type(), nullable=False),
        sa.Column("max_rescues", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "block_schema",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("checksum", columns.text_type(80), nullable=False),
        sa.Column("fields_", columns.Json, nullable=False),
        sa.Column("capabilities", columns.Json, nullable=False),
        sa.Column("version", columns.text_type(255), nullable=False),
        sa.Column("block_type_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["block_type_id"], ["block_type.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("checksum", "version", "block_type_id"),
    )
    with op.batch_alter_table("block_schema", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_block_schema_block_type_id"), ["block_type_id"], unique=False
        )

    op.create_table(
        "token",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("role", columns.text_type(16), nullable=False),
        sa.Column("hash", columns.text_type(64), nullable=False),
        sa.Column("work_pool_id", sa.Uuid(), nullable=True),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=True),
        sa.Column("last_used_at", columns.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["work_pool_id"], ["work_pool.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hash"),
        sa.UniqueConstraint("name"),
    )
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_token_work_pool_id"), ["work_pool_id"], unique=False)

    op.create_table(
        "work_queue",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("work_pool_id", sa.Uuid(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("description", columns.text_type(), nullable=True),
        sa.Column("is_paused", sa.Boolean(), nullable=False),
        sa.Column("concurrency_limit", sa.Integer(), nullable=True),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("status", columns.text_type(), nullable=False),
        sa.Column("last_polled", columns.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["work_pool_id"], ["work_pool.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("work_pool_id", "name"),
    )
    with op.batch_alter_table("work_queue", schema=None) as batch_op:
        batch_op.create_index(
            "ix_work_queue_pool_priority", ["work_pool_id", "priority"], unique=False
        )

    op.create_table(
        "worker",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("work_pool_id", sa.Uuid(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("last_heartbeat_time", columns.UtcDateTime(), nullable=True),
        sa.Column("heartbeat_interval_seconds", sa.Integer(), nullable=True),
        sa.Column("status", columns.text_type(), nullable=False),
        sa.ForeignKeyConstraint(["work_pool_id"], ["work_pool.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("work_pool_id", "name"),
    )
    op.create_table(
        "block_document",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=True),
        sa.Column("data", columns.Json, nullable=False),
        sa.Column("secrets", columns.Json, nullable=False),
        sa.Column("data_key", columns.text_type(), nullable=True),
        sa.Column("is_anonymous", sa.Boolean(), nullable=False),
        sa.Column("block_type_id", sa.Uuid(), nullable=False),
        sa.Column("block_schema_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["block_schema_id"], ["block_schema.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["block_type_id"], ["block_type.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("block_type_id", "name"),
    )
    with op.batch_alter_table("block_document", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_block_document_block_schema_id"), ["block_schema_id"], unique=False
        )

    op.create_table(
        "deployment",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("version", columns.text_type(), nullable=True),
        sa.Column("description", columns.text_type(), nullable=True),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("tags", columns.Json, nullable=False),
        sa.Column("labels", columns.Json, nullable=False),
        sa.Column("parameters", columns.Json, nullable=False),
        sa.Column("parameter_openapi_schema", columns.Json, nullable=True),
        sa.Column("enforce_parameter_schema", sa.Boolean(), nullable=False),
        sa.Column("job_variables", columns.Json, nullable=False),
        sa.Column("pull_steps", columns.Json, nullable=True),
        sa.Column("path", columns.text_type(), nullable=True),
        sa.Column("entrypoint", columns.text_type(), nullable=True),
        sa.Column("work_queue_id", sa.Uuid(), nullable=True),
        sa.Column("concurrency_options", columns.Json, nullable=True),
        sa.Column("global_concurrency_limit_id", sa.Uuid(), nullable=True),
        sa.Column("storage_document_id", sa.Uuid(), nullable=True),
        sa.Column("infrastructure_document_id", sa.Uuid(), nullable=True),
        sa.Column("created_by", columns.Json, nullable=True),
        sa.Column("updated_by", columns.Json, nullable=True),
        sa.Column("status", columns.text_type(), nullable=False),
        sa.Column("last_polled", columns.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["flow_id"], ["flow.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["work_queue_id"], ["work_queue.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("flow_id", "name"),
    )
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_deployment_flow_id"), ["flow_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_deployment_work_queue_id"), ["work_queue_id"], unique=False
        )

    op.create_table(
        "deployment_schedule",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=False),
        sa.Column("schedule", columns.Json, nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("max_scheduled_runs", sa.Integer(), nullable=True),
        sa.Column("parameters", columns.Json, nullable=False),
        sa.Column("slug", columns.text_type(255), nullable=True),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployment.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("deployment_id", "slug"),
    )
    with op.batch_alter_table("deployment_schedule", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_deployment_schedule_deployment_id"), ["deployment_id"], unique=False
        )

    op.create_table(
        "flow_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("flow_id", sa.Uuid(), nullable=False),
        sa.Column("deployment_id", sa.Uuid(), nullable=True),
        sa.Column("deployment_version", columns.text_type(), nullable=True),
        sa.Column("work_queue_id", sa.Uuid(), nullable=True),
        sa.Column("work_queue_name", columns.text_type(), nullable=True),
        sa.Column("flow_version", columns.text_type(), nullable=True),
        sa.Column("parameters", columns.Json, nullable=False),
        sa.Column("context", columns.Json, nullable=False),
        sa.Column("empirical_policy", columns.Json, nullable=False),
        sa.Column("tags", columns.Json, nullable=False),
        sa.Column("labels", columns.Json, nullable=False),
        sa.Column("job_variables", columns.Json, nullable=True),
        sa.Column("idempotency_key", columns.text_type(255), nullable=True),
        sa.Column("request_digest", columns.text_type(64), nullable=True),
        sa.Column("parent_task_run_id", sa.Uuid(), nullable=True),
        sa.Column("infrastructure_document_id", sa.Uuid(), nullable=True),
        sa.Column("infrastructure_pid", columns.text_type(), nullable=True),
        sa.Column("created_by", columns.Json, nullable=True),
        sa.Column("auto_scheduled", sa.Boolean(), nullable=False),
        sa.Column("state_id", sa.Uuid(), nullable=True),
        sa.Column("state_type", columns.text_type(16), nullable=True),
        sa.Column("state_name", columns.text_type(255), nullable=True),
        sa.Column("state_timestamp", columns.UtcDateTime(), nullable=True),
        sa.Column("state_message", columns.text_type(), nullable=True),
        sa.Column("state_data", columns.Json, nullable=True),
        sa.Column("state_details", columns.Json, nullable=False),
        sa.Column("run_count", sa.Integer(), nullable=False),
        sa.Column("expected_start_time", columns.UtcDateTime(), nullable=True),
        sa.Column("next_scheduled_start_time", columns.UtcDateTime(), nullable=True),
        sa.Column("start_time", columns.UtcDateTime(), nullable=True),
        sa.Column("end_time", columns.UtcDateTime(), nullable=True),
        sa.Column("total_run_time_seconds", sa.Float(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("rescue_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["deployment_id"], ["deployment.id"], ondelete="SET NULL"),
        sa.ForeignKeyConstraint(["flow_id"], ["flow.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["work_queue_id"], ["work_queue.id"], ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("flow_id", "idempotency_key"),
    )
    with op.batch_alter_table("flow_run", schema=None) as batch_op:
        batch_op.create_index(
            "ix_flow_run_coming",
            ["deployment_id", "next_scheduled_start_time", "id"],
            unique=False,
            sqlite_where=sa.text("state_type = 'SCHEDULED'"),
            postgresql_where=sa.text("state_type = 'SCHEDULED'"),
        )
        batch_op.create_index(
            batch_op.f("ix_flow_run_deployment_id"), ["deployment_id"], unique=False
        )
        batch_op.create_index(
            "ix_flow_run_due",
            ["work_queue_id", "next_scheduled_start_time", "id"],
            unique=False,
            sqlite_where=sa.text("state_type = 'SCHEDULED'"),
            postgresql_where=sa.text("state_type = 'SCHEDULED'"),
        )
        batch_op.create_index(
            batch_op.f("ix_flow_run_expected_start_time"), ["expected_start_time"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_flow_run_flow_id"), ["flow_id"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_flow_run_parent_task_run_id"), ["parent_task_run_id"], unique=False
        )
        batch_op.create_index(
            "ix_flow_run_state",
            ["state_type", "state_name", "next_scheduled_start_time"],
            unique=False,
        )
        batch_op.create_index(
            batch_op.f("ix_flow_run_work_queue_id"), ["work_queue_id"], unique=False
        )

    op.create_table(
        "claim",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=False),
        sa.Column("work_pool_id", sa.Uuid(), nullable=False),
        sa.Column("work_queue_id", sa.Uuid(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("started_epoch", sa.Integer(), nullable=True),
        sa.Column("holder", columns.text_type(300), nullable=False),
        sa.Column("worker_name", columns.text_type(255), nullable=True),
        sa.Column("lease_seconds", sa.Float(), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=False),
        sa.Column("is_forced", sa.Boolean(), server_default=sa.text("(false)"), nullable=False),
        sa.Column("ended_at", columns.UtcDateTime(), nullable=True),
        sa.Column("extensions", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.ForeignKeyConstraint(["flow_run_id"], ["flow_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("claim", schema=None) as batch_op:
        batch_op.create_index(
            "ix_claim_live_expiry",
            ["expires_at"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "ix_claim_live_pool",
            ["work_pool_id", "worker_name"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "ix_claim_live_queue",
            ["work_queue_id"],
            unique=False,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index(
            "ix_claim_live_run",
            ["flow_run_id"],
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.create_index("ix_claim_run", ["flow_run_id"], unique=False)

    op.create_table(
        "concurrency_lease",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("expires_at", columns.UtcDateTime(), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["flow_run_id"], ["flow_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("concurrency_lease", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_concurrency_lease_expires_at"), ["expires_at"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_concurrency_lease_flow_run_id"), ["flow_run_id"], unique=False
        )

    op.create_table(
        "flow_run_input",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=False),
        sa.Column("key", columns.text_type(255), nullable=False),
        sa.Column("value", columns.text_type(), nullable=False),
        sa.Column("sender", columns.text_type(), nullable=True),
        sa.ForeignKeyConstraint(["flow_run_id"], ["flow_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("flow_run_id", "key"),
    )
    op.create_table(
        "flow_run_state",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=False),
        sa.Column("timestamp", columns.UtcDateTime(), nullable=False),
        sa.Column("type", columns.text_type(16), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("message", columns.text_type(), nullable=True),
        sa.Column("data", columns.Json, nullable=True),
        sa.Column("state_details", columns.Json, nullable=False),
        sa.ForeignKeyConstraint(["flow_run_id"], ["flow_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("flow_run_id", "timestamp"),
    )
    with op.batch_alter_table("flow_run_state", schema=None) as batch_op:
        batch_op.create_index("ix_flow_run_state_time", ["timestamp", "id", "name"], unique=False)

    op.create_table(
        "task_run",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("name", columns.text_type(255), nullable=False),
        sa.Column("flow_run_id", sa.Uuid(), nullable=True),
        sa.Column("task_key", columns.text_type(), nullable=False),
        sa.Column("dynamic_key", columns.text_type(), nullable=False),
        sa.Column("cache_key", columns.text_type(), nullable=True),
        sa.Column("cache_expiration", columns.UtcDateTime(), nullable=True),
        sa.Column("task_version", columns.text_type(), nullable=True),
        sa.Column("empirical_policy", columns.Json, nullable=False),
        sa.Column("tags", columns.Json, nullable=False),
        sa.Column("labels", columns.Json, nullable=False),
        sa.Column("task_inputs", columns.Json, nullable=False),
        sa.Column("state_id", sa.Uuid(), nullable=True),
        sa.Column("state_type", columns.text_type(16), nullable=True),
        sa.Column("state_name", columns.text_type(255), nullable=True),
        sa.Column("state_timestamp", columns.UtcDateTime(), nullable=True),
        sa.Column("state_message", columns.text_type(), nullable=True),
        sa.Column("state_data", columns.Json, nullable=True),
        sa.Column("state_details", columns.Json, nullable=False),
        sa.Column("run_count", sa.Integer(), nullable=False),
        sa.Column("flow_run_run_count", sa.Integer(), nullable=False),
        sa.Column("expected_start_time", columns.UtcDateTime(), nullable=True),
        sa.Column("next_scheduled_start_time", columns.UtcDateTime(), nullable=True),
        sa.Column("start_time", columns.UtcDateTime(), nullable=True),
        sa.Column("end_time", columns.UtcDateTime(), nullable=True),
        sa.Column("total_run_time_seconds", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(["flow_run_id"], ["flow_run.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("flow_run_id", "task_key", "dynamic_key"),
    )
    op.create_table(
        "concurrency_slot",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("created", columns.UtcDateTime(), nullable=False),
        sa.Column("updated", columns.UtcDateTime(), nullable=False),
        sa.Column("limit_id", sa.Uuid(), nullable=False),
        sa.Column("lease_id", sa.Uuid(), nullable=True),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("holder_type", columns.text_type(16), nullable=True),
        sa.Column("holder_id", sa.Uuid(), nullable=True),
        sa.ForeignKeyConstraint(["lease_id"], ["concurrency_lease.id"], ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["limit_id"], ["concurrency_limit.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("lease_id", "limit_id"),
    )
    with op.batch_alter_table("concurrency_slot", schema=None) as batch_op:
        batch_op.create_index("ix_concurrency_slot_limit", ["limit_id", "lease_id"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("concurrency_slot", schema=None) as batch_op:
        batch_op.drop_index("ix_concurrency_slot_limit")

    op.drop_table("concurrency_slot")
    op.drop_table("task_run")
    with op.batch_alter_table("flow_run_state", schema=None) as batch_op:
        batch_op.drop_index("ix_flow_run_state_time")

    op.drop_table("flow_run_state")
    op.drop_table("flow_run_input")
    with op.batch_alter_table("concurrency_lease", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_concurrency_lease_flow_run_id"))
        batch_op.drop_index(batch_op.f("ix_concurrency_lease_expires_at"))

    op.drop_table("concurrency_lease")
    with op.batch_alter_table("claim", schema=None) as batch_op:
        batch_op.drop_index("ix_claim_run")
        batch_op.drop_index(
            "ix_claim_live_run",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_claim_live_queue",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_claim_live_pool",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index(
            "ix_claim_live_expiry",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.drop_table("claim")
    with op.batch_alter_table("flow_run", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_flow_run_work_queue_id"))
        batch_op.drop_index("ix_flow_run_state")
        batch_op.drop_index(batch_op.f("ix_flow_run_parent_task_run_id"))
        batch_op.drop_index(batch_op.f("ix_flow_run_flow_id"))
        batch_op.drop_index(batch_op.f("ix_flow_run_expected_start_time"))
        batch_op.drop_index(
            "ix_flow_run_due",
            sqlite_where=sa.text("state_type = 'SCHEDULED'"),
            postgresql_where=sa.text("state_type = 'SCHEDULED'"),
        )
        batch_op.drop_index(batch_op.f("ix_flow_run_deployment_id"))
        batch_op.drop_index(
            "ix_flow_run_coming",
            sqlite_where=sa.text("state_type = 'SCHEDULED'"),
            postgresql_where=sa.text("state_type = 'SCHEDULED'"),
        )

    op.drop_table("flow_run")
    with op.batch_alter_table("deployment_schedule", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployment_schedule_deployment_id"))

    op.drop_table("deployment_schedule")
    with op.batch_alter_table("deployment", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_deployment_work_queue_id"))
        batch_op.drop_index(batch_op.f("ix_deployment_flow_id"))

    op.drop_table("deployment")
    with op.batch_alter_table("block_document", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_block_document_block_schema_id"))

    op.drop_table("block_document")
    op.drop_table("worker")
    with op.batch_alter_table("work_queue", schema=None) as batch_op:
        batch_op.drop_index("ix_work_queue_pool_priority")

    op.drop_table("work_queue")
    with op.batch_alter_table("token", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_token_work_pool_id"))

    op.drop_table("token")
    with op.batch_alter_table("block_schema", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_block_schema_block_type_id"))

    op.drop_table("block_schema")
    op.drop_table("work_pool")
    op.drop_table("variable")
    op.drop_table("sweep")
    op.drop_table("server")
    with op.batch_alter_table("log", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_log_timestamp"))
        batch_op.drop_index("ix_log_run_time")

    op.drop_table("log")
    with op.batch_alter_table("kept_answer", schema=None) as batch_op:
        batch_op.drop_index("ix_kept_answer_created")

    op.drop_table("kept_answer")
    op.drop_table("flow")
    with op.batch_alter_table("event", schema=None) as batch_op:
        batch_op.drop_index("ix_event_occurred")
        batch_op.drop_index("ix_event_name_occurred")
        batch_op.drop_index("ix_event_created")

    op.drop_table("event")
    op.drop_table("concurrency_limit")
    op.drop_table("block_type")
    op.drop_table("artifact_key")
    with op.batch_alter_table("artifact", schema=None) as batch_op:
        batch_op.drop_index("ix_artifact_updated")
        batch_op.drop_index(batch_op.f("ix_artifact_task_run_id"))
        batch_op.drop_index("ix_artifact_key_updated")
        batch_op.drop_index("ix_artifact_key")
        batch_op.drop_index(batch_op.f("ix_artifact_flow_run_id"))
        batch_op.drop_index("ix_artifact_created")

    op.drop_table("artifact")
