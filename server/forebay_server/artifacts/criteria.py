"""What artifacts can be filtered by: themselves, and the runs that they are of."""

from collections.abc import Iterator

from sqlalchemy import exists, literal, select

from forebay.wire.base import Lenient
from forebay_server.artifacts.filters import ArtifactFilter, LatestFilter
from forebay_server.artifacts.tables import artifacts
from forebay_server.db.criteria import Condition
from forebay_server.deployments.filters import DeploymentFilter
from forebay_server.flow_runs.filters import FlowRunFilter, RunCriteria
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.flows.filters import FlowFilter
from forebay_server.task_runs.filters import TaskRunFilter
from forebay_server.task_runs.shown import source as shown_tasks
from forebay_server.task_runs.tables import task_runs


class OwnerCriteria(Lenient):
    """Filters of one body about what artifacts belong to; all must be fulfilled."""

    flow_runs: FlowRunFilter | None = None
    task_runs: TaskRunFilter | None = None
    flows: FlowFilter | None = None
    deployments: DeploymentFilter | None = None

    def of_owners(self) -> Iterator[Condition]:
        """What a row of artifacts must fulfil; for a SELECT without runs."""
        of_run = RunCriteria(
            flows=self.flows, flow_runs=self.flow_runs, deployments=self.deployments
        )
        conditions = list(of_run.conditions())
        if conditions:
            yield exists().where(flow_runs.c.id == artifacts.c.flow_run_id, *conditions)
        # Most tasks are told of by events only: whether there is any says nothing here.
        if self.task_runs is not None and self.task_runs.model_dump(exclude_defaults=True):
            tasks = select(literal(1)).select_from(shown_tasks)
            is_own = task_runs.c.id == artifacts.c.task_run_id
            yield tasks.where(is_own, self.task_runs.condition()).exists()


class ArtifactCriteria(OwnerCriteria):
    """Which versions."""

    artifacts: ArtifactFilter | None = None

    def conditions(self) -> Iterator[Condition]:
        """What a row of artifacts must fulfil."""
        if self.artifacts is not None:
            yield self.artifacts.condition()
        yield from self.of_owners()


class LatestCriteria(OwnerCriteria):
    """Which of the latest versions of each key."""

    artifacts: LatestFilter | None = None

    def conditions(self) -> Iterator[Condition]:
        """What a row of artifacts must fulfil."""
        if self.artifacts is not None:
            yield self.artifacts.condition()
        yield from self.of_owners()
