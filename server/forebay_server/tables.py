"""Every table of the server, so that migrations and tests see them all."""

from forebay_server.access.tables import TokenRow
from forebay_server.artifacts.tables import ArtifactKeyRow, ArtifactRow
from forebay_server.blocks.tables import BlockDocumentRow, BlockSchemaRow, BlockTypeRow
from forebay_server.claims.tables import ClaimRow, SweepRow
from forebay_server.concurrency_limits.tables import (
    ConcurrencyLeaseRow,
    ConcurrencyLimitRow,
    ConcurrencySlotRow,
)
from forebay_server.deployments.tables import DeploymentRow, DeploymentScheduleRow
from forebay_server.events.tables import EventRow
from forebay_server.flow_run_inputs.tables import FlowRunInputRow
from forebay_server.flow_runs.tables import FlowRunRow, FlowRunStateRow
from forebay_server.flows.tables import FlowRow
from forebay_server.idempotency.tables import KeptAnswerRow
from forebay_server.identity.tables import ServerRow
from forebay_server.logs.tables import LogRow
from forebay_server.task_runs.tables import TaskRunRow
from forebay_server.variables.tables import VariableRow
from forebay_server.work_pools.tables import WorkPoolRow
from forebay_server.work_queues.tables import WorkQueueRow
from forebay_server.workers.tables import WorkerRow

__all__ = [
    "ArtifactKeyRow",
    "ArtifactRow",
    "BlockDocumentRow",
    "BlockSchemaRow",
    "BlockTypeRow",
    "ClaimRow",
    "ConcurrencyLeaseRow",
    "ConcurrencyLimitRow",
    "ConcurrencySlotRow",
    "DeploymentRow",
    "DeploymentScheduleRow",
    "EventRow",
    "FlowRow",
    "FlowRunInputRow",
    "FlowRunRow",
    "FlowRunStateRow",
    "KeptAnswerRow",
    "LogRow",
    "ServerRow",
    "SweepRow",
    "TaskRunRow",
    "TokenRow",
    "VariableRow",
    "WorkPoolRow",
    "WorkQueueRow",
    "WorkerRow",
]
