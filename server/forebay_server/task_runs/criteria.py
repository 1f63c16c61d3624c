"""What task runs can be filtered by, themselves and by the runs that they are in."""

from collections.abc import Iterator

from sqlalchemy import exists

from forebay.wire.base import Lenient
from forebay_server.db.criteria import Condition
from forebay_server.deployments.filters import DeploymentFilter
from forebay_server.flow_runs.filters import FlowRunFilter, RunCriteria
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flows.filters import FlowFilter
from forebay_server.task_runs.filters import TaskRunFilter
from forebay_server.task_runs.tables import task_runs


class TaskRunCriteria(Lenient):
    """Filters of one body; a task run must fulfil all of them."""

    flows: FlowFilter | None = None
    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    deployments: DeploymentFilter | None = None

    def conditions(self) -> Iterator[Condition]:
        """What a row of `shown.source` must fulfil."""
        if self.task_runs is not None:
            yield self.task_runs.condition()
        of_run = RunCriteria(
            flows=self.flows, flow_runs=self.flow_runs, deployments=self.deployments
        )
        conditions = list(of_run.conditions())
        if conditions:
            yield exists().where(flow_runs.c.id == task_runs.c.flow_run_id, *conditions)
