"""The runs that schedules make: creating, reading and deleting them before they begin."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy import Row, exists, literal, select, true

from forebay.wire.schedules import Schedule
from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay_server.db.engine import Transaction
from forebay_server.deployments.recurrence import dates
from forebay_server.deployments.rules import united
from forebay_server.deployments.tables import deployment_schedules, deployments
from forebay_server.flow_runs import queries as runs
from forebay_server.flow_runs.tables import FlowRunRow, flow_runs
from forebay_server.work_queues.tables import work_queues

AUTO_TAG = "auto-scheduled"
# As text, so that the partial index of coming runs is seen to cover it.
_IS_SCHEDULED = flow_runs.c.state_type == literal("SCHEDULED", literal_execute=True)

_schedule = TypeAdapter[Schedule](Schedule)


@dataclass(frozen=True)
class Horizon:
    """How far ahead runs are made. Source: Prefect 3.8.4 `PREFECT_SERVER_SERVICES_SCHEDULER_…`."""

    min_runs: int = 3
    min_time: timedelta = timedelta(hours=1)
    max_runs: int = 100
    max_time: timedelta = timedelta(days=100)


HORIZON = Horizon()


async def create(
    db: Transaction,
    deployment_ids: Sequence[UUID],
    *,
    start: datetime | None = None,
    horizon: Horizon = HORIZON,
) -> int:
    """Make the coming runs of the deployments that are not paused; how many are new.

    A run that is there already, whatever became of it, is not made again.
    """
    begin = start or await db.now()
    made = [
        run for row in await _active(db, deployment_ids) for run in _runs_of(row, begin, horizon)
    ]
    return len(await runs.create_many(db, made))


async def _active(db: Transaction, deployment_ids: Sequence[UUID]) -> Sequence[Row[Any]]:
    """Active schedules of the deployments that are not paused, each with its deployment."""
    of_deployment = (
        deployments.c[name].label(f"deployment_{name}")
        for name in ("flow_id", "version", "tags", "labels", "parameters", "work_queue_id")
    )
    statement = (
        select(
            deployment_schedules,
            *of_deployment,
            deployments.c.infrastructure_document_id,
            work_queues.c.name.label("work_queue_name"),
        )
        .join(deployments, deployments.c.id == deployment_schedules.c.deployment_id)
        .outerjoin(work_queues, work_queues.c.id == deployments.c.work_queue_id)
        .where(
            deployments.c.id.in_(deployment_ids),
            deployments.c.paused.is_(False),
            deployment_schedules.c.active.is_(True),
        )
    )
    return await db.rows(statement)


def _runs_of(
    row: Row[Any], start: datetime, horizon: Horizon
) -> Iterator[tuple[FlowRunRow, StateCreate]]:
    count = min(horizon.max_runs, row.max_scheduled_runs or horizon.max_runs)
    schedule = _schedule.validate_python(row.schedule)
    coming = dates(schedule, start, count, start + horizon.max_time)
    for number, date in enumerate(coming):
        if number >= horizon.min_runs and coming[number - 1] >= start + horizon.min_time:
            return
        details = StateDetails(scheduled_time=date)
        state = StateCreate(
            type=StateType.SCHEDULED, message="Flow run scheduled", state_details=details
        )
        yield _run(row, date), state


def _run(row: Row[Any], date: datetime) -> FlowRunRow:
    return FlowRunRow(
        name="",
        flow_id=row.deployment_flow_id,
        deployment_id=row.deployment_id,
        deployment_version=row.deployment_version,
        work_queue_id=row.deployment_work_queue_id,
        work_queue_name=row.work_queue_name,
        parameters={**row.deployment_parameters, **row.parameters},
        tags=united([AUTO_TAG], row.deployment_tags),
        labels=row.deployment_labels,
        infrastructure_document_id=row.infrastructure_document_id,
        idempotency_key=f"scheduled {row.deployment_id} {row.id} {date.isoformat()}",
        created_by={"id": str(row.id), "type": "SCHEDULE", "display_value": row.slug},
        auto_scheduled=True,
    )


async def delete(
    db: Transaction,
    deployment_id: UUID,
    *,
    schedule_id: UUID | None = None,
    from_now: bool = False,
) -> None:
    """Delete runs that a schedule made and nobody began: of one schedule, or of all.

    With `from_now` late ones stay. Source: Prefect 3.8.4 `_delete_scheduled_runs`.
    """
    is_meant = [
        flow_runs.c.deployment_id == deployment_id,
        _IS_SCHEDULED,
        flow_runs.c.state_name != "AwaitingConcurrencySlot",
        flow_runs.c.auto_scheduled.is_(True),
        flow_runs.c.run_count == 0,
    ]
    if schedule_id is not None:
        of_schedule = f"scheduled {deployment_id} {schedule_id} "
        is_meant.append(flow_runs.c.idempotency_key.startswith(of_schedule))
    if from_now:
        is_meant.append(flow_runs.c.next_scheduled_start_time >= await db.now())
    await db.execute(sa.delete(flow_runs).where(*is_meant))


async def read_due(
    db: Transaction, deployment_ids: Sequence[UUID], before: datetime | None, limit: int
) -> Sequence[Row[Any]]:
    """Scheduled runs of the deployments up to `before`, the earliest first."""
    is_meant = [
        flow_runs.c.deployment_id.in_(deployment_ids),
        _IS_SCHEDULED,
        # The others are gone on with by the processes that they are in.
        flow_runs.c.empirical_policy["retry_type"].as_string().is_distinct_from("in_process"),
    ]
    if before is not None:
        is_meant.append(flow_runs.c.next_scheduled_start_time <= before)
    order = (flow_runs.c.next_scheduled_start_time, flow_runs.c.id)
    return await db.rows(runs.placed_runs().where(*is_meant).order_by(*order).limit(limit))


async def find_lacking(
    db: Transaction,
    after: UUID | None,
    limit: int,
    horizon: Horizon = HORIZON,
    *,
    is_each_lacking: bool = False,
) -> list[UUID]:
    """Ids of deployments with active schedules and too few coming runs, above `after`.

    With `is_each_lacking` however many they have.
    """
    now = await db.now()
    coming = (
        select(flow_runs.c.next_scheduled_start_time)
        .where(
            flow_runs.c.deployment_id == deployments.c.id,
            _IS_SCHEDULED,
            flow_runs.c.auto_scheduled.is_(True),
            flow_runs.c.next_scheduled_start_time > now,
        )
        .correlate(deployments)
    )
    has_enough = coming.offset(horizon.min_runs - 1).limit(1).exists()
    reaches_far = coming.where(
        flow_runs.c.next_scheduled_start_time >= now + horizon.min_time
    ).exists()
    is_active = exists().where(
        deployment_schedules.c.deployment_id == deployments.c.id,
        deployment_schedules.c.active.is_(True),
    )
    statement = select(deployments.c.id).where(
        deployments.c.paused.is_(False),
        is_active,
        true() if is_each_lacking else ~(has_enough & reaches_far),
    )
    if after is not None:
        statement = statement.where(deployments.c.id > after)
    rows = await db.rows(statement.order_by(deployments.c.id).limit(limit))
    return [row.id for row in rows]
